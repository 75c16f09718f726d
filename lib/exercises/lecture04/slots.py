"""An exercise of notebook 04: the probability of each word at a masked position (slide C09)."""

import torch
from torch.nn import functional as F

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED


# --- mlm.slot_probabilities -------------------------------------------------------------------------------------------
def slot_probabilities(E, H, t):
    """P(word | corrupted text) at position t for each of the V words, softmax(E h_t)."""
    return torch.softmax(E @ H[t], dim=0)


def _slot_cases(generator):
    def draw(*shape):
        return 0.7 * torch.randn(*shape, generator=generator, dtype=torch.float64)  # gradients without rounding

    return [
        case("seven words, four positions", draw(7, 5), draw(4, 5), 2),
        case("the first position", draw(9, 4), draw(6, 4), 0),
        case("as many positions as words", draw(5, 8), draw(5, 8), 3),
        case("one position", draw(6, 3), draw(1, 3), 0),
        case("the last position", draw(3, 4), draw(5, 4), 4),
        case(
            "scores in the hundreds", *_one_large(60 * draw(5, 8).float(), 15 * draw(4, 8).float(), 1), 1
        ).without_gradient(),
        case("far larger scores at another position", *_large_elsewhere(draw(6, 8).float(), draw(4, 8).float()), 3),
    ]


def _one_large(E, H, t):
    """The first word is parallel to H[t], so that exp() of its score overflows for every draw."""
    return torch.cat((4 * H[t : t + 1], E[1:])), H


def _large_elsewhere(E, H):
    """The first word has a score of 300 at position 0, where nothing is asked."""
    return E, torch.cat((300 * E[:1] / E[0].square().sum(), H[1:]))


def _shifted_by_all(E, H, t):
    shares = (E @ H.T - (E @ H.T).max()).exp()[:, t]
    return shares / shares.sum()


def _printed(E, H, t):
    n = min(len(E), len(H))
    return (E @ H[t]).exp() / (E[:n] * H[:n]).sum(dim=-1).exp().sum()


def _plain_exp(E, H, t):
    shares = (E @ H[t]).exp()
    return shares / shares.sum()


SLOT_PROBABILITIES = Exercise(
    id="mlm.slot_probabilities",
    slides=("C09",),
    points=3,
    minutes=10,
    title="Which word was here?",
    reference=slot_probabilities,
    gradient=("E", "H"),
    cases=_slot_cases,
    accepts=(lambda E, H, t: (E @ H[t] - torch.logsumexp(E @ H[t], dim=0)).exp(),),
    misconceptions=(
        Misconception(
            "as_printed",
            _printed,
            "Your denominator matches each word with another position. All words compete for position t, so each term is "
            "e_j · h_t. Does your answer sum to 1?",
        ),
        Misconception(
            "over_positions",
            lambda E, H, t: torch.softmax(E @ H.T, dim=1)[:, t],
            "You normalise over the positions. The words compete for one position: for fixed t, the sum over words is "
            "1.",
        ),
        Misconception(
            "mean_of_the_text",
            lambda E, H, t: torch.softmax(E @ H.mean(dim=0), dim=0),
            "You average the hidden vectors of all positions. The head uses only h_t, the vector at the masked "
            "position.",
        ),
        Misconception(
            "next_token",
            lambda E, H, t: torch.softmax(E @ H[t - 1], dim=0),
            "You use H[t − 1]. Positions are counted from 0, and a masked model uses the vector *at* the position that it fills "
            "(a GPT would use the one before).",
        ),
        Misconception(
            "scores",
            lambda E, H, t: E @ H[t],
            "These are the scores. A softmax turns them into probabilities.",
        ),
        Misconception(
            "no_exponential",
            lambda E, H, t: E @ H[t] / (E @ H[t]).sum(),
            "You divide the scores themselves by their sum. Scores may be negative; exp makes them positive.",
        ),
        Misconception(
            "one_row",
            lambda E, H, t: torch.softmax(H[t : t + 1] @ E.T, dim=-1),
            "The numbers are right, but their shape is (1, V): H[t] has no dimension for positions, H[t : t + 1] has one.",
        ),
        Misconception(
            "overflow",
            _plain_exp,
            "exp() of a score above 88 is infinite in float32, and ∞/∞ is NaN. Subtract the largest score first, or "
            "use torch.softmax.",
        ),
        Misconception(
            "shifted_by_all",
            _shifted_by_all,
            "You subtract the largest score of all positions. If another position has far larger scores, every exponential at "
            "t rounds to 0, and 0/0 is NaN. Take the maximum at t.",
        ),
        Misconception(
            "over_everything",
            lambda E, H, t: torch.softmax((E @ H.T).flatten(), dim=0).view(len(E), len(H))[:, t],
            "You normalise over all words at all positions. The words compete for one position: does your answer sum to 1?",
        ),
        Misconception(
            "cosine",
            lambda E, H, t: torch.softmax(F.cosine_similarity(E, H[t][None], dim=1), dim=0),
            "You compare directions only. The score is the plain dot product: the lengths of the vectors count.",
        ),
        Misconception(
            "log_probabilities",
            lambda E, H, t: torch.log_softmax(E @ H[t], dim=0),
            "These are log-probabilities. The loss needs them, but the exercise asks for probabilities.",
        ),
        Misconception(
            "scaled",
            lambda E, H, t: torch.softmax(E @ H[t] / E.shape[1] ** 0.5, dim=0),
            "The division by √d_k belongs to attention. Here it is the plain dot product.",
        ),
        Misconception("detached", lambda E, H, t: slot_probabilities(E, H, t).detach(), DETACHED),
    ),
    hints=(
        "Every word has a score at position t. Which product of E and one row of H has the shape (V,)?",
        "The words compete: along which dimension do the probabilities sum to 1?",
    ),
)
