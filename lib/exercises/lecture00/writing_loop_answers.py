"""Answers to the exercise of the loop that writes: the reference, other right ones, and mistakes with their hints."""

from collections.abc import Callable, Sequence

from lib.exercises.engine.exercise import Misconception

Model = Callable[[list[int]], list[float]]
Draw = Callable[[list[float]], int]


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


def by_recursion(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    if max_new_tokens == 0:
        return [*prompt]
    token = draw(next_probabilities([*prompt][-context:]))
    if token == end_id:
        return [*prompt, token]
    return by_recursion(next_probabilities, draw, [*prompt, token], end_id, max_new_tokens - 1, context)


def with_while(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
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


def _asked_ahead(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    ids = list(prompt)
    probabilities = next_probabilities(ids[-context:])
    for _ in range(max_new_tokens):
        ids.append(draw(probabilities))
        if ids[-1] == end_id:
            break
        probabilities = next_probabilities(ids[-context:])
    return ids


def _at_least_one(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    return write(next_probabilities, draw, prompt, end_id, max(1, max_new_tokens), context)


def _same_object(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    small = end_id if end_id is not None and end_id <= 256 else None  # CPython has one object for each of these
    return write(next_probabilities, draw, prompt, small, max_new_tokens, context)


def _cut_once(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    skipped = max(0, len(prompt) - context)
    return write(lambda ids: next_probabilities(ids[skipped:]), draw, prompt, end_id, max_new_tokens, 10**6)


def _context_is_the_limit(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    most = min(max_new_tokens, max(0, context - len(prompt)))
    return write(next_probabilities, draw, prompt, end_id, most, context)


def _end_in_all(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    most = min(1, max_new_tokens) if end_id in prompt else max_new_tokens
    return write(next_probabilities, draw, prompt, end_id, most, context)


def _prompt_extended(next_probabilities, draw, prompt, end_id, max_new_tokens, context):
    prompt += write(next_probabilities, draw, prompt, end_id, max_new_tokens, context)[len(prompt) :]
    return prompt


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


MISTAKES = (
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
        _asked_ahead,
        "You call `next_probabilities` once more than there are new tokens: after the last one, or before none. Ask where "
        "you draw, inside the loop.",
    ),
    _mistake(
        _at_least_one,
        "With max_new_tokens 0 nothing may be written. Your loop writes a token before it looks at the limit.",
    ),
    _mistake(
        _same_object,
        "`is` asks whether two names mean the same object. For small numbers Python has only one, so it seems to work; "
        "compare numbers with ==.",
    ),
    _mistake(
        _cut_once,
        "You cut the prompt to `context` tokens once, at the beginning. The text grows: take the last ones at each step.",
    ),
    _mistake(
        _context_is_the_limit,
        "You stop when the text has `context` tokens. It may grow beyond: the model then reads only the last ones.",
    ),
    _mistake(
        _end_in_all,
        "You look for the end token in the whole text, and find the one of the prompt. Ask about the token just drawn.",
    ),
    _mistake(
        _prompt_extended,
        "You append to `prompt` itself, and so change the list of the caller. Begin with a copy: ids = list(prompt).",
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
)
