"""Exercise of notebook 07: which tokens does min-p keep?"""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


def min_p(logits: Tensor, p: float) -> Tensor:
    """-inf for each token whose probability is less than p times the largest of its row.

    >>> min_p(torch.tensor([[2.0, 1.9, 0.0]]), 0.5)
    tensor([[2.0000, 1.9000,   -inf]])
    """
    probabilities = logits.softmax(dim=-1)
    return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -torch.inf)


def _cases(generator):
    rows = 2 * torch.randn(3, 6, generator=generator)
    sure = torch.tensor([[4.0, 1.0, 0.0, -1.0]])
    return [
        case("one sure row", sure, 0.1),
        case("one unsure row", torch.tensor([[0.3, 0.2, 0.1, 0.0, -0.1]]), 0.5),
        case("a sure and an unsure row", torch.tensor([[5.0, 0.0, 0.0], [0.2, 0.1, 0.0]]), 0.5),
        case("many tokens, none of them likely", torch.linspace(0, 2, 50)[None], 0.3),
        case("p is 1, and two tokens tie", torch.tensor([[1.5, 0.5, 1.5]]), 1.0),
        case("all logits negative", torch.tensor([[-3.0, -3.2, -9.0]]), 0.4),
        case("large logits", torch.tensor([[1000.0, 999.5, 10.0], [-900.0, -900.2, -905.0]]), 0.4),
        case("one row with large logits", torch.tensor([[1000.0, 999.5, 10.0], [0.5, 0.3, -4.0]]), 0.4),
        case("a token that is forbidden already", torch.tensor([[1.0, -torch.inf, 0.8]]), 0.5),
        case("a small p", torch.tensor([[0.0, -5.0, -8.0]]), 0.001),
        case("random rows", rows, 0.2),
        case("random rows in float64", rows.double() * 2, 0.05),
    ]


def _by_logs(logits, p):
    gap = logits - logits.max(dim=-1, keepdim=True).values
    return torch.where(gap < torch.log(torch.tensor(p, dtype=logits.dtype)) - 1e-6, -torch.inf, logits)


def _loops(logits, p):
    rows = []
    for row in logits:
        q = torch.softmax(row, dim=0)
        rows.append(torch.stack([z if a >= p * max(q) else torch.full_like(z, -torch.inf) for z, a in zip(row, q)]))
    return torch.stack(rows)


def _cut(logits, below, fill=-torch.inf):
    return logits.masked_fill(below, fill)


def _in_place(logits, p):
    q = logits.softmax(dim=-1)
    logits[q < p * q.amax(dim=-1, keepdim=True)] = -torch.inf
    return logits


def _overflow(logits, p):
    q = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
    return _cut(logits, ~(q >= p * q.amax(dim=-1, keepdim=True)))


def _nothing_cut(logits, p):
    """nan is less than nothing."""
    q = logits.exp() / logits.exp().sum(dim=-1, keepdim=True)
    return _cut(logits, q < p * q.amax(dim=-1, keepdim=True))


def _without_a_sum(logits, p):
    q = logits.exp()
    return _cut(logits, q < p * q.amax(dim=-1, keepdim=True))


def _one_shift(logits, p):
    return logits.masked_fill(_nothing_cut(logits - logits.max(), p) == -torch.inf, -torch.inf)


def _kept_probabilities(logits, p):
    return min_p(logits, p).softmax(dim=-1)


def _nucleus(logits, p):
    falling, order = logits.softmax(dim=-1).sort(dim=-1, descending=True)
    late = falling.cumsum(dim=-1) - falling >= p
    return _cut(logits, torch.empty_like(late).scatter(-1, order, late))


