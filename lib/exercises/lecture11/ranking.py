"""Exercises of notebook 11: pairs from rankings, a reward difference from wins, the best possible accuracy."""

import math
from collections.abc import Sequence
from itertools import combinations, permutations

import torch

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture11.accuracy import ACCURACY


# --- ranking.pairs_from_ranking ---------------------------------------------------------------------------------------
def pairs_from_ranking(ranks: Sequence[int]) -> list[tuple[int, int]]:
    """All (better, worse) pairs of answers by index, sorted; answers of equal rank make no pair (slide C34).

    >>> pairs_from_ranking([2, 1, 2])
    [(1, 0), (1, 2)]
    """
    return sorted(objectives.pairs_from_ranking(ranks))


def _rankings(generator):
    return [
        case("four answers, as on slide C34", [2, 4, 1, 3]),
        case("two answers, the second is better", [2, 1]),
        case("three answers, the last is the best", [2, 3, 1]),
        case("nine answers", (torch.randperm(9, generator=generator) + 1).tolist()),
        case("two answers of equal rank", [1, 3, 1, 2]),
        case("two of equal rank in the middle, after whom a rank is left out", [4, 2, 1, 2]),
        case("all ranks equal", [1, 1, 1]),
    ]


def _ordered(keep):
    """Sorted pairs of two different answers for which `keep(rank of the first, rank of the second)` holds."""
    return lambda ranks: [(i, j) for i, j in permutations(range(len(ranks)), 2) if keep(ranks[i], ranks[j])]


def _neighbours(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return sorted((i, j) for i, j in zip(order, order[1:]) if ranks[i] < ranks[j])


def _ties_by_index(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return sorted(combinations(order, 2))


def _better_first(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return [(i, j) for i, j in combinations(order, 2) if ranks[i] != ranks[j]]


def _read_as_order(ranks):
    """The list read as "answer ranks[0] is the best, then ranks[1], …"."""
    return sorted((i - 1, j - 1) for i, j in combinations(ranks, 2))


PAIRS = Exercise(
    id="ranking.pairs_from_ranking",
    slides=("C34", "T24"),
    points=2,
    minutes=8,
    title="Pairs from a ranking",
    reference=pairs_from_ranking,
    cases=_rankings,
    accepts=(_ordered(lambda a, b: a < b),),
    misconceptions=(
        Misconception(
            "worse_first",
            _ordered(lambda a, b: a > b),
            "Your pairs are reversed: rank 1 is the best, so the *smaller* rank wins and its index comes first.",
        ),
        Misconception(
            "both_directions",
            _ordered(lambda a, b: a != b),
            "Each comparison occurs twice, once in each direction: y beats y' and y' beats y. 4 answers give 6 pairs, "
            "not 12.",
        ),
        Misconception(
            "neighbours_only",
            _neighbours,
            "You only compare answers with neighbouring ranks. The ranking says more: the first also beats the last. "
            "There are "
            "K(K−1)/2 pairs.",
        ),
        Misconception(
            "best_against_the_rest",
            lambda ranks: _ordered(lambda a, b: a == min(ranks) and a < b)(ranks),
            "Only the best answer is compared. The ranking also orders the others among themselves.",
        ),
        Misconception(
            "ties_make_pairs",
            _ties_by_index,
            "Two answers of equal rank became a pair. Neither was preferred: leave such pairs out.",
        ),
        Misconception(
            "ties_both_ways",
            _ordered(lambda a, b: a <= b),
            "Two answers of equal rank became two pairs, one in each direction. Neither beats the other: use <, not ≤.",
        ),
        Misconception(
            "later_answers_only",
            lambda ranks: [(i, j) for i, j in combinations(range(len(ranks)), 2) if ranks[i] < ranks[j]],
            "Pairs are missing in which the better answer comes later in the list. Either of two answers may be the "
            "better one.",
        ),
        Misconception(
            "not_sorted",
            _better_first,
            "The pairs are right, but not in order: they should be sorted by their indices, not by rank.",
        ),
        Misconception(
            "counted_from_one",
            lambda ranks: [(i + 1, j + 1) for i, j in pairs_from_ranking(ranks)],
            "Your answers are numbered from 1. An index counts from 0: the first answer is ranks[0].",
        ),
        Misconception(
            "ranks_for_indices",
            lambda ranks: sorted((a, b) for a, b in combinations(sorted(ranks), 2) if a < b),
            "Your pairs contain ranks. They should contain the answers: their positions in the list, from 0.",
        ),
        Misconception(
            "list_read_as_an_order",
            _read_as_order,
            "You read the list as “which answer is first, second, …”. It is the reverse: ranks[i] is the rank of "
            "answer i.",
        ),
    ),
    hints=(
        "Go through all pairs of different indices and keep (i, j) where ranks[i] < ranks[j].",
        "itertools.permutations(range(len(ranks)), 2) gives every (i, j) once, already sorted.",
    ),
)


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
    minutes=12,
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

EXERCISES = (PAIRS, DIFFERENCE, ACCURACY)
