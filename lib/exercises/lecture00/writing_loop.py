"""Exercise of notebook 00: the loop that writes; `writing` lists it."""

from collections.abc import Callable, Sequence
from itertools import count

import torch

from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import draws_in_turn, next_probs_of_calls, next_probs_of_prefix

Model = Callable[[list[int]], list[float]]
Draw = Callable[[list[float]], int]
V = 5  # tokens of the small models


def write(
    next_probabilities: Model, draw: Draw, prompt: Sequence[int], end_id: int | None, max_new_tokens: int, context: int
) -> list[int]:
    """The prompt and what the model writes after it: until `end_id` is drawn, or `max_new_tokens` tokens.

    >>> write(lambda ids: [0.0, 1.0], lambda p: p.index(1.0), [0], None, 2, 8)
    [0, 1, 1]
    """
    ids = list(prompt)
    for _ in range(max_new_tokens):
        ids.append(draw(next_probabilities(ids[-context:])))
        if ids[-1] == end_id:
            break
    return ids


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
        _written("a random prompt", prompt, 4, 15, 4, lambda new: len(new) > 5, first),
        _written("a model whose calls count", [1, 2], 4, 12, 50, lambda new: len(new) > 5, model=next_probs_of_calls),
    ]  # fmt: skip


def _written(what, prompt, end_id, most, context, wanted, first=0, model=next_probs_of_prefix):
    """A case with the first model and draws, from the number `first` on, with which the written tokens are as `wanted`."""
    for seed in count(first):
        made, drawn = Made(model, (V, seed)), Made(draws_in_turn, (seed,))
        ids = write(made.make(*made.args), drawn.make(*drawn.args), prompt, end_id, most, context)
        if wanted(ids[len(prompt) :]):
            return case(what, made, drawn, prompt, end_id, most, context)
    raise AssertionError


