"""The texts that `course new` begins with: a small exercise that works, to be replaced part by part."""

from string import Template

MODULE = Template('''"""An exercise of lecture $number: FILL IN: what it asks ($slides)."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- $id $line
def $name(x):
    """FILL IN: what it returns, its shape, the equation and where it stands. Here: the mean of each row of x, (..., D).

    >>> $name(torch.tensor([[1.0, 3.0], [0.0, 4.0]])).tolist()
    [2.0, 2.0]
    """
    return x.sum(dim=-1) / max(x.shape[-1], 1)


def _cases(generator):
    """FILL IN: every promise of the task is a case; what is drawn comes from `generator` alone."""
    return [
        case("three rows", torch.randn(3, 4, generator=generator)),
        case("one number", torch.tensor([2.0])),
        case("rows without numbers", torch.zeros(2, 0)),
    ]


def _in_a_loop(x):
    """FILL IN: another right way to write it, so that the check does not insist on ours."""
    rows = [row.sum() / max(len(row), 1) for row in x.reshape(-1, x.shape[-1])] if x.numel() else []
    return torch.stack(rows).reshape(x.shape[:-1]) if rows else torch.zeros(x.shape[:-1])


def _down_the_columns(x):
    return $name(x.T if x.dim() > 1 else x)


$constant = Exercise(
    id="$id",
    slides=($slide_list),$slides_note
    points=$points,
    minutes=$minutes,
    title="FILL IN: a title",
    reference=$name,
    cases=_cases,
    accepts=(_in_a_loop,),
    # Five mistakes at least, those that people really make. Each has a name, an answer that makes it, and the words that
    # its author reads: what was done, and what to think of instead; not the solution.
    misconceptions=(
        Misconception(  # FILL IN: mistake 1
            "sum",
            lambda x: x.sum(dim=-1),
            "You add up and do not divide. How many numbers has a row?",
        ),
        Misconception(  # FILL IN: mistake 2
            "empty_row",
            lambda x: x.mean(dim=-1),
            "What is the mean of no numbers? 0/0 is NaN; the task says what to return.",
        ),
        Misconception(  # FILL IN: mistake 3
            "columns",
            _down_the_columns,
            "You go down the columns. Each row is one text: its mean runs over the last dimension.",
        ),
        Misconception(  # FILL IN: mistake 4
            "of_everything",
            lambda x: x.sum() / max(x.numel(), 1),
            "This is one number for all rows. Each row has a mean of its own.",
        ),
        Misconception(  # FILL IN: mistake 5
            "one_less",
            lambda x: x.sum(dim=-1) / max(x.shape[-1] - 1, 1),
            "You divide by one too few, as one does for a variance.",
        ),
    ),
    hints=(
        "FILL IN: a first step, without the solution.",
        "FILL IN: the next one.",
    ),
)

EXERCISES = ($constant,)
''')

TASK = Template("""### Exercise: FILL IN: a title

*$points_words · $minutes_words*

FILL IN: what is asked; what the check promises here, a case decides. Write `my_$name(x)`: for `x` of shape `(…, D)` return the
mean of each row, `(…)`. A row without numbers has the mean 0.""")

SOLUTION = Template('''def my_$name(x):
    """FILL IN: what it returns."""
    ### BEGIN SOLUTION
    return x.sum(dim=-1) / max(x.shape[-1], 1)  # FILL IN
    ### END SOLUTION''')

CHECK = Template('check("$id", my_$name)')
