"""Exercise of notebook 00: the loop that writes; `writing` lists it."""

from itertools import count

import torch

from lib.exercises.engine.exercise import Exercise, Made, case
from lib.exercises.engine.made import draws_in_turn, next_probs_of_calls, next_probs_of_prefix
from lib.exercises.lecture00.writing_loop_answers import MISTAKES, by_recursion, with_while, write

V = 5  # tokens of the small models


def _cases(generator):
    first = int(torch.randint(1000, (1,), generator=generator))
    prompt = torch.randint(1, V, (4,), generator=generator).tolist()
    return [
        _written("stops by itself", [1, 2], 4, 40, 50, lambda new: 3 <= len(new) < 12),
        _written("the limit comes first", [2, 1, 3], 4, 5, 50, lambda new: 4 not in new),
        _written("without an end token", [2, 1], None, 9, 50, lambda new: 0 in new and 4 in new),
        _written("no token may be written", [1, 3], 4, 0, 50, lambda new: True),
        _written("the end token also stands in the prompt", [1, 4, 2], 4, 40, 50, lambda new: 3 <= len(new) < 12),
        _written("the prompt ends with the end token", [1, 2, 4], 4, 40, 50, lambda new: 3 <= len(new) < 12),
        _written("the end token is token 0", [1, 2], 0, 12, 50, lambda new: 3 <= len(new) < 12),
        _written("the end token is drawn at once", [3], 4, 7, 50, lambda new: new == [4]),
        _written("the end token is the last that fits", [3, 3], 4, 4, 50, lambda new: len(new) == 4 and new[-1] == 4),
        _written("a prompt longer than the context", [1, 2, 3, 1, 2, 3, 2], 4, 6, 3, lambda new: 4 not in new),
        _written("the context is full after two tokens", [1, 3, 2], 4, 20, 5, lambda new: 6 <= len(new) < 20),
        _written("a context of one token", [1, 2], 4, 8, 1, lambda new: 4 not in new),
        _written("a large vocabulary", [300, 2], 400, 40, 50, lambda new: 3 <= len(new) < 40, size=600),
        _written("one call for each new token, to the limit", [2, 1], None, 3, 50, lambda new: True, calls=3),
        _written("no call if no token may be written", [2, 3], 4, 0, 50, lambda new: True, calls=0),
        _written("a random prompt", prompt, 4, 15, 4, lambda new: len(new) > 5, first),
        _written("a model whose calls count", [1, 2], 4, 12, 50, lambda new: len(new) > 5, model=next_probs_of_calls),
    ]  # fmt: skip


def _written(what, prompt, end_id, most, context, wanted, first=0, model=next_probs_of_prefix, size=V, calls=None):
    """A case with the first model and draws, from the number `first` on, with which the written tokens are as `wanted`.

    With `calls` the model counts how often it is called, and refuses to be called more often.
    """
    for seed in count(first):
        made = Made(model, (size, seed)) if calls is None else Made(next_probs_of_calls, (size, seed, calls))
        drawn = Made(draws_in_turn, (seed,))
        ids = write(made.make(*made.args), drawn.make(*drawn.args), prompt, end_id, most, context)
        if wanted(ids[len(prompt) :]):
            return case(what, made, drawn, prompt, end_id, most, context)
    raise AssertionError


LOOP = Exercise(
    id="writing.loop",
    slides=("N38", "T39"),
    points=4,
    minutes=15,
    title="The loop that writes",
    reference=write,
    cases=_cases,
    accepts=(by_recursion, with_while),
    misconceptions=MISTAKES,
    hints=(
        "Begin with ids = list(prompt), a copy. Then a loop of max_new_tokens steps.",
        "In each step stations 3 to 6, in this order: read, draw, append. Then ask whether that token was end_id.",
        "What the model reads is a slice from the end, of at most `context` tokens; a negative start does it. What you append "
        "to, and return, is the whole list.",
    ),
)
