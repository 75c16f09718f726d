"""Exercises of notebook 11: a reward difference from wins, and the best possible accuracy."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture11.accuracy import ACCURACY


# --- ranking.difference -----------------------------------------------------------------------------------------------
def difference(wins: int, losses: int) -> tuple[float, float]:
    r"""$\hat r_1 - \hat r_2 = \ln\frac{k}{n-k}$ and its standard error $\sqrt{1/k + 1/(n-k)}$ (slide T28).

    >>> [round(x, 4) for x in difference(30, 10)]
    [1.0986, 0.3651]
    """
    return math.log(wins / losses), math.sqrt(1 / wins + 1 / losses)


def _scores(generator):
    some = torch.randint(1, 40, (2,), generator=generator).tolist()
    return [
        case("three to one", 30, 10),
        case("three to one, from fewer comparisons", 3, 1),
        case("as many wins as losses", 25, 25),
        case("more losses than wins", 7, 70),
        case("one win each", 1, 1),
        case("one win in a thousand", 1, 999),
        case("random numbers", *some),
    ]


def _by_information(wins, losses):
    n = wins + losses
    p = wins / n
    return math.log(p) - math.log1p(-p), (n * p * (1 - p)) ** -0.5


def _with_error(estimate):
    return lambda wins, losses: (estimate(wins, losses), difference(wins, losses)[1])


def _with_estimate(error):
    return lambda wins, losses: (difference(wins, losses)[0], error(wins, losses))


DIFFERENCE = Exercise(
    id="ranking.difference",
    slides=("T28",),
    points=3,
    minutes=15,
    title="Two answers, k wins of n",
    reference=difference,
    cases=_scores,
    accepts=(_by_information,),
    withheld=("lib.evaluation.bradley_terry.fit_bradley_terry",),
    misconceptions=(
        Misconception(
            "log_of_the_share",
            _with_error(lambda k, m: math.log(k / (k + m))),
            "ln(k/n) is the log of a probability. The sigmoid's inverse is the log of the *odds*: wins over losses.",
        ),
        Misconception(
            "odds_without_log",
            _with_error(lambda k, m: k / m),
            "These are the odds, e^(r₁ − r₂). The difference of the rewards is their logarithm: 0 for as many wins as losses.",
        ),
        Misconception(
            "difference_of_shares",
            _with_error(lambda k, m: (k - m) / (k + m)),
            "You subtract the shares of wins. σ(r₁ − r₂) must equal the share k/n: solve that for r₁ − r₂.",
        ),
        Misconception(
            "sides_swapped",
            _with_error(lambda k, m: math.log(m / k)),
            "The sign is wrong: more wins than losses must give a difference above 0.",
        ),
        Misconception(
            "elo",
            _with_error(lambda k, m: 400 * math.log10(k / m)),
            "That is the difference in Elo points, the same model on another scale: 400·log₁₀ of the odds. The "
            "exercise uses "
            "the natural logarithm.",
        ),
        Misconception(
            "log10",
            _with_error(lambda k, m: math.log10(k / m)),
            "That is the logarithm to base 10. The sigmoid is made of e: take the natural logarithm of the odds.",
        ),
        Misconception(
            "share",
            _with_error(lambda k, m: k / (k + m)),
            "This is the share of wins. It equals σ(r₁ − r₂): solve that for r₁ − r₂.",
        ),
        Misconception(
            "half_added",
            lambda wins, losses: difference(wins + 0.5, losses + 0.5),
            "You add ½ to both counts, which keeps the estimate finite without wins. The *most likely* difference takes the "
            "counts as they are, and both are at least 1.",
        ),
        Misconception(
            "curvature_at_a_coin",
            _with_estimate(lambda k, m: 2 / math.sqrt(k + m)),
            "You take the curvature where both are equally good, p = ½. Asked is the one at the top, where p = k/n.",
        ),
        Misconception(
            "one_less",
            _with_estimate(lambda k, m: (k + m) / math.sqrt((k + m - 1) * k * m)),
            "You divide by n − 1, as for a variance of measurements. The curvatures of all n comparisons add up.",
        ),
        Misconception(
            "half_width",
            _with_estimate(lambda k, m: 1.96 * math.sqrt(1 / k + 1 / m)),
            "This is half the width of a 95 % interval. The standard error is that without the factor 1.96.",
        ),
        Misconception(
            "error_of_the_share",
            _with_estimate(lambda k, m: math.sqrt(k * m / (k + m) ** 3)),
            "√(p(1−p)/n) is the standard error of the *share*. The reward is its logit, whose slope is 1/(p(1−p)): "
            "divide by p(1−p).",
        ),
        Misconception(
            "share_and_its_error",
            lambda wins, losses: (wins / (wins + losses), math.sqrt(wins * losses / (wins + losses) ** 3)),
            "This is the share of wins, with its standard error. σ(r₁ − r₂) equals that share: solve for r₁ − r₂, whose "
            "error is another one too.",
        ),
        Misconception(
            "one_comparison",
            _with_estimate(lambda k, m: (k + m) / math.sqrt(k * m)),
            "This is the error after a single comparison. The curvature of n comparisons is n times that of one.",
        ),
        Misconception(
            "variance",
            _with_estimate(lambda k, m: 1 / k + 1 / m),
            "1/k + 1/(n−k) is the variance. The standard error is its square root.",
        ),
        Misconception(
            "information_not_inverted",
            _with_estimate(lambda k, m: math.sqrt(k * m / (k + m))),
            "Your error grows with the number of comparisons. np(1−p) is the *information*; the variance is its "
            "reciprocal.",
        ),
    ),
    hints=(
        "The likelihood is largest where σ(d) = k/n. Which d is that?",
        "The second derivative of the loss there is n·p(1−p), the information; the variance is its reciprocal.",
    ),
)

EXERCISES = (DIFFERENCE, ACCURACY)
