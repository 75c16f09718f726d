"""Exercise of notebook 00: a token drawn by its probability; `writing` lists it."""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


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
        case("a thousand small pieces", torch.cat((torch.tensor([0.5]), torch.full((1000,), 0.0005))), 0.75025),
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


def _tiny_left_out(probabilities, u):
    return draw(probabilities.where(probabilities >= 1e-3, 0), u)


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
            "beyond_is_no_token",
            lambda probabilities, u: _above(probabilities, u, len),
            "Where rounding leaves the sum just below u, you return a number that no token has: no piece ends beyond u, and a "
            "search or a count then gives the number of all pieces. The statement says which token it is then.",
        ),
        Misconception(
            "beyond_is_minus_one",
            lambda probabilities, u: _above(probabilities, u, lambda p: -1),
            "Where rounding leaves the sum just below u, you return −1, which is no token's number. The statement says which "
            "token it is then.",
        ),
        Misconception(
            "tiny_left_out",
            _tiny_left_out,
            "You leave out tokens whose probability is small. They have pieces, too, and many of them make a long one.",
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
        "enumerate(probabilities.tolist()) gives each token with its probability. The first token whose end is beyond u is the "
        "result; if the line is at its end before that, it is the one that you remembered.",
    ),
)
