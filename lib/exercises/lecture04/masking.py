"""Exercise of notebook 04: how much is corrupted and how much is predicted, set apart from each other."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case

Batch = tuple[Int[Tensor, "M T"], Int[Tensor, "M T"]]
IGNORED = -100


# --- masking.two_rates ------------------------------------------------------------------------------------------------
def two_rates(
    ids: Int[Tensor, "B T"], draw: Float[Tensor, "B T"], mask_id: int, corrupted: float, predicted: float
) -> Batch:
    """input_ids and labels that hide `corrupted` of the tokens and ask about `predicted` of them.

    >>> [part.tolist() for part in two_rates(torch.tensor([[7, 8, 9]]), torch.tensor([[.1, .3, .9]]), 4, .4, .2)]
    [[[4, 4, 9]], [[7, -100, -100]]]
    """
    copies = max(1, round(predicted / corrupted))
    hidden = torch.cat([(draw >= k * corrupted) & (draw < (k + 1) * corrupted) for k in range(copies)])
    text, draws = ids.repeat(copies, 1), draw.repeat(copies, 1)
    return text.masked_fill(hidden, mask_id), text.masked_fill(~hidden | (draws >= predicted), IGNORED)


def _cases(generator):
    def drawn(rows, length, corrupted, predicted, mask_id=4):
        """Draws that are spread evenly, so that the shares are exact and none lies at a limit."""
        ids = torch.randint(5, 1000, (rows, length), generator=generator)
        order = torch.randperm(rows * length, generator=generator).view(rows, length)
        return ids, (order + 0.5) / (rows * length), mask_id, corrupted, predicted

    return [
        case("15 / 15", *drawn(4, 10, 0.15, 0.15)),
        case("40 / 15", *drawn(4, 10, 0.4, 0.15)),
        case("10 / 30, three copies", *drawn(4, 10, 0.1, 0.3)),
        case("10 / 30, as 0.1 · 3", *drawn(4, 10, 0.1, 0.1 * 3)),  # 0.30000000000000004
        case("10 / 80, eight copies", *drawn(3, 20, 0.1, 0.8)),
        case("20 / 40, two copies", *drawn(2, 20, 0.2, 0.4)),
        case("everything hidden, half predicted", *drawn(5, 8, 1.0, 0.5)),
        case("25 / 100, four copies of one window", *drawn(1, 40, 0.25, 1.0)),
        case("as many windows as tokens in each", *drawn(10, 10, 0.1, 0.2)),
        case("another id for [MASK]", *drawn(8, 5, 0.5, 0.25, 103)),
    ]


def _rounded(corrupted, predicted):
    return max(1, round(predicted / corrupted))


def _wrong(hide, label, *, order="below", count=_rounded, wanted="ids", empty=IGNORED):
    """An answer from two rules: what copy k hides, and what it labels, of a draw d with shares c and p."""

    def answer(ids, draw, mask_id, corrupted, predicted):
        copies = count(corrupted, predicted)
        parts = []
        for k in range(copies):
            hidden = hide(draw, k, corrupted, predicted)
            read = ids.masked_fill(hidden, mask_id)
            answers = (ids if wanted == "ids" else read).masked_fill(~label(draw, k, corrupted, predicted), empty)
            parts.append((read, answers))
        if order == "beside":  # all copies of the first window, then all of the second
            return tuple(torch.stack(part, dim=1).flatten(0, 1) for part in zip(*parts))
        if order == "stacked":
            return tuple(torch.stack(part) for part in zip(*parts))
        return tuple(torch.cat(part) for part in zip(*parts))

    return answer


def _own(d, k, c, p):
    return (d >= k * c) & (d < (k + 1) * c)


def _asked(d, k, c, p):
    return _own(d, k, c, p) & (d < p)


def _branched(d, k, c, p):
    """As the statement has it: a second limit for the labels only where one copy is enough."""
    return _asked(d, k, c, p) if p <= c else _own(d, k, c, p)


def _counted_up(corrupted, predicted):
    copies, low = 0, 0.0
    while low < predicted:
        copies, low = copies + 1, low + corrupted
    return copies


def _in_place(ids, draw, mask_id, corrupted, predicted):
    answer = two_rates(ids, draw, mask_id, corrupted, predicted)
    ids[draw < corrupted] = mask_id
    return answer


TWO_RATES = Exercise(
    id="masking.two_rates",
    slides=("C07", "C08"),
    points=5,
    minutes=18,
    title="Corrupted and predicted",
    reference=two_rates,
    cases=_cases,
    accepts=(_wrong(_own, _asked),),  # without a mistake, copy by copy
    misconceptions=(
        Misconception(
            "all_gaps_labelled",
            _wrong(_own, _own),
            "Every gap has a label, also where less is predicted than corrupted. A gap with a draw of `predicted` or more is "
            "hidden, and nobody asks about it.",
        ),
        Misconception(
            "hides_only_predicted",
            _wrong(lambda d, k, c, p: _asked(d, k, c, p), _asked),
            "You hide only what you ask about. If 40 % are corrupted and 15 % predicted, the other 25 % are [MASK] too.",
        ),
        Misconception(
            "one_copy_hides_all",
            _wrong(lambda d, k, c, p: d < max(c, p), lambda d, k, c, p: d < p, count=lambda c, p: 1),
            "You hide the predicted share in a single copy, so more is corrupted than `corrupted` says. Several copies of "
            "each window share the work.",
        ),
        Misconception(
            "too_few_copies",
            _wrong(_own, _asked, count=lambda c, p: 1),
            "You have one copy of each window, so no more is asked than is hidden in it. How many copies does `predicted` "
            "need?",
        ),
        Misconception(
            "quotient_cut_off",
            _wrong(_own, _branched, count=lambda c, p: max(1, int(p / c))),
            "A copy is missing: 0.3 / 0.1 is 2.9999999999999996 in the computer, and int() or // cut that down to 2. round() "
            "finds the whole number that is meant.",
        ),
        Misconception(
            "quotient_rounded_up",
            _wrong(_own, _branched, count=lambda c, p: math.ceil(p / c)),
            "There is a copy too many: 0.1 · 3 / 0.1 is 3.0000000000000004 in the computer, and ceil makes 4 of it. round() "
            "finds the whole number that is meant.",
        ),
        Misconception(
            "counted_up",
            _wrong(_own, _branched, count=_counted_up),
            "There is a copy too many. You count up in steps of `corrupted`, and the rounding errors add up: eight times 0.1 "
            "stays below 0.8. Find the number of copies first, from the quotient.",
        ),
        Misconception(
            "same_gaps_in_each_copy",
            _wrong(lambda d, k, c, p: d < c, lambda d, k, c, p: d < min(c, p)),
            "All copies hide the same tokens, so the same questions are asked again. Copy k takes the next part of the "
            "draws.",
        ),
        Misconception(
            "gaps_grow",
            _wrong(lambda d, k, c, p: d < (k + 1) * c, lambda d, k, c, p: (d < (k + 1) * c) & (d < p)),
            "Later copies hide what the earlier ones hid, and more. Each copy hides a share of `corrupted`: its part of the "
            "draws has a lower limit too.",
        ),
        Misconception(
            "earlier_gaps_stay",
            _wrong(lambda d, k, c, p: d < (k + 1) * c, _asked),
            "Later copies still hide what the earlier ones hid. Each copy begins with the original windows.",
        ),
        Misconception(
            "asks_what_can_be_read",
            _wrong(_own, lambda d, k, c, p: d < p),
            "You label tokens that the model can read in that copy. Each copy has labels at its own gaps only.",
        ),
        Misconception(
            "labels_everywhere",
            _wrong(_own, lambda d, k, c, p: torch.ones_like(d, dtype=torch.bool)),
            "Every token has a label. The answer to most of them stands in the input: −100 where nothing is asked.",
        ),
        Misconception(
            "labels_from_corrupted",
            _wrong(_own, _asked, wanted="read"),
            "Your labels are what the model reads, [MASK]. A label is the original token.",
        ),
        Misconception(
            "copies_beside",
            _wrong(_own, _asked, order="beside"),
            "The copies of one window follow each other in your answer. First come all windows in their first copy, then "
            "all in their second.",
        ),
        Misconception(
            "stacked",
            _wrong(_own, _asked, order="stacked"),
            "The copies have a dimension of their own, (copies, B, T). They are more rows of one batch: torch.cat.",
        ),
        Misconception(
            "zero_for_no_label",
            _wrong(_own, _asked, empty=0),
            "You write 0 where nothing is asked. 0 is the id of a token; no label is −100.",
        ),
        Misconception(
            "in_place",
            _in_place,
            "The batch is right, but you have written into `ids`: in the next epoch it would hold the corrupted text. "
            "Work on a copy.",
        ),
    ),
    hints=(
        "Take predicted ≤ corrupted first. One number decides what is hidden, the other what is labelled, and both look at "
        "the same draws.",
        "Now three copies at 10 / 30. Which draws belong to the first copy's gaps, which to the second's?",
        "Do both cases fit into one rule? With one copy, its gaps begin at a draw of 0; where does a label need a second "
        "condition?",
    ),
)

EXERCISES = (TWO_RATES,)
