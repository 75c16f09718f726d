"""Exercises of notebook 00: from scores to probabilities, from probabilities to a token; the loop is in `writing_loop`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture00.writing_loop import LOOP
from lib.generation import scale_temperature
from lib.kernels import softmax


# --- writing.probabilities ------------------------------------------------------------------------------------------
def _score_cases(generator):
    drawn = 4 * torch.randn(6, generator=generator)
    scores = torch.tensor([2.0, 1.0, 0.0])
    tied = torch.tensor([0.0, 3.0, 1.0, 3.0])
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


def _smoothed(logits, temperature):
    return (logits / (temperature + 0.01)).softmax(dim=-1)


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
    accepts=(_shifted_by_hand, _in_a_list),
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
            "Your probabilities are those of temperature 1, whatever the temperature is.",
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
            "low_taken_for_zero",
            _low_is_zero,
            "You take a low temperature for 0. Two scores that are close together still share at a temperature of 0.001.",
        ),
    ),
    hints=(
        "Two branches: one for a temperature of 0, one for all others.",
        "For the others: torch.softmax(logits / temperature, dim=-1). It copes with large scores.",
        "For 0: begin with torch.zeros_like(logits) and set one entry to 1. logits.argmax() says which.",
    ),
)


# --- writing.draw -----------------------------------------------------------------------------------------------------
def draw(probabilities: Tensor, u: float) -> int:
    """The token whose piece of the line from 0 to 1 holds `u`; a piece includes its left end, not its right one.

    >>> draw(torch.tensor([0.5, 0.25, 0.25]), 0.5)
    1
    """
    end, last = 0.0, 0
    for token, probability in enumerate(probabilities.tolist()):
        if probability > 0:
            end, last = end + probability, token
            if u < end:
                break
    return last


def _draw_cases(generator):
    mixed = torch.rand(7, generator=generator, dtype=torch.float64)
    mixed = mixed / mixed.sum()
    inside = (mixed.cumsum(0) - mixed / 2).tolist()  # the middle of each piece
    quarters, gaps = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0])
    short = torch.cat((torch.full((49,), 1 / 49), torch.zeros(2)))  # in float32 these sum to 0.99999998
    return [
        case("in the first piece", quarters, 0.3),
        case("in the last piece", quarters, 0.9),
        case("u is 0", quarters, 0.0),
        case("at the end of a piece, where the next begins", quarters, 0.5),
        case("u is 0, and the first token has probability 0", gaps, 0.0),
        case("at the end of a piece, and the next token has probability 0", gaps, 0.5),
        case("shortly before 1, and the last token has probability 0", gaps, 0.999),
        case("small pieces first", torch.tensor([0.125, 0.125, 0.25, 0.5]), 0.4),
        case("one token", torch.tensor([1.0]), 0.75),
        case("the probabilities sum to a little less than u", short, 1 - 1e-12),
        *(case(f"random probabilities, piece {i}", mixed, inside[i]) for i in (1, 4, 6)),
    ]


def _by_search(probabilities, u):
    ends = probabilities.double().cumsum(0)
    found = torch.searchsorted(ends, torch.tensor(u, dtype=torch.float64), right=True)
    return min(int(found), int(probabilities.nonzero()[-1]))


def _above(probabilities, u, none):
    ends = probabilities.double().cumsum(0)
    found = (ends > u).nonzero()
    return int(found[0]) if len(found) else none(probabilities)


def _reached(probabilities, u):
    found = (probabilities.double().cumsum(0) >= u).nonzero()
    return int(found[0]) if len(found) else int(probabilities.nonzero()[-1])


def _sorted(probabilities, u):
    falling, order = probabilities.sort(descending=True, stable=True)
    return int(order[draw(falling, u)])


def _alone(probabilities, u):
    found = (probabilities > u).nonzero()
    return int(found[0]) if len(found) else len(probabilities) - 1


def _by_numpy(probabilities, u):
    import numpy as np

    positive = np.flatnonzero(probabilities.numpy())
    ends = np.cumsum(probabilities.double().numpy()[positive])
    return int(positive[min(np.searchsorted(ends, u, side="right"), len(positive) - 1)])


DRAW = Exercise(
    id="writing.draw",
    slides=("T39",),
    points=2,
    minutes=12,
    title="Draw a token",
    reference=draw,
    cases=_draw_cases,
    accepts=(_by_search, _by_numpy),
    misconceptions=(
        Misconception(
            "likeliest",
            lambda probabilities, u: int(probabilities.argmax()),
            "You always return the likeliest token, whatever u is. Then nothing is drawn.",
        ),
        Misconception(
            "probability_alone",
            _alone,
            "You compare u with each probability alone. The pieces lie one after the other: the second begins where the "
            "first ends, so add up the probabilities.",
        ),
        Misconception(
            "nearest",
            lambda probabilities, u: int((probabilities - u).abs().argmin()),
            "You return the token whose probability is nearest to u. Ask instead on which piece of the line u falls.",
        ),
        Misconception(
            "all_alike",
            lambda probabilities, u: int(u * len(probabilities)),
            "You give every token a piece of the same length. The length of a piece is the token's probability.",
        ),
        Misconception(
            "piece_includes_its_end",
            _reached,
            "At the end of a piece you return that piece, but the next one begins there. It matters: with u = 0 you draw a "
            "token that has probability 0. Compare with <, not <=.",
        ),
        Misconception(
            "beyond_is_the_first",
            lambda probabilities, u: _above(probabilities, u, lambda p: 0),
            "Where rounding leaves the sum just below u, you return token 0: argmax of nothing but False is 0. The "
            "statement asks for the last token whose probability is not 0.",
        ),
        Misconception(
            "beyond_is_the_end_of_the_list",
            lambda probabilities, u: _above(probabilities, u, lambda p: len(p) - 1),
            "Where rounding leaves the sum just below u, you return the last token of the list, though its probability "
            "is 0. Return the last one whose probability is not 0.",
        ),
        Misconception(
            "beyond_is_nothing",
            lambda probabilities, u: _above(probabilities, u, lambda p: None),
            "Where rounding leaves the sum just below u, you return None. The statement says which token it is then.",
        ),
        Misconception(
            "one_too_far",
            lambda probabilities, u: draw(probabilities, u) + 1,
            "Your token is one too far: the first token has the number 0.",
        ),
        Misconception(
            "from_the_other_end",
            lambda probabilities, u: len(probabilities) - 1 - draw(probabilities.flip(0), u),
            "You lay the pieces from the last token to the first. They begin with token 0 at the left.",
        ),
        Misconception(
            "likeliest_first",
            _sorted,
            "You lay the likeliest tokens first. The pieces lie in the order of the tokens, 0, 1, 2, …",
        ),
        Misconception(
            "probability_for_token",
            lambda probabilities, u: float(probabilities[draw(probabilities, u)]),
            "You found the token, and return its probability. Return its number.",
        ),
    ),
    hints=(
        "Walk along the line: keep the sum of the probabilities so far, and stop when it is larger than u.",
        "A token with probability 0 must not be returned: skip it. Remember the last one that you did not skip.",
        "for token, probability in enumerate(probabilities.tolist()): … return the token as soon as u < the sum.",
    ),
)

EXERCISES = (PROBABILITIES, DRAW, LOOP)
