"""Exercises of notebook 00: from scores to probabilities; `writing_draw` draws a token, `writing_loop` writes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture00.writing_draw import DRAW
from lib.exercises.lecture00.writing_loop import LOOP
from lib.generation import scale_temperature
from lib.kernels import softmax


# --- writing.probabilities ------------------------------------------------------------------------------------------
def _score_cases(generator):
    drawn = 4 * torch.randn(6, generator=generator)
    scores = torch.tensor([2.0, 1.0, 0.0])
    tied = torch.tensor([0.0, 3.0, 1.0, 3.0])
    low = torch.tensor([-9990.0, -torch.inf, -9991.0], dtype=torch.float64)  # in float32 they are good to 0.001
    return [
        case("the example, temperature 1", scores, 1.0),
        case("the example, temperature 0.5", scores, 0.5),
        case("the example, temperature 2", scores, 2.0),
        case("the example, temperature 0", scores, 0.0),
        case("temperature 0, two scores share the first place", tied, 0),
        case("temperature 1, two scores share the first place", tied, 1),
        case("scores around a thousand", torch.tensor([1000.0, 998.0, 0.0]), 1.0),
        case("scores around minus a thousand", torch.tensor([-1000.0, -1002.0, -1001.0]), 0.8),
        case("a low temperature and scores close together", torch.tensor([0.5, 0.4995, 0.0]), 0.001),
        case("temperature 0 and scores close together", torch.tensor([0.4995, 0.5, 0.0]), 0.0),
        case("one score is minus infinity", torch.tensor([1.0, -torch.inf, 0.0, -1.0]), 0.7),
        case("temperature 0, one score is minus infinity", torch.tensor([-torch.inf, -5.0, -4.0]), 0.0),
        case("minus infinity beside scores around minus 10,000", low, 1.0),
        case("a high temperature, one score is minus infinity", torch.tensor([1.0, -torch.inf, 0.0]), 100.0),
        case("random scores", drawn, 1.3),
        case("random scores, temperature 0", drawn, 0.0),
    ]


def probabilities(logits: Tensor, temperature: float | int) -> Tensor:
    """P(token) ∝ exp(z / T); at T = 0 the first of the largest scores has it all."""
    return softmax(scale_temperature(logits, float(temperature)))


def _only(logits: Tensor, token: int | Tensor) -> Tensor:
    return torch.zeros_like(logits).index_fill(0, torch.as_tensor(token).reshape(1), 1.0)


def _unless_zero(formula: Callable[[Tensor, Any], Tensor]) -> Callable[[Tensor, Any], Tensor]:
    """The formula, with what is right at temperature 0."""
    return lambda logits, temperature: probabilities(logits, 0) if temperature == 0 else formula(logits, temperature)


def _shifted_by_hand(logits, temperature):
    if temperature == 0:
        return _only(logits, logits.argmax())
    scaled = (logits - logits.max()) / temperature
    return scaled.exp() / scaled.exp().sum()


def _by_logarithms(logits, temperature):
    if temperature == 0:
        return (torch.arange(len(logits)) == logits.argmax()).to(logits.dtype)
    scaled = logits / temperature
    return (scaled - scaled.logsumexp(0)).exp()


def _in_a_list(logits, temperature):
    if not temperature:
        return torch.eye(len(logits), dtype=logits.dtype)[logits.argmax()]
    return torch.log_softmax(logits / temperature, dim=0).exp()


def _no_shift(logits, temperature):
    powers = (logits / temperature).exp()
    return powers / powers.sum()


def _ties_shared(logits, temperature):
    winners = (logits == logits.max()).to(logits.dtype)
    return winners / winners.sum() if temperature == 0 else (logits / temperature).softmax(dim=-1)


def _last_of_ties(logits, temperature):
    if temperature == 0:
        return _only(logits, len(logits) - 1 - logits.flip(0).argmax())
    return (logits / temperature).softmax(dim=-1)


def _winners_not_divided(logits, temperature):
    winners = (logits == logits.max()).to(logits.dtype)
    return winners if temperature == 0 else (logits / temperature).softmax(dim=-1)


def _one_hot_of_integers(logits, temperature):
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits))
    return (logits / temperature).softmax(dim=-1)


def _powers(logits, temperature):
    return logits.softmax(dim=-1) ** (1 / temperature)


def _powers_divided(logits, temperature):
    powers = _powers(logits, temperature)
    return powers / powers.sum()


def _smoothed(logits, temperature):
    return (logits / (temperature + 0.01)).softmax(dim=-1)


def _finite_for_infinite(logits, temperature):
    return probabilities(logits.masked_fill(logits == -torch.inf, -1000.0), temperature)


def _shifted_by_magnitude(logits, temperature):
    powers = ((logits - logits.abs().max()) / temperature).exp()
    return powers / powers.sum()


def _divided_in_place(logits, temperature):
    logits /= temperature
    return logits.softmax(dim=-1)


def _low_is_zero(logits, temperature):
    return probabilities(logits, 0 if temperature < 0.01 else temperature)


PROBABILITIES = Exercise(
    id="writing.probabilities",
    slides=("T39", "W13"),
    points=3,
    minutes=10,
    title="From scores to probabilities, with a temperature",
    reference=probabilities,
    cases=_score_cases,
    accepts=(_shifted_by_hand, _in_a_list, _by_logarithms),
    withheld=("lib.generation.warpers.warp",),
    misconceptions=(
        Misconception(
            "divides_by_zero",
            lambda logits, temperature: (logits / temperature).softmax(dim=-1),
            "Right for every temperature but 0: there you divide by zero, and the softmax of infinities is NaN. Give that "
            "temperature a branch of its own.",
        ),
        Misconception(
            "multiplied",
            _unless_zero(lambda logits, temperature: (logits * temperature).softmax(dim=-1)),
            "You multiply the scores by the temperature, so that a high one sharpens. A high temperature makes the choice "
            "more even: divide.",
        ),
        Misconception(
            "temperature_ignored",
            _unless_zero(lambda logits, temperature: logits.softmax(dim=-1)),
            "Your probabilities are those of temperature 1, whatever the temperature is. Did you divide the "
            "probabilities by it, and then by their sum? It cancels out: divide the scores.",
        ),
        Misconception(
            "zero_is_one",
            lambda logits, temperature: (logits / (temperature or 1)).softmax(dim=-1),
            "At temperature 0 you return what belongs to temperature 1. There the largest score must get everything.",
        ),
        Misconception(
            "divided_after_softmax",
            _unless_zero(lambda logits, temperature: logits.softmax(dim=-1) / temperature),
            "You divide the probabilities by the temperature. Then they no longer sum to 1: divide the scores, before the "
            "softmax.",
        ),
        Misconception(
            "exp_overflows",
            _unless_zero(_no_shift),
            "exp(1000) is infinite, and exp(−1000) is 0: dividing one by the other gives NaN. `torch.softmax` is "
            "built for large scores; by hand, subtract the largest score first.",
        ),
        Misconception(
            "not_normalised",
            _unless_zero(lambda logits, temperature: ((logits - logits.max()) / temperature).exp()),
            "The exponentials are right, but nothing divides them by their sum: probabilities sum to 1.",
        ),
        Misconception(
            "logarithms",
            _unless_zero(lambda logits, temperature: (logits / temperature).log_softmax(dim=-1)),
            "These are logarithms of probabilities (log_softmax). The exercise asks for the probabilities.",
        ),
        Misconception(
            "shares_of_scores",
            _unless_zero(lambda logits, temperature: logits / temperature / (logits / temperature).sum()),
            "You divide each score by the sum of the scores. Scores may be negative: take the exponential of each first.",
        ),
        Misconception(
            "ties_shared",
            _ties_shared,
            "At temperature 0 you share the probability between equal scores. The exercise gives it to the first of them.",
        ),
        Misconception(
            "winners_not_divided",
            _winners_not_divided,
            "At temperature 0 you give 1 to every score that equals the largest. With two of them the sum is 2: give it to the "
            "first alone.",
        ),
        Misconception(
            "one_hot_of_integers",
            _one_hot_of_integers,
            "At temperature 0 your zeros and the one are integers (one_hot makes them). Probabilities have the dtype of the "
            "scores.",
        ),
        Misconception(
            "powers_not_divided",
            _unless_zero(_powers),
            "To raise probabilities to the power 1/T is a right idea, but afterwards they no longer sum to 1. Divide the scores "
            "instead, before the softmax.",
        ),
        Misconception(
            "powers_vanish",
            _unless_zero(_powers_divided),
            "Probabilities to the power 1/T, divided by their sum: right on paper. At a temperature of 0.001 the powers are all "
            "rounded to 0, and 0/0 is NaN. Divide the scores, before the softmax.",
        ),
        Misconception(
            "by_hand_and_no_zero",
            _no_shift,
            "Two things: temperature 0 needs a branch of its own, and exp of a large score is infinite. `torch.softmax` copes "
            "with large scores.",
        ),
        Misconception(
            "last_of_ties",
            _last_of_ties,
            "At temperature 0, of several largest scores, you take the last. The exercise asks for the first.",
        ),
        Misconception(
            "token_for_probabilities",
            lambda logits, temperature: logits.argmax() if temperature == 0 else (logits / temperature).softmax(dim=-1),
            "At temperature 0 you return the token. The exercise asks for a probability for each token: 1 for this one, "
            "0 for the others.",
        ),
        Misconception(
            "number_added_to_temperature",
            _smoothed,
            "You add a small number to the temperature against the division by zero. That changes every other "
            "temperature, too. Give temperature 0 a branch of its own.",
        ),
        Misconception(
            "finite_for_infinite",
            _finite_for_infinite,
            "You put a finite score in the place of −∞. Beside scores of minus ten thousand, or at a high temperature, such a "
            "token comes after all. The exponential of −∞ is 0: leave it as it is.",
        ),
        Misconception(
            "shifted_by_magnitude",
            _unless_zero(_shifted_by_magnitude),
            "You subtract the largest magnitude. If all scores are far below 0, every exponential is then 0, and 0/0 is NaN. "
            "Subtract the largest score.",
        ),
        Misconception(
            "divided_in_place",
            _unless_zero(_divided_in_place),
            "`logits /= temperature` changes the scores of the caller. Write `logits / temperature`, which makes new ones.",
        ),
        Misconception(
            "low_taken_for_zero",
            _low_is_zero,
            "You take a low temperature for 0. Two scores that are close together still share at a temperature of 0.001.",
        ),
    ),
    hints=(
        "Two branches: one for a temperature of 0, one for all others.",
        "For the others: the formula above, with a softmax that copes with large scores; PyTorch has one.",
        "For 0: begin with a tensor of zeros like logits and set one entry to 1. Which one does argmax give, if two are equal?",
    ),
)

EXERCISES = (PROBABILITIES, DRAW, LOOP)
