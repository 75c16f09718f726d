"""Exercises of notebook 11: rankings as pairs, counted wins as a difference, and how well anyone can do."""

import math
from collections.abc import Sequence
from itertools import combinations, permutations

import torch
from torch import Tensor

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- ranking.pairs_from_ranking ---------------------------------------------------------------------------------------
def pairs_from_ranking(ranks: Sequence[int]) -> list[tuple[int, int]]:
    """All (better, worse) pairs of answers by their index, sorted; answers of one rank make no pair (slide C34).

    >>> pairs_from_ranking([2, 1, 2])
    [(1, 0), (1, 2)]
    """
    return sorted(objectives.pairs_from_ranking(ranks))


def _rankings(generator):
    return [
        case("four answers, as on slide C34", [2, 4, 1, 3]),
        case("two answers, the second is better", [2, 1]),
        case("nine answers", (torch.randperm(9, generator=generator) + 1).tolist()),
        case("two that share a place", [1, 3, 1, 2]),
        case("all alike", [1, 1, 1]),
    ]


def _ordered(keep):
    """Sorted pairs of two different answers for which `keep(rank of the first, rank of the second)` holds."""
    return lambda ranks: [
        (i, j) for i, j in permutations(range(len(ranks)), 2) if keep(ranks[i], ranks[j])
    ]


