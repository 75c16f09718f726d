"""An exercise of notebook 13: an LLM judge's preference without its position bias (RLAIF)."""

import torch
from torch import Tensor

from lib import evaluation
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import Judge, judge_with_bias


# --- judge.debiased_preference ----------------------------------------------------------------------------------------
def debiased_preference(judge: Judge, first: Tensor, second: Tensor) -> Tensor:
    """P(first beats second), averaged over both orders in which a pair can be shown (slide T33; Lee et al. 2023)."""
    return evaluation.swap_test(judge, first, second).debiased


def _judges(generator):
    first, second = torch.randn(2, 6, generator=generator)
    lead = torch.tensor([0.3, 2.5, -0.3, -2.5])
    return [
        case("a judge that prefers the first position", Made(judge_with_bias, (1.0, 1.0)), first, second),
        case("a judge that prefers the second position", Made(judge_with_bias, (-1.5, 2.0)), first, second),
        case("clear and close pairs", Made(judge_with_bias, (1.0, 0.5)), lead, 0 * lead),
        case("a judge that sees only the position", Made(judge_with_bias, (3.0, 1e6)), first, second),
        case("a judge without a bias", Made(judge_with_bias, (0.0, 1.0)), first, second),
        case("equal answers", Made(judge_with_bias, (0.7, 1.0)), first[:3], first[:3]),
        case("a judge that is certain of the first position", Made(judge_with_bias, (1000.0, 1.0)), first, second),
        case("one pair", Made(judge_with_bias, (-0.5, 1.0)), lead[1:2], lead[:1]),
    ]


def _one_batch(judge, first, second):
    """Both orders in one batch, as one would call a model."""
    shown = judge(torch.cat((first, second)), torch.cat((second, first))).view(2, -1)
    return 0.5 + (shown[0] - shown[1]) / 2


def _both(combine):
    """Another way to `combine` p and q: P(first) from the given order, and P(first) from the swapped order."""
    return lambda judge, first, second: combine(judge(first, second), 1 - judge(second, first))


DEBIASED_PREFERENCE = Exercise(
    id="judge.debiased_preference",
    slides=("T33",),
    points=3,
    minutes=10,
    title="A judge without position bias",
    reference=debiased_preference,
    cases=_judges,
    accepts=(_one_batch,),
    misconceptions=(
        Misconception(
            "not_swapped_back",
            _both(lambda p, q: (p + 1 - q) / 2),
            "You average both outputs unchanged. In the swapped order the judge returns the probability of the *other* "
            "answer, which is then first: subtract it from 1. Yours is how often the first position wins.",
        ),
        Misconception(
            "one_order_only",
            _both(lambda p, q: p),
            "Each pair is shown in one order only, so that the position still matters. Ask the judge again, with first "
            "and "
            "second swapped.",
        ),
        Misconception(
            "swapped_order_only",
            _both(lambda p, q: q),
            "You only use the swapped order, which favours the other position. The mean of both orders favours "
            "neither.",
        ),
        Misconception(
            "takes_the_larger",
            _both(torch.maximum),
            "You keep the larger of the two verdicts. That favours `first` in every pair, whichever position the judge "
            "prefers.",
        ),
        Misconception(
            "takes_the_surer",
            _both(lambda p, q: torch.where((p - 0.5).abs() >= (q - 0.5).abs(), p, q)),
            "You keep the order in which the judge is more confident. The bias also makes it confident: average both.",
        ),
        Misconception(
            "drops_disagreements",
            _both(lambda p, q: ((p + q) / 2)[(p > 0.5) == (q > 0.5)]),
            "You leave out the pairs whose verdict flips. The result has one entry per pair; a pair that flips gets a "
            "mean "
            "near one half, which shows the uncertainty.",
        ),
        Misconception(
            "disagreement_is_a_tie",
            _both(lambda p, q: torch.where((p > 0.5) == (q > 0.5), (p + q) / 2, 0.5)),
            "You call a flipped verdict a tie, as Zheng et al. do when they count wins. The mean "
            "still shows which answer did better over both orders: keep it.",
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
            "You average the logits. That removes exactly the bias of *our* judge, a shift of its logit. The exercise "
            "asks "
            "for the mean of the two probabilities, as Lee et al. use it for any kind of bias.",
        ),
        Misconception(
            "geometric_mean",
            _both(lambda p, q: (p * q).sqrt()),
            "You take the geometric mean. Then the verdicts on the two answers of a pair do not add up to 1; the plain mean's "
            "do.",
        ),
        Misconception(
            "second_beats_first",
            _both(lambda p, q: 1 - (p + q) / 2),
            "This is the probability that `second` beats `first`: take 1 minus the other of the two outputs.",
        ),
        Misconception(
            "normalises",
            _both(lambda p, q: p / (p + 1 - q)),
            "You divide by the sum of both outputs. They are not two shares of one whole: each is a probability, and the "
            "exercise asks for the mean of P(first) over the two orders.",
        ),
        Misconception(
            "multiplies",
            _both(lambda p, q: p * q),
            "You multiply the two verdicts: the probability of winning twice. A tie would become 1/4; take the mean.",
        ),
    ),
    hints=(
        "judge(first, second) is the probability that `first` wins when it is shown first. What does judge(second, "
        "first) "
        "tell about `first`?",
        "Two estimates of the same probability, one from each order. Check on a judge that always says 0.9 whatever it reads: "
        "your answer must be one half.",
    ),
    withheld=("lib.evaluation.judges._verdicts",),
)

EXERCISES = (DEBIASED_PREFERENCE,)
