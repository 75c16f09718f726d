"""Exercise of notebook 06: bits per byte of a text that is longer than what the model reads; `autoregressive` lists it."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import log_probs_in_window

LN2 = math.log(2)  # nats in a bit
Model = Callable[[Int[Tensor, "T"]], Float[Tensor, "T V"]]


def bits_per_byte_in_windows(
    log_probs: Model, ids: Int[Tensor, "N"], num_bytes: int, window: int, stride: int
) -> float:
    """Bits per byte of ids[1:], read in windows that begin `stride` apart; a token counts where it is first predicted.

    >>> uniform = lambda ids: torch.full((len(ids), 4), 0.25).log()
    >>> round(bits_per_byte_in_windows(uniform, torch.tensor([0, 1, 2, 3, 1]), num_bytes=2, window=3, stride=1), 5)
    4.0
    """
    return _in_windows(log_probs, ids, num_bytes, window, stride)


def _in_windows(
    log_probs, ids, num_bytes, window, stride, *, again=False, tail=True, first_tail=False, late=0, shift=1, sign=-1,
    scale=LN2,
):  # fmt: skip
    """The sum over windows, with a switch for each mistake. `late`: how many new tokens of a later window are lost."""
    nats, counted = 0.0, 1
    for begin in range(0, len(ids), stride):
        part = ids[begin : begin + window]
        if not tail and begin and len(part) < window:
            break
        answers = log_probs(part)
        start = begin + 1 if again else counted + late * (begin > 0)
        if first_tail and begin == 0:
            start = max(1, len(part) - stride)
        for target in range(start, begin + len(part)):
            nats += sign * answers[target - begin - shift, ids[target]].item()
        counted = begin + len(part)
        if counted == len(ids):
            break
    return nats / scale / num_bytes


def _token_by_token(log_probs, ids, num_bytes, window, stride):
    """For each token, the first window that predicts it."""
    nats = 0.0
    for target in range(1, len(ids)):
        begin = max(0, math.ceil((target - window + 1) / stride)) * stride
        nats -= float(log_probs(ids[begin:target])[-1][ids[target]])
    return nats / math.log(2) / num_bytes


def _all_at_once(log_probs, ids, num_bytes, window, stride):
    """Each window's answers gathered in one step, the new ones cut off at the end."""
    total, begin, counted = torch.zeros((), dtype=torch.float64), 0, 1
    while counted < len(ids):
        end = min(begin + window, len(ids))
        scores = log_probs(ids[begin:end])[:-1].gather(1, ids[begin + 1 : end, None]).squeeze(1)
        total = total - scores[len(scores) - (end - counted) :].sum()
        begin, counted = begin + stride, end
    return total / math.log(2) / num_bytes


def _cases(generator):
    V = 5
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))

    def text(what, N, num_bytes, window, stride, number=0):
        ids = torch.randint(V, (N,), generator=generator)
        return case(what, Made(log_probs_in_window, (V, window, seed + number)), ids, num_bytes, window, stride)

    return [
        text("the whole text fits into one window", 5, 13, 8, 4),
        text("a text as long as the window", 6, 11, 6, 2),
        text("three windows, the last one full", 10, 31, 6, 2),
        text("the last window is shorter", 12, 29, 6, 4),
        text("windows that begin one apart", 9, 20, 4, 1, 1),
        text("windows that share one token", 13, 40, 5, 4, 2),
        text("a single token is predicted", 2, 3, 4, 2),
        text("one token is left for the last window", 7, 17, 6, 3, 3),
    ]


def _disjoint(log_probs, ids, num_bytes, window, stride):
    return _in_windows(log_probs, ids, num_bytes, window, window, again=True)


def _mistake(name, hint, **switches):
    return Misconception(name, partial(_in_windows, **switches), hint)


def _by_rule(rule):
    """Bits per byte where `rule(N, window, stride)` lists the windows: begin, end, and the targets that count."""

    def answer(log_probs, ids, num_bytes, window, stride):
        nats = 0.0
        for begin, end, targets in rule(len(ids), window, stride):
            answers = log_probs(ids[begin:end])
            nats -= sum(answers[t - begin - 1, ids[t]].item() for t in targets)
        return nats / LN2 / num_bytes

    return answer


def _begins(N, window, stride):
    return range(0, max(N - window, 0) + stride, stride)


def _last_visit(N, window, stride):
    begins = _begins(N, window, stride)
    last = [*(b + 1 for b in begins[1:]), N]
    return [(b, min(b + window, N), range(b + 1, end)) for b, end in zip(begins, last)]


def _stride_at_the_end(N, window, stride):
    ends = [(b, min(b + window, N)) for b in _begins(N, window, stride)]
    return [(b, end, range(max(b + 1, end - stride) if b else 1, end)) for b, end in ends]


def _last_moved_back(N, window, stride):
    begins = [min(b, max(N - window, 0)) for b in _begins(N, window, stride)]
    ends = [min(b + window, N) for b in begins]
    return [(b, end, range(first, end)) for b, end, first in zip(begins, ends, [1, *ends])]


