"""The second exercise of `ranking`: how often a label can be foretold at best."""

import math

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- ranking.best_accuracy --------------------------------------------------------------------------------------------
def best_accuracy(first: Tensor, second: Tensor) -> float:
    """How often the better answer is chosen when labels follow Bradley and Terry's probability (slide T28)."""
    return torch.sigmoid((first - second).abs()).mean().item()


def _known(generator):
    first, second = torch.randn(2, 8, generator=generator)
    second[:2] = first[:2] + torch.tensor([1.0, -1.5])  # the better answer is second, then first
    return [
        case("one close pair", torch.tensor([1.0]), torch.tensor([2.0])),
        case("equal answers: a coin toss", torch.zeros(4), torch.zeros(4)),
        case("eight pairs", 2 * first, 2 * second),
        case("clear pairs", torch.tensor([10.0, -30.0]), torch.tensor([-10.0, 30.0])),
        case("pairs that are nearly clear", torch.tensor([4.0, -5.0, 0.5, 6.5]), torch.tensor([-1.0, -0.5, -3.6, 0.5])),
        case("one clear pair, one coin toss", torch.tensor([40.0, 1.0]), torch.tensor([0.0, 1.0])),
        case("rewards around a thousand", torch.tensor([1e3, 1e3, -1e3]), torch.tensor([1001.0, 999.5, -1002.0])),
        case("a thousand against minus a thousand", torch.tensor([1e3, -1e3, 0.5]), torch.tensor([-1e3, 1e3, 0.0])),
    ]


def _by_exponentials(first, second):
    p = first.exp() / (first.exp() + second.exp())
    return torch.maximum(p, 1 - p).mean().item()


def _pair_by_pair(first, second):
    chances = [1 / (1 + math.exp(-abs(a - b))) for a, b in zip(first.tolist(), second.tolist())]
    return sum(chances) / len(chances)


def _one_bet(p):
    return torch.maximum(p.mean(), 1 - p.mean())


def _from_p(of):
    return lambda first, second: of(torch.sigmoid(first - second)).mean().item()


def _without_ties(first, second):
    apart = first != second
    return torch.sigmoid((first - second).abs())[apart].mean().item()


def _at_ties(value):
    """A tie counts `value`, and every other pair as it should."""
    return lambda first, second: (
        torch.sigmoid((first - second).abs()).where(first != second, torch.tensor(value)).mean().item()
    )


def _sure_beyond(distance):
    def answer(first, second):
        apart = (first - second).abs()
        return torch.sigmoid(apart).where(apart <= distance, torch.tensor(1.0)).mean().item()

    return answer


ACCURACY = Exercise(
    id="ranking.best_accuracy",
    slides=("T27", "T28"),
    points=3,
    minutes=12,
    title="The best possible accuracy",
    reference=best_accuracy,
    cases=_known,
    accepts=(_from_p(lambda p: torch.maximum(p, 1 - p)), _pair_by_pair),
    withheld=("lib.worlds.sentences.best_accuracy",),
    misconceptions=(
        Misconception(
            "always_right",
            lambda first, second: 1.0,
            "Knowing r* is not knowing the label: of two close answers a human may choose either. 100 % is impossible.",
        ),
        Misconception(
            "first_always_chosen",
            _from_p(lambda p: p),
            "That is how often the *first* answer wins. Somebody who knows r* bets on the better one, first or second.",
        ),
        Misconception(
            "agreement_of_two_labellers",
            _from_p(lambda p: p * p + (1 - p) * (1 - p)),
            "p² + (1−p)² is how often two *labellers* agree. Somebody who knows r* always names the likelier answer.",
        ),
        Misconception(
            "error_rate",
            _from_p(lambda p: torch.minimum(p, 1 - p)),
            "That is how often the better answer loses: the unavoidable error. The accuracy is 1 minus this.",
        ),
        Misconception(
            "mean_difference_first",
            lambda first, second: torch.sigmoid((first - second).abs().mean()).item(),
            "You average the differences and then take σ. The accuracy is a mean of probabilities, and σ is not "
            "linear.",
        ),
        Misconception(
            "sigma_of_the_mean",
            lambda first, second: torch.sigmoid((first - second).mean()).item(),
            "You average the differences, sign and all, before σ. Each pair has its own bet, on its better answer, and "
            "its own chance: the mean comes last.",
        ),
        Misconception(
            "one_bet_for_all",
            _from_p(_one_bet),
            "You bet on the same side in all pairs. The bet is on each pair's better answer: compare before the mean.",
        ),
        Misconception(
            "how_often_the_first_is_better",
            lambda first, second: (first > second).float().mean().item(),
            "This counts the pairs whose first answer is better. Asked is how often the *label* is foretold, and it may go the "
            "other way.",
        ),
        Misconception(
            "ties_left_out",
            _without_ties,
            "Pairs of equal answers are missing from your mean. They are pairs too: whatever is named is right half the time.",
        ),
        Misconception(
            "ties_are_right",
            _at_ties(1.0),
            "For equal answers the label is a coin toss: right half the time, not always.",
        ),
        Misconception(
            "ties_are_wrong",
            _at_ties(0.0),
            "For equal answers the label is a coin toss: right half the time, not never.",
        ),
        Misconception(
            "first_likelier_only",
            _from_p(lambda p: p[p >= 0.5]),
            "You leave out the pairs whose second answer is the likelier one. It is named there, with the chance 1 − p.",
        ),
        Misconception(
            "each_reward_alone",
            lambda first, second: torch.maximum(torch.sigmoid(first), torch.sigmoid(second)).mean().item(),
            "You take σ of each reward alone. A chance comes from the *difference* of the two rewards of a pair.",
        ),
        Misconception(
            "softmax_over_the_pairs",
            lambda first, second: torch.stack((first, second)).softmax(dim=1).amax(dim=0).mean().item(),
            "Your softmax runs over the pairs. The choice is between the two answers of one pair.",
        ),
        Misconception(
            "sure_of_clear_pairs",
            _sure_beyond(4.0),
            "You take a clear pair for certain. Even at a difference of 5 seven labels in a thousand go the other way.",
        ),
        Misconception(
            "sum",
            lambda first, second: torch.sigmoid((first - second).abs()).sum().item(),
            "You add up the chances of all pairs. The accuracy is their mean.",
        ),
        Misconception(
            "per_cent",
            lambda first, second: 100 * torch.sigmoid((first - second).abs()).mean().item(),
            "This is in per cent. An accuracy is a share, between 0 and 1.",
        ),
        Misconception(
            "overflows",
            _by_exponentials,
            "exp(1000) is ∞, and ∞/∞ is NaN. The chance depends on the difference of two rewards alone, however large "
            "they are: σ(r₁ − r₂).",
        ),
        Misconception(
            "abs_forgotten_inside_the_mean",
            lambda first, second: torch.sigmoid((first - second).mean().abs()).item(),
            "Differences of opposite sign cancel in your mean. Each pair has its own better answer: take |r₁ − r₂| of "
            "each pair.",
        ),
    ),
    hints=(
        "For one pair: bet on the answer with the higher reward. How often is it the one that was chosen?",
        "σ(|r₁ − r₂|), and the mean of that over pairs, as a Python float.",
    ),
)