def _neighbours(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return sorted((i, j) for i, j in zip(order, order[1:]) if ranks[i] < ranks[j])


def _ties_by_index(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return sorted(combinations(order, 2))


def _read_as_order(ranks):
    """The list taken as "answer ranks[0] is the best, then ranks[1], …"."""
    return sorted((i - 1, j - 1) for i, j in combinations(ranks, 2))


PAIRS = Exercise(
    id="ranking.pairs_from_ranking",
    slides=("C34", "T24"),
    points=2,
    minutes=8,
    title="A ranking as pairs",
    reference=pairs_from_ranking,
    cases=_rankings,
    accepts=(_ordered(lambda a, b: a < b),),
    misconceptions=(
        Misconception(
            "worse_first",
            _ordered(lambda a, b: a > b),
            "Your pairs are turned round: rank 1 is the best, so the *smaller* rank wins and its index stands first.",
        ),
        Misconception(
            "both_directions",
            _ordered(lambda a, b: a != b),
            "Each comparison comes twice, once in each direction. That says y beat y' and y' beat y: 4 answers make 6 pairs, not 12.",
        ),
        Misconception(
            "neighbours_only",
            _neighbours,
            "You only compare answers that stand next to each other. The labeller has said more: the first also beats the last, "
            "K(K-1)/2 pairs in all.",
        ),
        Misconception(
            "best_against_the_rest",
            lambda ranks: _ordered(lambda a, b: a == min(ranks) and a < b)(ranks),
            "Only the best answer is compared. The ranking also orders the others among themselves.",
        ),
        Misconception(
            "ties_make_pairs",
            _ties_by_index,
            "Two answers of the same rank have become a pair. Nobody preferred either of them: leave such a pair out.",
        ),
        Misconception(
            "ranks_for_indices",
            lambda ranks: sorted((a, b) for a, b in combinations(sorted(ranks), 2) if a < b),
            "Your pairs hold ranks. Wanted are the answers: their positions in the list, from 0.",
        ),
        Misconception(
            "list_read_as_an_order",
            _read_as_order,
            "You read the list as “which answer comes first, second, …”. It is the other way about: ranks[i] is the place of answer i.",
        ),
    ),
    hints=(
        "Go through all pairs of different indices and keep (i, j) where ranks[i] < ranks[j].",
        "itertools.permutations(range(len(ranks)), 2) gives every (i, j) once, already sorted.",
    ),
)


# --- ranking.difference -----------------------------------------------------------------------------------------------
def difference(wins: int, losses: int) -> tuple[float, float]:
    r"""$\hat r_1 - \hat r_2 = \ln\frac{k}{n-k}$ and its standard error $\sqrt{1/k + 1/(n-k)}$ (slide T28, maximum likelihood).

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
        case("some numbers", *some),
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
            "difference_of_shares",
            _with_error(lambda k, m: (k - m) / (k + m)),
            "You subtract the shares of wins. σ(r₁ − r₂) must equal the share k/n: solve that for r₁ − r₂.",
        ),
        Misconception(
            "sides_swapped",
            _with_error(lambda k, m: math.log(m / k)),
            "The sign is turned: more wins than losses must give a difference above 0.",
        ),
        Misconception(
            "elo",
            _with_error(lambda k, m: 400 * math.log10(k / m)),
            "That is the difference in Elo points, the same model on another scale: 400·log₁₀ of the odds. Here the natural "
            "logarithm is asked.",
        ),
        Misconception(
            "error_of_the_share",
            _with_estimate(lambda k, m: math.sqrt(k * m / (k + m) ** 3)),
            "√(p(1−p)/n) is the standard error of the *share*. The reward is its logit, whose slope is 1/(p(1−p)): divide by p(1−p).",
        ),
        Misconception(
            "variance",
            _with_estimate(lambda k, m: 1 / k + 1 / m),
            "1/k + 1/(n−k) is the variance. The standard error is its square root.",
        ),
        Misconception(
            "information_not_inverted",
            _with_estimate(lambda k, m: math.sqrt(k * m / (k + m))),
            "Your error grows with the number of comparisons. np(1−p) is the *information*; the variance is 1 over it.",
        ),
    ),
    hints=(
        "The likelihood is largest where σ(d) = k/n. Which d is that?",
        "The second derivative of the loss at that point is n·p(1−p), the information; the variance is its inverse.",
    ),
)


# --- ranking.best_accuracy --------------------------------------------------------------------------------------------
def best_accuracy(first: Tensor, second: Tensor) -> float:
    """How often the better answer is the chosen one when labels are drawn by Bradley and Terry's probability (slide T28)."""
    return torch.sigmoid((first - second).abs()).mean().item()


def _known(generator):
    first, second = torch.randn(2, 8, generator=generator)
    second[:2] = first[:2] + torch.tensor([1.0, -1.5])  # the better one has either place
    return [
        case("one close call", torch.tensor([1.0]), torch.tensor([2.0])),
        case("equal answers: a coin", torch.zeros(4), torch.zeros(4)),
        case("eight pairs", 2 * first, 2 * second),
        case("clear pairs", torch.tensor([10.0, -30.0]), torch.tensor([-10.0, 30.0])),
        case("one clear, one a coin", torch.tensor([40.0, 1.0]), torch.tensor([0.0, 1.0])),
    ]


def _from_p(of):
    return lambda first, second: of(torch.sigmoid(first - second)).mean().item()


ACCURACY = Exercise(
    id="ranking.best_accuracy",
    slides=("T27", "T28"),
    points=3,
    minutes=12,
    title="How well anyone can do",
    reference=best_accuracy,
    cases=_known,
    accepts=(_from_p(lambda p: torch.maximum(p, 1 - p)),),
    withheld=("lib.worlds.tastes.best_possible",),
    misconceptions=(
        Misconception(
            "always_right",
            lambda first, second: 1.0,
            "Knowing r* is not knowing the label: a human with close answers before them decides either way. 100 % is out of reach.",
        ),
        Misconception(
            "first_always_chosen",
            _from_p(lambda p: p),
            "That is how often the *first* answer wins. Who knows r* bets on the better one, whichever place it has.",
        ),
        Misconception(
            "agreement_of_two_labellers",
            _from_p(lambda p: p * p + (1 - p) * (1 - p)),
            "p² + (1−p)² is how often two *labellers* agree. Someone who knows r* need not toss: they always name the likelier answer.",
        ),
        Misconception(
            "error_rate",
            _from_p(lambda p: torch.minimum(p, 1 - p)),
            "That is how often the better answer loses: the error that nobody can avoid. The accuracy is 1 minus this.",
        ),
        Misconception(
            "mean_difference_first",
            lambda first, second: torch.sigmoid((first - second).abs().mean()).item(),
            "You average the differences and then take σ. A mean of probabilities is asked, and σ is not straight.",
        ),
        Misconception(
            "abs_forgotten_inside_the_mean",
            lambda first, second: torch.sigmoid((first - second).mean().abs()).item(),
            "Differences of opposite sign cancel in your mean. Each pair has its own better answer: take |r₁ − r₂| pair by pair.",
        ),
    ),
    hints=(
        "For one pair: bet on the answer with the higher reward. How often is it the one that was chosen?",
        "σ(|r₁ − r₂|), and the mean of that over pairs, as a Python float.",
    ),
)

EXERCISES = (PAIRS, DIFFERENCE, ACCURACY)