def _share_one(N, window, stride):
    ends = [(b, min(b + window, N)) for b in range(0, N - 1, window - 1)]
    return [(b, end, range(b + 1, end)) for b, end in ends]


def _bos_in_front(log_probs, ids, num_bytes, window, stride):
    def with_bos(part):
        return log_probs(torch.cat([ids[:1], part[1:]]))

    return _in_windows(with_bos, ids, num_bytes, window, stride)


def _one_beyond(log_probs, ids, num_bytes, window, stride):
    """Each window is also asked for the token after it."""
    nats, counted, begin = 0.0, 1, 0
    while counted < len(ids):
        answers = log_probs(ids[begin : begin + window])
        end = min(begin + window + 1, len(ids))
        nats -= sum(answers[t - begin - 1, ids[t]].item() for t in range(counted, end))
        begin, counted = begin + stride, end
    return nats / LN2 / num_bytes


def _bos_counted(log_probs, ids, num_bytes, window, stride):
    N = len(ids)
    return _in_windows(log_probs, ids, num_bytes, window, stride) / (N - 1) * N


def _per_token(log_probs, ids, num_bytes, window, stride):
    return _in_windows(log_probs, ids, len(ids) - 1, window, stride)


BITS_PER_BYTE = Exercise(
    id="autoregressive.bits_per_byte",
    slides=("T17",),
    points=5,
    minutes=25,
    title="Bits per byte of a long text",
    reference=bits_per_byte_in_windows,
    cases=_cases,
    accepts=(_token_by_token, _all_at_once),
    misconceptions=(
        _mistake(
            "counted_again",
            "Tokens that two windows share are counted twice. In a later window count only those after the end of the "
            "window before.",
            again=True,
        ),
        Misconception(
            "windows_side_by_side",
            _disjoint,
            "Your windows do not overlap: each begins where the last one ended, so its first token is never predicted "
            "and the next ones have hardly any context. They begin `stride` apart.",
        ),
        _mistake(
            "last_window_missing",
            "The last window may be shorter than the others. Its tokens count as well: read on to the end of the text.",
            tail=False,
        ),
        _mistake(
            "beginning_missing",
            "Of the first window, too, you count only the last `stride` tokens. There all tokens but ids[0] are new.",
            first_tail=True,
        ),
        _mistake(
            "one_lost_in_each_window",
            "In each later window the first new token is missing: the window before did not predict it. Only ids[0] of "
            "the whole text is given.",
            late=1,
        ),
        _mistake(
            "not_shifted",
            "Row t of the model's answer is about the token after position t. You look token t up in it: shift by one.",
            shift=0,
        ),
        Misconception(
            "stride_at_the_end",
            _by_rule(_stride_at_the_end),
            "Of each later window you count the last `stride` tokens. The last window may be shorter, and then fewer are new: "
            "count those after the end of the window before.",
        ),
        Misconception(
            "last_moved_back",
            _by_rule(_last_moved_back),
            "You move the last window back so that it is full. It begins `stride` after the one before, and may be shorter.",
        ),
        Misconception(
            "last_visit",
            _by_rule(_last_visit),
            "A token that two windows predict counts in the first of them. You keep the number of the last one, which has read "
            "less before it.",
        ),
        Misconception(
            "stride_not_used",
            _by_rule(_share_one),
            "Your windows share one token, whatever `stride` is. Each begins `stride` after the one before.",
        ),
        Misconception(
            "bos_in_front",
            _bos_in_front,
            "You put ids[0] at the beginning of each window. A later window reads the text as it is: "
            "ids[begin : begin + window].",
        ),
        Misconception(
            "one_beyond",
            _one_beyond,
            "You also use the last row of a window, about the token after it. A window counts only tokens that it holds.",
        ),
        Misconception(
            "bos_counted",
            _bos_counted,
            "Your sum is that of one token too many: ids[0] is given, so N ids have N − 1 losses.",
        ),
        _mistake("nats", "These are nats per byte. One bit is ln 2 nats: divide by it.", scale=1.0),
        Misconception(
            "per_token", _per_token, "These are bits per token. Divide by the bytes of the text, `num_bytes`."
        ),
        _mistake("sign", "The minus sign is missing: log-probabilities are negative, bits are not.", sign=1),
        Misconception(
            "all_at_once",
            lambda log_probs, ids, num_bytes, window, stride: _in_windows(
                log_probs, ids, num_bytes, len(ids), len(ids)
            ),
            "You give the model the whole text. It reads at most `window` ids at a time: cut the text into windows.",
        ),
        Misconception(
            "perplexity",
            lambda *args: 2 ** _per_token(*args),
            "This is a perplexity, 2 to the bits per token. Asked for are the bits themselves, per byte.",
        ),
    ),
    hints=(
        "How many tokens has the text up to the end of the last window? All after these are new in the next one.",
        "for begin in range(0, len(ids), stride): ask the model for ids[begin : begin + window]. The probability of "
        "ids[target] stands in row target − begin − 1. Stop when a window reaches the end of the text.",
    ),
)
