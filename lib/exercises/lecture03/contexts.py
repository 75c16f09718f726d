"""Exercise of notebook 03: what a word may be predicted from, both sides of it and not the word itself."""

import torch
from torch.nn.functional import pad

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.models import elmo


# --- contexts.around --------------------------------------------------------------------------------------------------
def around(forward, backward):
    """[forward t − 1, backward t + 1]."""
    return elmo.around(forward, backward)


def _cases(generator):
    def draw(B, T, D):
        return torch.randn(B, T, D, generator=generator), torch.randn(B, T, D, generator=generator)

    return [
        case("one sentence", *draw(1, 4, 2)),
        case("three sentences", *draw(3, 5, 4)),
        case("as many sentences as words and numbers", *draw(3, 3, 3)),
        case("one word: nothing around it", *draw(2, 1, 3)),
        case("two words", *draw(2, 2, 3)),
        case("one number a word", *draw(2, 6, 1)),
        case("double precision", *(x.double() for x in draw(2, 4, 3))),
    ]


def _shifted(by_forward, by_backward, wrap=False, swap=False, dim=-1):
    """Row t is forward at t − by_forward and backward at t + by_backward; outside there are zeros, or the other end."""

    def move(x, by):  # row t becomes row t - by
        if wrap:
            return x.roll(by, dims=1)
        T = x.shape[1]
        return pad(x, (0, 0, max(by, 0), max(-by, 0)))[:, max(-by, 0) : max(-by, 0) + T]

    def answer(forward, backward):
        parts = [move(forward, by_forward), move(backward, -by_backward)]
        return torch.cat(parts[::-1] if swap else parts, dim=dim)

    return answer


def _ends_repeated(forward, backward):
    before = torch.cat([forward[:, :1], forward[:, :-1]], dim=1)
    return torch.cat([before, torch.cat([backward[:, 1:], backward[:, -1:]], dim=1)], dim=-1)


def _by_loops(forward, backward):
    B, T, D = forward.shape
    rows = []
    for t in range(T):
        before = forward[:, t - 1] if t > 0 else forward.new_zeros(B, D)
        after = backward[:, t + 1] if t + 1 < T else forward.new_zeros(B, D)
        rows.append(torch.cat([before, after], dim=-1))
    return torch.stack(rows, dim=1)


def _filled(forward, backward):
    B, T, D = forward.shape
    result = forward.new_zeros(B, T, 2 * D)
    result[:, 1:, :D] = forward[:, :-1]
    result[:, :-1, D:] = backward[:, 1:]
    return result


def _backward_flipped(forward, backward):
    return torch.cat([pad(forward, (0, 0, 1, -1)), pad(backward, (0, 0, 1, -1)).flip(1)], dim=-1)


def _interleaved(forward, backward):
    return around(forward, backward).unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)


def _nothing_for_one_word(forward, backward):
    return around(forward, backward) if forward.shape[1] > 1 else torch.cat([forward, backward], dim=-1)[:, :0]


AROUND = Exercise(
    id="contexts.around",
    slides=("N26",),
    points=3,
    minutes=15,
    title="Both sides, and not the word",
    reference=around,
    cases=_cases,
    gradient=("forward", "backward"),
    accepts=(_by_loops, _filled),
    misconceptions=(
        Misconception(
            "not_shifted",
            _shifted(0, 0),
            "Row t has both states of place t. Both have read word t: predicting it from them is copying.",
        ),
        Misconception(
            "only_forward_shifted",
            _shifted(1, 0),
            "The forward half is right. The backward state of place t has read word t: take that of t + 1.",
        ),
        Misconception(
            "only_backward_shifted",
            _shifted(0, 1),
            "The backward half is right. The forward state of place t has read word t: take that of t − 1.",
        ),
        Misconception(
            "wrong_way",
            _shifted(-1, -1),
            "You shifted in the wrong direction: forward t + 1 and backward t − 1 have both read word t, and more.",
        ),
        Misconception(
            "both_forward",
            _shifted(1, -1),
            "Both halves come from t − 1. The backward model reads from the right: look at its state at t + 1.",
        ),
        Misconception(
            "both_backward",
            _shifted(-1, 1),
            "Both halves come from t + 1. The forward model reads from the left: look at its state at t − 1.",
        ),
        Misconception(
            "around_the_end",
            _shifted(1, 1, wrap=True),
            "roll goes round the end: the first word gets the last state, which has read all. Beyond the ends: zeros.",
        ),
        Misconception(
            "ends_repeated",
            _ends_repeated,
            "At the ends you repeat the nearest state, which has read the word itself. Beyond the ends there are zeros.",
        ),
        Misconception(
            "halves_swapped", _shifted(1, 1, swap=True), "The backward half stands first. The forward half comes first."
        ),
        Misconception(
            "joined_along_words",
            _shifted(1, 1, dim=1),
            "You put the halves one after the other along the words. They belong side by side: 2D numbers for each word.",
        ),
        Misconception(
            "added",
            lambda forward, backward: sum(_shifted(1, 1)(forward, backward).chunk(2, dim=-1)),
            "You add the halves. They stay apart, side by side: 2D numbers for each word.",
        ),
        Misconception(
            "two_apart",
            _shifted(2, 2),
            "Your halves are two places away, so that the neighbours of t are missing. They come from t − 1 and t + 1.",
        ),
        Misconception(
            "backward_flipped",
            _backward_flipped,
            "You turn the backward states round. They are in the order of the text already: place t has the state after word t.",
        ),
        Misconception(
            "interleaved",
            _interleaved,
            "The numbers of both states alternate. All D of the forward state come first, then those of the backward state.",
        ),
        Misconception(
            "nothing_for_one_word",
            _nothing_for_one_word,
            "Where T is 1 your result has no place at all: a slice such as `forward[:, 1:2]` is empty. It has one, of zeros.",
        ),
        Misconception("detached", lambda forward, backward: around(forward, backward).detach(), DETACHED),
    ),
    hints=(
        "The forward state of place t has read the words 1 … t. Which is the last one that has not read word t?",
        "`forward[:, :-1]` are the states before the words 2 … T. Word 1 needs a row of zeros in front: torch.cat along dim 1.",
    ),
)

EXERCISES = (AROUND,)
