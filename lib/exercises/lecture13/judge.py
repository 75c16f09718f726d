"""An exercise of notebook 13: what a judge thinks of two answers when their order no longer counts (RLAIF)."""

import torch
from torch import Tensor

from lib import evaluation
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import Judge, judge_with_bias


# --- judge.debiased_preference ----------------------------------------------------------------------------------------
def debiased_preference(judge: Judge, first: Tensor, second: Tensor) -> Tensor:
    """P(first beats second), the mean over both orders in which each pair can be shown (slide T33; Lee et al. 2023)."""
    return evaluation.swap_test(judge, first, second).debiased


def _juries(generator):
    first, second = torch.randn(2, 6, generator=generator)
    lead = torch.tensor([0.3, 2.5, -0.3, -2.5])
    return [
        case("a judge that likes the first place", Made(judge_with_bias, (1.0, 1.0)), first, second),
        case("a judge that likes the second place", Made(judge_with_bias, (-1.5, 2.0)), first, second),
        case("clear and close pairs", Made(judge_with_bias, (1.0, 0.5)), lead, 0 * lead),
        case("a judge that sees the place alone", Made(judge_with_bias, (3.0, 1e6)), first, second),
        case("a fair judge", Made(judge_with_bias, (0.0, 1.0)), first, second),
        case("equal answers", Made(judge_with_bias, (0.7, 1.0)), first[:3], first[:3]),
    ]


def _one_batch(judge, first, second):
    """Both orders in one call, as one would do with a model."""
    shown = judge(torch.cat((first, second)), torch.cat((second, first))).view(2, -1)
    return 0.5 + (shown[0] - shown[1]) / 2


def _both(combine):
    """Another way to `combine` p = P(first) and q = P(first), the second one read from the swapped order."""
    return lambda judge, first, second: combine(judge(first, second), 1 - judge(second, first))


DEBIASED_PREFERENCE = Exercise(
    id="judge.debiased_preference",
    slides=("T33",),
    points=3,
    minutes=10,
    title="A verdict that survives the swap",
    reference=debiased_preference,
    cases=_juries,
    accepts=(_one_batch,),
    misconceptions=(
        Misconception(
            "not_swapped_back",
            _both(lambda p, q: (p + 1 - q) / 2),
            "You average both outputs as they come. In the swapped order the judge's number is the "
            "probability of the *other* answer, which then stands first: 1 minus it is this one's. Yours "
            "says how often the first place wins.",
        ),
        Misconception(
            "one_order_only",
            _both(lambda p, q: p),
            "Each pair is shown in one order only, so that the place still counts. Ask the judge a second "
            "time, with first and second exchanged.",
        ),
        Misconception(
            "swapped_order_only",
            _both(lambda p, q: q),
            "You only use the swapped order: then the other place is favoured. The mean of both orders "
            "favours none.",
        ),
        Misconception(
            "takes_the_larger",
            _both(torch.maximum),
            "You keep the larger of the two verdicts. That favours `first` in every pair, whichever place "
            "the judge likes.",
        ),
        Misconception(
            "takes_the_surer",
            _both(lambda p, q: torch.where((p - 0.5).abs() >= (q - 0.5).abs(), p, q)),
            "You believe the order in which the judge is surer. Being sure is what the bias does as well: "
            "average both.",
        ),
        Misconception(
            "drops_disagreements",
            _both(lambda p, q: ((p + q) / 2)[(p > 0.5) == (q > 0.5)]),
            "You leave out the pairs whose verdict flips. Every pair keeps its place in the result; one that "
            "flips gets a mean near one half, which says how little is known.",
        ),
        Misconception(
            "disagreement_is_a_tie",
            _both(lambda p, q: torch.where((p > 0.5) == (q > 0.5), (p + q) / 2, 0.5)),
            "You call a flipped verdict a tie, as Zheng et al. do when they count wins. The mean still knows "
            "which answer came off better over both orders: keep it.",
        ),
        Misconception(
            "votes",
            _both(lambda p, q: ((p > 0.5).to(p.dtype) + (q > 0.5).to(p.dtype)) / 2),
            "You round each verdict to a vote before averaging. RLAIF trains on soft labels: average the "
            "probabilities.",
        ),
        Misconception(
            "averages_the_logits",
            _both(lambda p, q: torch.sigmoid((p.logit() + q.logit()) / 2)),
            "You average the logits. That would undo exactly the bias of *our* judge, which is a shift of "
            "its logit; asked is the mean of the two probabilities, as Lee et al. take it, whatever the bias "
            "looks like.",
        ),
        Misconception(
            "multiplies",
            _both(lambda p, q: p * q),
            "You multiply the two verdicts: the probability of winning twice. A tie would become 1/4; take "
            "the mean.",
        ),
    ),
    hints=(
        "judge(first, second) is the probability that `first` wins when it is shown first. What does "
        "judge(second, first) say about `first`?",
        "Its complement: 1 − judge(second, first). The answer is the mean of the two.",
    ),
)

EXERCISES = (DEBIASED_PREFERENCE,)
