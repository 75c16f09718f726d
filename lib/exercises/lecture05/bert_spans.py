"""An exercise of `bert`: the likeliest answer that is a span of the passage."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case

EXERCISES = ()


# --- bert.best_span ---------------------------------------------------------------------------------------------------
def best_span(start, end, allowed, longest):
    """The span (i, j) with the largest start[i] + end[j], i <= j < i + longest, both allowed."""
    best, place = -float("inf"), None
    for i in range(len(start)):
        for j in range(i, min(i + longest, len(end))):
            if allowed[i] and allowed[j] and start[i] + end[j] > best:
                best, place = start[i] + end[j], (i, j)
    return place


def _matrix(start, end, allowed, longest):
    scores = (start[:, None] + end[None, :]).masked_fill(~(allowed[:, None] & allowed[None, :]), -torch.inf)
    inside = torch.ones(len(start), len(end)).triu().tril(longest - 1).bool()
    place = int(scores.masked_fill(~inside, -torch.inf).argmax())
    return place // len(end), place % len(end)


def _searched(fits, *, value=lambda a, b: a + b, last=False, shown=lambda i, j: (i, j)):
    """An answer that tries other spans, or values them otherwise."""

    def answer(start, end, allowed, longest):
        best, place = -float("inf"), (0, 0)
        for i in range(len(start)):
            for j in range(len(end)):
                score = value(start[i], end[j])
                if fits(i, j, allowed, longest) and (score > best or (last and score == best)):
                    best, place = score, (i, j)
        return shown(*place)

    return answer


def _right(i, j, allowed, longest):
    return i <= j < i + longest and bool(allowed[i]) and bool(allowed[j])


def _each_alone(start, end, allowed, longest):
    hidden = ~allowed
    return int(start.masked_fill(hidden, -torch.inf).argmax()), int(end.masked_fill(hidden, -torch.inf).argmax())


def _start_first(start, end, allowed, longest):
    i = int(start.masked_fill(~allowed, -torch.inf).argmax())
    after = end.masked_fill(~allowed, -torch.inf)[i : i + longest]
    return i, i + int(after.argmax())


def _end_first(start, end, allowed, longest):
    j = int(end.masked_fill(~allowed, -torch.inf).argmax())
    low = max(0, j - longest + 1)
    return low + int(start.masked_fill(~allowed, -torch.inf)[low : j + 1].argmax()), j


def _swapped_back(start, end, allowed, longest):
    i, j = _each_alone(start, end, allowed, longest)
    return (i, j) if i <= j else (j, i)


def _between(i, j, allowed, longest):
    return _right(i, j, allowed, longest) and bool(allowed[i : j + 1].all())


def _as_probabilities(start, end, allowed, longest):
    hidden = ~allowed
    p, q = (x.masked_fill(hidden, -torch.inf).softmax(dim=0) for x in (start, end))
    return _searched(_right, value=lambda a, b: a * b)(p, q, allowed, longest)


def _masked_by(number):
    """An answer that gives forbidden tokens a low logit instead of leaving them out."""

    def answer(start, end, allowed, longest):
        a, b = (x.masked_fill(~allowed, number) for x in (start, end))
        return best_span(a, b, torch.ones_like(allowed), longest)

    return answer


def _zeroed(start, end, allowed, longest):
    return best_span(start * allowed, end * allowed, torch.ones_like(allowed), longest)


def _cases(generator):
    def drawn(T, longest, question=0, padding=0):
        allowed = torch.ones(T, dtype=torch.bool)
        allowed[:question], allowed[T - padding :] = False, False
        return *(3 * torch.randn(2, T, generator=generator)), allowed, longest

    def at(start, end, hidden=(), longest=5):
        allowed = torch.tensor([i not in hidden for i in range(len(start))])
        return torch.tensor(start), torch.tensor(end), allowed, longest

    return [
        case("the end before the start would score highest", *at([0.0, 1.0, 9.0, 2.0], [8.0, 3.0, 0.0, 2.0])),
        case("the best start has no good end", *at([5.0, 4.0, 0.0, 6.0], [0.0, 0.0, 7.0, 0.0])),
        case("the best end has no good start", *at([6.0, 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 6.0], longest=2)),
        case("the best span is too long", *at([9.0, 0.0, 3.0, 0.0, 0.0], [0.0, 2.0, 0.0, 1.0, 9.0], longest=3)),
        case("as long as is allowed", *at([9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0], longest=3)),
        case("one token", *at([0.0, 7.0, 0.0], [0.0, 7.0, 0.0], longest=1)),
        case("the question would score highest", *at([9.0, 9.0, 0.0, 2.0, 1.0], [9.0, 9.0, 0.0, 1.0, 2.0], (0, 1))),
        case("starts in the question", *at([9.0, 0.0, 1.0, 0.0], [0.0, 0.0, 2.0, 5.0], (0,))),
        case("padding would score highest", *at([1.0, 2.0, 0.0, 8.0], [0.0, 1.0, 3.0, 9.0], (3,))),
        case("all scores below 0", *at([-3.0, -4.0, -5.0, -2.0], [-7.0, -6.0, -1.0, -5.0], (0,))),
        case("a tie: the earlier start", *at([5.0, 5.0, 0.0, 0.0], [0.0, 3.0, 3.0, 0.0])),
        case("forbidden scores are infinite", *at([float("-inf"), 1.0, 2.0], [float("-inf"), 1.0, 0.0], (0,))),
        case("logits in the thousands", *at([2000.0, 1999.0, 0.0, 0.0], [-9.0, 1500.0, 0.0, 1501.0], longest=3)),
        case(
            "logits too far apart for probabilities",
            *at([3000.0, 0.0, 900.0, -2500.0, -3000.0], [-2900.0, -2950.0, 1000.0, 0.0, 4000.0], longest=2),
        ),
        case(
            "allowed logits far below 0",
            *at([9.0, -30000.0, -20000.0, -40000.0], [9.0, -30000.0, -40000.0, -25000.0], (0,)),
        ),
        case("a forbidden token inside the span", *at([6.0, 0.0, 1.0, 0.0], [0.0, 9.0, 5.0, 1.0], (1,))),
        case("twelve tokens, a question and padding", *drawn(12, 4, 4, 2)),
        case("thirty tokens", *drawn(30, 6, 7, 3)),
    ]


BEST_SPAN = Exercise(
    id="bert.best_span",
    slides=("C14",),
    points=4,
    minutes=18,
    title="The best answer in a passage",
    reference=best_span,
    cases=_cases,
    accepts=(_matrix,),
    withheld=("lib.evaluation.spans.best_span",),
    misconceptions=(
        Misconception(
            "each_alone",
            _each_alone,
            "You take the best start and the best end, each by itself. The end may then lie before the start, or too far away: "
            "compare pairs.",
        ),
        Misconception(
            "swapped_back",
            _swapped_back,
            "You take the best start and the best end and swap them where the end comes first. A start is no end: compare "
            "pairs.",
        ),
        Misconception(
            "start_first",
            _start_first,
            "You choose the best start, and then an end for it. Another start with a better end may have the larger sum.",
        ),
        Misconception(
            "end_first",
            _end_first,
            "You choose the best end, and then a start for it. Another end with a better start may have the larger sum.",
        ),
        Misconception(
            "any_order",
            _searched(lambda i, j, allowed, longest: abs(i - j) < longest and allowed[i] and allowed[j]),
            "Your end may lie before your start. An answer reads forwards: i ≤ j.",
        ),
        Misconception(
            "empty_not_allowed",
            _searched(lambda i, j, allowed, longest: i < j < i + longest and allowed[i] and allowed[j]),
            "You want at least two tokens. An answer may be one token: i = j.",
        ),
        Misconception(
            "any_length",
            _searched(lambda i, j, allowed, longest: i <= j and allowed[i] and allowed[j]),
            "Your answers can be longer than `longest` tokens.",
        ),
        Misconception(
            "one_too_long",
            _searched(lambda i, j, allowed, longest: i <= j <= i + longest and allowed[i] and allowed[j]),
            "Your answers can have longest + 1 tokens: from i to i + longest there are so many.",
        ),
        Misconception(
            "one_too_short",
            _searched(
                lambda i, j, allowed, longest: i <= j < max(i + 1, i + longest - 1) and allowed[i] and allowed[j]
            ),
            "An answer of exactly `longest` tokens is allowed; you stop one before.",
        ),
        Misconception(
            "question_allowed",
            _searched(lambda i, j, allowed, longest: i <= j < i + longest),
            "Your answer can lie in the question or in padding. Both ends must be allowed.",
        ),
        Misconception(
            "start_not_checked",
            _searched(lambda i, j, allowed, longest: i <= j < i + longest and allowed[j]),
            "You look at `allowed` for the end alone. The start must lie in the passage, too.",
        ),
        Misconception(
            "all_between_allowed",
            _searched(_between),
            "You ask that every token of the span is allowed. Asked is only that its first and its last one are.",
        ),
        Misconception(
            "probabilities",
            _as_probabilities,
            "You multiply probabilities. Where logits are thousands apart these are 0, and all spans look alike. Add logits.",
        ),
        Misconception(
            "low_logit",
            _masked_by(-1000.0),
            "You give forbidden tokens a low logit. Allowed ones may have lower ones: use −∞, or leave forbidden tokens out.",
        ),
        Misconception(
            "end_not_checked",
            _searched(lambda i, j, allowed, longest: i <= j < i + longest and allowed[i]),
            "You look at `allowed` for the start alone. The end must lie in the passage, too.",
        ),
        Misconception(
            "set_to_zero",
            _zeroed,
            "You set forbidden scores to 0. Where real scores are negative, 0 is the best: leave these places out, or use −∞.",
        ),
        Misconception(
            "product",
            _searched(_right, value=lambda a, b: a * b),
            "You multiply logits. The logarithms of the probabilities add up, so the logits do.",
        ),
        Misconception(
            "end_exclusive",
            _searched(_right, shown=lambda i, j: (i, j + 1)),
            "Your second number is one past the last token. Asked is the last token itself.",
        ),
        Misconception(
            "end_and_start",
            _searched(_right, shown=lambda i, j: (j, i)),
            "You return the end first. The order is (first token, last token).",
        ),
        Misconception(
            "start_and_length",
            _searched(_right, shown=lambda i, j: (i, j - i + 1)),
            "You return the start and the number of tokens. Asked are the first and the last token.",
        ),
        Misconception(
            "last_of_equals",
            _searched(_right, last=True),
            "Of spans that score the same you take the last one. The earlier start counts, then the earlier end.",
        ),
    ),
    hints=(
        "How many pairs (i, j) are there for 30 tokens? Few enough to try all of them.",
        "Begin with a best score of −∞ and no span; replace them only when a score is larger.",
        "Which four conditions must a pair meet?",
    ),
)