def _by_recursion(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    if max_new_tokens == 0:
        return [*prompt]
    token = draw(next_probabilities([*prompt][-context:]))
    if token == end_id:
        return [*prompt, token]
    return _by_recursion(next_probabilities, draw, [*prompt, token], end_id, max_new_tokens - 1, context)


def _with_while(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    written, token = [], None
    while len(written) < max_new_tokens and (token is None or token != end_id):
        token = draw(next_probabilities((prompt + written)[-context:]))
        written.append(token)
    return prompt + written


def _never_stops(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, None, max_new_tokens, context)


def _end_left_out(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    ids = write(next_probabilities, draw, prompt, end_id, max_new_tokens, context)
    return ids[:-1] if len(ids) > len(prompt) and ids[-1] == end_id else ids


def _prompt_left_out(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max_new_tokens, context)[len(prompt) :]


def _last_token_only(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max_new_tokens, 1)


def _context_ignored(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max_new_tokens, len(prompt) + max_new_tokens + 1)


def _first_of_context(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(lambda ids: next_probabilities(ids[:context]), draw, prompt, end_id, max_new_tokens, 10**6)


def _prompt_only(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    same = prompt[-context:]
    return write(lambda ids: next_probabilities(same), draw, prompt, end_id, max_new_tokens, context)


def _cut_for_good(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    ids = list(prompt)
    for _ in range(max_new_tokens):
        ids = ids[-context:]
        ids.append(draw(next_probabilities(ids)))
        if ids[-1] == end_id:
            break
    return ids


def _end_anywhere(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    most = 0 if end_id in prompt else max_new_tokens
    return write(next_probabilities, draw, prompt, end_id, most, context)


def _length_in_all(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max(0, max_new_tokens - len(prompt)), context)


def _one_more(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max_new_tokens + 1, context)


def _likeliest(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, lambda p: p.index(max(p)), prompt, end_id, max_new_tokens, context)


def _drawn_twice(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    def first_of_two(p):
        return min(draw(p), draw(p), key=lambda token: token != end_id)

    return write(next_probabilities, first_of_two, prompt, end_id, max_new_tokens, context)


def _asked_twice(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    def ask_again(ids):
        next_probabilities(ids)
        return next_probabilities(ids)

    return write(ask_again, draw, prompt, end_id, max_new_tokens, context)


def _zero_is_no_end(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id or None, max_new_tokens, context)


def _looks_before_it_writes(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    most = 0 if prompt[-1] == end_id else max_new_tokens
    return write(next_probabilities, draw, prompt, end_id, most, context)


def _negative_start(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    def read(ids):
        return next_probabilities(ids[len(ids) - context :])

    return write(read, draw, prompt, end_id, max_new_tokens, 10**6)


def _result_cut(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max_new_tokens, context)[-context:]


def _mistake(answer: Callable, hint: str) -> Misconception:
    return Misconception(answer.__name__.strip("_"), answer, hint)


LOOP = Exercise(
    id="writing.loop",
    slides=("N38", "T39"),
    points=4,
    minutes=15,
    title="The loop that writes",
    reference=write,
    cases=_cases,
    accepts=(_by_recursion, _with_while),
    misconceptions=(
        _mistake(
            _never_stops,
            "Your loop goes on after the end token. Compare each new token with end_id, and leave the loop there.",
        ),
        _mistake(
            _end_left_out,
            "The end token is missing from your result. The model wrote it: append it first, then stop.",
        ),
        _mistake(
            _prompt_left_out,
            "You return only what was written. The result begins with the prompt.",
        ),
        _mistake(
            _last_token_only,
            "Your model reads the last token alone. It must read everything before it, up to `context` tokens.",
        ),
        _mistake(
            _context_ignored,
            "Your model reads more than `context` tokens. Give it only the last ones: a slice with a negative start.",
        ),
        _mistake(
            _first_of_context,
            "Your model reads the first `context` tokens and never sees what it has just written. Give it the last ones.",
        ),
        _mistake(
            _prompt_only,
            "Your model reads the prompt again at each step, and not what has been written since. Append, then read again.",
        ),
        _mistake(
            _cut_for_good,
            "You throw away what is beyond the context. The model reads only a part, but the result has all tokens.",
        ),
        _mistake(
            _end_anywhere,
            "An end token in the prompt stops you before you begin. Only one that the model has just written is a reason to "
            "stop: in a chat each earlier turn ends with it.",
        ),
        _mistake(
            _length_in_all,
            "max_new_tokens counts new tokens; you count those of the prompt, too.",
        ),
        _mistake(
            _one_more,
            "You write one token too many: at most max_new_tokens new ones.",
        ),
        _mistake(
            _likeliest,
            "You take the likeliest token each time. Let `draw` choose.",
        ),
        _mistake(
            _drawn_twice,
            "You call `draw` twice for one token. The second call draws another one: draw once and keep the result.",
        ),
        _mistake(
            _asked_twice,
            "You call `next_probabilities` more than once for one token. With a real model each call is most of the work: "
            "call it once and keep the result.",
        ),
        _mistake(
            _zero_is_no_end,
            "With end_id 0 you do not stop: 0 counts as false in Python. Compare the token with end_id.",
        ),
        _mistake(
            _looks_before_it_writes,
            "You look for the end token before you write, and find one at the end of the prompt. Ask about the token that was "
            "drawn, after appending it.",
        ),
        _mistake(
            _negative_start,
            "As long as the text is shorter than the context, len(ids) - context is negative, and a negative start counts from "
            "the end: tokens are lost. ids[-context:] is right for short texts, too.",
        ),
        _mistake(
            _result_cut,
            "The result has lost its beginning. `context` limits what the model reads; the result has all tokens.",
        ),
    ),
    hints=(
        "Begin with ids = list(prompt), a copy. Then a loop of max_new_tokens steps.",
        "In each step stations 3 to 6, in this order: read, draw, append. Then ask whether that token was end_id.",
        "What the model reads is a slice from the end, of at most `context` tokens; a negative start does it. What you append "
        "to, and return, is the whole list.",
    ),
)
