"""Exercise of notebook 07: which guesses of a draft are kept, and what is drawn after them?"""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


def verdict(p: Tensor, q: Tensor, guesses: list[int], u: list[float]) -> tuple[int, Tensor]:
    """How many guesses are accepted, and the distribution of the token that follows them (Leviathan et al. 2023).

    >>> verdict(torch.tensor([[0.5, 0.5], [0.9, 0.1]]), torch.tensor([[0.2, 0.8]]), [1], [0.9])
    (0, tensor([1., 0.]))
    """
    for i, guess in enumerate(guesses):
        if u[i] >= p[i, guess] / q[i, guess]:
            rest = (p[i] - q[i]).clamp(min=0)
            return i, rest / rest.sum()
    return len(guesses), p[len(guesses)]


def _distributions(rows, size, generator):
    drawn = torch.rand(rows, size, generator=generator) + 0.05
    return drawn / drawn.sum(dim=1, keepdim=True)


P = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.25, 0.25, 0.5]])
Q = torch.tensor([[0.2, 0.7, 0.1], [0.6, 0.2, 0.2]])


def _cases(generator):
    p, q = _distributions(4, 5, generator), _distributions(3, 5, generator)
    return [
        case("the first guess is rejected", P, Q, [1, 2], [0.9, 0.1]),
        case("the second guess is rejected", P, Q, [0, 0], [0.9, 0.5]),
        case("both are accepted", P, Q, [0, 2], [0.9, 0.9]),
        case("a guess that the draft likes less than the model", P, Q, [2, 1], [0.99, 0.4]),
        case("the first is rejected, the second would be accepted", P, Q, [1, 2], [0.6, 0.0]),
        case("accepted by chance", P, Q, [1, 0], [0.3, 0.1]),
        case("no guesses", P[:1], Q[:0], [], []),
        case(
            "a guess that the model never makes",
            torch.tensor([[0.0, 1.0], [0.5, 0.5]]),
            torch.tensor([[0.5, 0.5]]),
            [0],
            [0.0],
        ),
        case("a draft that is certain", P[:2], torch.tensor([[0.0, 1.0, 0.0]]), [1], [0.5]),
        case("the draft is the model", P, P[:2], [0, 2], [0.999, 0.999]),
        case(
            "random distributions", p, q, torch.multinomial(q, 1, generator=generator)[:, 0].tolist(), [0.2, 0.9, 0.5]
        ),
        case("random distributions in float64", p.double(), q.double(), [0, 1, 2], [0.9, 0.95, 0.9]),
    ]


def _collected(p, q, guesses, u):
    keep = [bool(u[i] * q[i, g] < p[i, g]) for i, g in enumerate(guesses)]
    number = keep.index(False) if False in keep else len(keep)
    if number == len(keep):
        return number, p[-1]
    rest = torch.relu(p[number] - q[number])
    return number, rest / rest.sum()


def _missing(p, q, guess):
    left = (p - q).clamp(min=0)
    return left / left.sum()


def _with(rest=_missing, chance=lambda p, q, guess: p[guess] / q[guess], stop=True, end=lambda p, q: p[len(q)]):
    """The reference with one part replaced."""

    def answer(p, q, guesses, u):
        number, last = 0, None
        for i, guess in enumerate(guesses):
            if u[i] < chance(p[i], q[i], guess):
                number += 1
                continue
            found = rest(p[i], q[i], guess)
            if stop:
                return number, found
            last = found if last is None else last
        return number, end(p, q) if last is None else last

    return answer


def _without(p, q, guess):
    left = p.clone()
    left[guess] = 0
    return left / left.sum()


def _all_counted(p, q, guesses, u):
    """Counts accepted guesses behind a rejection too, and draws from the row of that number."""
    number = sum(bool(u[i] < p[i, guess] / q[i, guess]) for i, guess in enumerate(guesses))
    return (number, p[-1]) if number == len(guesses) else (number, _missing(p[number], q[number], 0))


def _indexed(p, q, guesses, u):
    """Vectorised, and right but for an empty list, of which torch.tensor makes float32."""
    accepted = torch.tensor(u) < p[torch.arange(len(guesses)), torch.tensor(guesses)] / q.gather(
        1, torch.tensor(guesses)[:, None]
    ).squeeze(1)
    number = int(accepted.long().cumprod(dim=0).sum())
    return (number, p[-1]) if number == len(guesses) else (number, _missing(p[number], q[number], 0))