MIN_P = Exercise(
    id="cuts.min_p",
    slides=("T39",),
    points=2,
    minutes=10,
    title="Min-p: as good as a share of the best",
    reference=min_p,
    cases=_cases,
    accepts=(_by_logs, _loops),
    withheld=("lib.generation.warpers.keep_min_p",),
    misconceptions=(
        Misconception(
            "absolute_threshold",
            lambda logits, p: _cut(logits, logits.softmax(-1) < p),
            "You compare each probability with p itself. Where 50 tokens are about equally likely, nothing would remain: "
            "the threshold is p times the largest probability.",
        ),
        Misconception(
            "one_maximum_for_all_rows",
            lambda logits, p: _cut(logits, logits.softmax(-1) < p * logits.softmax(-1).amax()),
            "You use one largest probability for the whole batch. Each row is a context of its own: take the maximum along "
            "the last axis and keep that axis.",
        ),
        Misconception(
            "keepdim_forgotten",
            lambda logits, p: _cut(logits, logits.softmax(-1) < p * logits.softmax(-1).amax(-1)),
            "Your maxima have the shape (B,), which does not fit beside (B, V). With keepdim=True they are (B, 1): one for "
            "each row.",
        ),
        Misconception(
            "logits_compared",
            lambda logits, p: _cut(logits, logits < p * logits.amax(-1, keepdim=True)),
            "You compare logits, not probabilities. A logit of 1 beside a best one of 4 is 20 times less likely, not 4 times, "
            "and with negative logits the comparison turns round: apply softmax first.",
        ),
        Misconception(
            "zeros",
            lambda logits, p: _cut(logits, logits.softmax(-1) < p * logits.softmax(-1).amax(-1, keepdim=True), 0.0),
            "You set the logits that fall out to 0. A logit of 0 is an ordinary one, e to the 0 is 1: a token that may not be "
            "drawn needs -inf.",
        ),
        Misconception(
            "probabilities_returned",
            _kept_probabilities,
            "You return probabilities. Logits come in and logits go out, so that other cuts can follow.",
        ),
        Misconception(
            "probabilities_cut",
            lambda logits, p: _cut(logits.softmax(-1), min_p(logits, p) == -torch.inf),
            "The right tokens fall out, but those that stay have their probabilities. A token that is kept "
            "keeps its logit.",
        ),
        Misconception(
            "probabilities_cut_to_0",
            lambda logits, p: _cut(logits.softmax(-1), min_p(logits, p) == -torch.inf, 0.0),
            "You return probabilities, with 0 for what falls out. Asked for are logits: those that came in, and -inf.",
        ),
        Misconception(
            "strict",
            lambda logits, p: _cut(logits, logits.softmax(-1) <= p * logits.softmax(-1).amax(-1, keepdim=True)),
            "You drop tokens that reach the threshold exactly. With p = 1 not even the best token would remain: what has at "
            "least p times the largest probability stays.",
        ),
        Misconception(
            "the_likely_ones_dropped",
            lambda logits, p: _cut(logits, logits.softmax(-1) >= p * logits.softmax(-1).amax(-1, keepdim=True)),
            "You drop the likely tokens and keep the unlikely ones. masked_fill changes what is True in its mask.",
        ),
        Misconception(
            "in_place",
            _in_place,
            "You write into the logits that you were given. The caller may still need them: make a new tensor, with "
            "masked_fill or torch.where.",
        ),
        Misconception(
            "overflow",
            _overflow,
            "exp(1000) is infinite in float32, and inf / inf is no number. torch.softmax subtracts the maximum first.",
        ),
        Misconception(
            "overflow_cuts_nothing",
            _nothing_cut,
            "exp(1000) is infinite in float32, and inf / inf is nan. Nan is not less than anything, so nothing "
            "was cut there. torch.softmax subtracts each row's maximum first.",
        ),
        Misconception(
            "overflow_without_a_sum",
            _without_a_sum,
            "You compare exp of the logits: the sum cancels, that is right. But exp(1000) is infinite in "
            "float32 and exp(-900) is 0, so the tokens of such rows look equal. Subtract each row's maximum "
            "before exp.",
        ),
        Misconception(
            "one_shift_for_all_rows",
            _one_shift,
            "You subtract one maximum from the whole batch. Beside a row in the thousands exp of another row is then 0 "
            "for all its tokens: subtract the maximum of each row, as torch.softmax does.",
        ),
        Misconception(
            "top_p",
            _nucleus,
            "That is top-p: you add probabilities up until p is reached. Min-p adds nothing: each token is compared with the "
            "best one.",
        ),
        Misconception(
            "wrong_axis",
            lambda logits, p: _cut(logits, logits.softmax(0) < p * logits.softmax(0).amax(-1, keepdim=True)),
            "Your probabilities sum to 1 down the columns, over the contexts. The tokens lie along the last "
            "axis: dim=-1.",
        ),
        Misconception(
            "log_probabilities",
            lambda logits, p: _cut(logits.log_softmax(-1), min_p(logits, p) == -torch.inf),
            "The right tokens remain, with other numbers: you return log-probabilities. A token that is kept "
            "keeps its logit.",
        ),
        Misconception(
            "log_probabilities_of_what_is_kept",
            lambda logits, p: min_p(logits, p).log_softmax(-1),
            "The right tokens remain, with other numbers: you return log-probabilities among the kept tokens. "
            "Nothing is normalised here: a token that is kept keeps its logit.",
        ),
        Misconception(
            "shifted_logits",
            lambda logits, p: min_p(logits, p) - logits.amax(-1, keepdim=True),
            "The right tokens remain, but you subtracted the largest logit of the row from them. Subtract it "
            "where you compare, and return the logits as they came.",
        ),
        Misconception(
            "large_negative_number",
            lambda logits, p: _cut(logits, min_p(logits, p) == -torch.inf, -1e9),
            "The right tokens fall out, but with a large negative number. Asked for is minus infinity, -torch.inf.",
        ),
        Misconception(
            "mask_returned",
            lambda logits, p: min_p(logits, p) != -torch.inf,
            "You return which tokens stay, True and False. Asked for are the logits, with -inf where a token "
            "falls out.",
        ),
        Misconception(
            "shifted_by_the_mean",
            lambda logits, p: _cut(logits, logits.softmax(-1) < p * logits.softmax(-1).mean(-1, keepdim=True)),
            "You compare with the mean of the row's probabilities. The measure of min-p is the largest one.",
        ),
    ),
    hints=(
        "Turn logits into probabilities along the last axis, and take each row's largest with keepdim=True.",
        "Compare all probabilities with p times that largest one; logits.masked_fill(mask, -torch.inf) makes a new tensor.",
    ),
)

EXERCISES = (MIN_P,)