VERDICT = Exercise(
    id="verdict.accept",
    slides=("T39",),
    points=4,
    minutes=20,
    title="Which guesses are kept?",
    reference=verdict,
    cases=_cases,
    accepts=(_collected,),
    misconceptions=(
        Misconception(
            "drawn_from_p_again",
            _with(rest=lambda p, q, guess: p),
            "After a rejection you draw from p again. Tokens that the draft likes were then given too much, once by "
            "the draft and "
            "once by you: draw from the positive part of p - q.",
        ),
        Misconception(
            "not_normalised",
            _with(rest=lambda p, q, guess: (p - q).clamp(min=0)),
            "Your distribution does not sum to 1. Divide the positive part of p - q by its sum.",
        ),
        Misconception(
            "guess_taken_out",
            _with(rest=_without),
            "You take only the rejected guess out of p. That is right for a draft that is certain; in general the "
            "positive part of "
            "p - q is left.",
        ),
        Misconception(
            "q_minus_p",
            _with(rest=lambda p, q, guess: (q - p).clamp(min=0) / (q - p).clamp(min=0).sum()),
            "You take q - p: what the draft likes more than the model. What is missing is what the model likes "
            "more: p - q.",
        ),
        Misconception(
            "negative_probabilities",
            _with(rest=lambda p, q, guess: p - q),
            "Your distribution has negative numbers. Where the draft gives more than the model nothing is left: set "
            "these to 0, "
            "then divide by the sum.",
        ),
        Misconception(
            "softmax",
            _with(rest=lambda p, q, guess: (p - q).softmax(0)),
            "You apply softmax to p - q. These are differences of probabilities: set the negative ones to 0 and "
            "divide by the sum.",
        ),
        Misconception(
            "ratio_turned",
            _with(chance=lambda p, q, guess: q[guess] / p[guess]),
            "You accept with q / p. A guess that the model finds likelier than the draft does must always be kept: "
            "p / q.",
        ),
        Misconception(
            "p_alone",
            _with(chance=lambda p, q, guess: p[guess]),
            "You accept with probability p. The draft has already drawn this token with probability q: keep it with "
            "p / q.",
        ),
        Misconception(
            "most_likely_only",
            _with(chance=lambda p, q, guess: 1.0 if p.argmax() == guess else 0.0),
            "You accept only the model's most likely token. That is right for greedy decoding; here u decides, with "
            "the chance "
            "p / q.",
        ),
        Misconception(
            "goes_on_after_a_rejection",
            _with(stop=False),
            "You go on after a rejection. The guesses behind it were made for another text: they are all thrown away.",
        ),
        Misconception(
            "all_accepted_counted",
            _all_counted,
            "You count all guesses that pass the test, those behind a rejection too. They were made for another "
            "text: count only up to the first rejection.",
        ),
        Misconception(
            "no_guesses_forgotten",
            _indexed,
            "Without guesses your code stops: torch.tensor([]) holds floats, which cannot be indices. Write dtype=torch.long "
            "there, or treat the empty list first.",
        ),
        Misconception(
            "last_guess_row",
            _with(end=lambda p, q: p[max(len(q) - 1, 0)]),
            "When all guesses are accepted you return the row of the last guess. The model has read the guesses "
            "too: p has one row "
            "more, for the token after them.",
        ),
        Misconception(
            "accepted_at_the_boundary",
            lambda p, q, guesses, u: _with(chance=lambda p, q, g: p[g] / q[g] + 1e-9)(p, q, guesses, u),
            "A guess to which the model gives 0 was accepted with u = 0. Accept only if u is less than p / q.",
        ),
        Misconception(
            "one_too_many",
            lambda p, q, guesses, u: (verdict(p, q, guesses, u)[0] + 1, verdict(p, q, guesses, u)[1]),
            "Your number is one too large: it counts the token that is drawn afterwards. Count the accepted "
            "guesses alone.",
        ),
        Misconception(
            "clamped_to_eps",
            _with(rest=lambda p, q, guess: (p - q).clamp(min=0.01) / (p - q).clamp(min=0.01).sum()),
            "You leave a little to every token. Where the draft gives more than the model exactly 0 is left.",
        ),
    ),
    hints=(
        "Go through the guesses in their order. Guess i is accepted if u[i] < p[i, guess] / q[i, guess]; return at "
        "the first one "
        "that is not.",
        "At the rejected guess i the distribution is (p[i] - q[i]).clamp(min=0), divided by its sum. If none is "
        "rejected, it is the "
        "last row of p.",
    ),
)

EXERCISES = (VERDICT,)
