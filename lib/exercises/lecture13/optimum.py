"""The second exercise of `dpo`: the policy at which every method must arrive."""

import torch
from torch import Tensor

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- dpo.optimal_policy -----------------------------------------------------------------------------------------------
def optimal_policy(reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """π*(y|x) ∝ π_ref(y|x) exp(r(x, y) / β), one row of K answers per prompt (Rafailov et al. 2023, eq. 4)."""
    return objectives.optimal_policy(reference, rewards, beta=beta)


def _worlds(generator):
    prompts = torch.softmax(torch.randn(3, 4, generator=generator, dtype=torch.float64), dim=1)
    rewards = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    even, impossible = _table([0.25, 0.25, 0.5]), _table([0.0, 0.4, 0.6], [0.5, 0.0, 0.5])
    rare = _table([1e-12, 0.4, 0.6 - 1e-12])
    scales = _table([-1e4, -9999.0, -9998.0], [1e4, 9998.0, 1e4], [0.0, 1.0, 2.0])
    return [
        case(
            "reference (.2, .5, .3), rewards (1, 0, −1), β = 0.5",
            _table([0.2, 0.5, 0.3]),
            _table([1.0, 0.0, -1.0]),
            0.5,
        ),
        case("three prompts of four answers", prompts, rewards, 0.7),
        case("a large β", prompts, rewards, 5.0),
        case("rewards in the thousands: r / β = 10⁴", even, _table([999.9, 1e3, 1e3]), 0.1),
        case("rows of very different rewards", even.expand(3, 3).clone(), scales, 2.0),
        case("an answer with probability 0 under the reference", impossible[:1], _table([3.0, 1.0, 0.5]), 1.0),
        case("an answer of probability 10⁻¹² whose reward outweighs it", rare, _table([1e3, 0.0, 1.0]), 1.0),
        case("it has the highest reward by far", impossible, _table([1e3, 1.0, 0.9], [-999.8, 5.0, -1e3]), 0.1),
    ]


def _table(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def _normal(weights):
    return weights / weights.sum(dim=-1, keepdim=True)


def _shifted(reference, rewards, beta):
    return _normal(reference * ((rewards - rewards.amax(dim=-1, keepdim=True)) / beta).exp())


def _where_possible(reference, rewards, beta):
    best = torch.where(reference > 0, rewards, -torch.inf).amax(dim=-1, keepdim=True)
    return _normal(torch.where(reference > 0, reference * ((rewards - best) / beta).exp(), 0))


def _by_logsumexp(reference, rewards, beta):
    weights = reference.log() + rewards / beta
    return (weights - weights.logsumexp(dim=-1, keepdim=True)).exp()


OPTIMAL_POLICY = Exercise(
    id="dpo.optimal_policy",
    slides=("T32",),
    points=3,
    minutes=12,
    title="The optimal policy",
    reference=optimal_policy,
    cases=_worlds,
    accepts=(_where_possible, _by_logsumexp),
    misconceptions=(
        Misconception(
            "multiplies_by_beta",
            lambda ref, r, beta: torch.softmax(ref.log() + beta * r, dim=-1),
            "You multiply the reward by β. A large β is a strong KL penalty: then rewards must matter little, so r is "
            "*divided* by β.",
        ),
        Misconception(
            "reference_forgotten",
            lambda ref, r, beta: torch.softmax(r / beta, dim=-1),
            "Without π_ref this is the softmax of the rewards, the optimum for a uniform reference. Multiply by π_ref: "
            "where "
            "it is 0, π* is 0.",
        ),
        Misconception(
            "not_normalised",
            lambda ref, r, beta: ref * (r / beta).exp(),
            "These weights do not sum to 1. Divide those of each prompt by their sum Z(x).",
        ),
        Misconception(
            "normalised_over_everything",
            lambda ref, r, beta: (ref * ((r - r.amax()) / beta).exp()) / (ref * ((r - r.amax()) / beta).exp()).sum(),
            "Your Z sums over all prompts. Each row is its own distribution: sum over the last dimension.",
        ),
        Misconception(
            "normalised_over_prompts",
            lambda ref, r, beta: torch.softmax(ref.log() + r / beta, dim=0),
            "You normalise over the prompts (dim 0). Z(x) sums over the answers to *one* prompt, the last dimension.",
        ),
        Misconception(
            "overflows",
            lambda ref, r, beta: _normal(ref * (r / beta).exp()),
            "The formula is right on paper, but exp(10⁴) is inf and inf / inf is NaN. Take the softmax of "
            "log π_ref + r / β, or subtract each row's largest reward first.",
        ),
        Misconception(
            "maximum_of_impossible_answers",
            _shifted,
            "You subtract the largest reward of the row, which may be that of an answer that the reference never gives: "
            "then all the others underflow, and 0/0 is NaN. The maximum is over log π_ref + r/β, as softmax takes it.",
        ),
        Misconception(
            "one_maximum_for_all_rows",
            lambda ref, r, beta: _normal(ref * ((r - r.amax()) / beta).exp()),
            "You subtract the largest reward of all prompts: where another prompt's are much smaller, all weights of its "
            "row underflow. Each row has its own maximum.",
        ),
        Misconception(
            "largest_exponent_of_the_table",
            lambda ref, r, beta: _normal((ref.log() + r / beta - (ref.log() + r / beta).amax()).exp()),
            "You subtract one maximum from the whole table: a row whose exponents are all far below it underflows, and "
            "0/0 is NaN. Take the maximum of each row.",
        ),
        Misconception(
            "exponent_cut",
            lambda ref, r, beta: _normal(ref * (r / beta).clamp(-500, 500).exp()),
            "You cut r/β, so that two answers beyond the limit look equally good. Only differences within a row matter: "
            "subtract the row's largest exponent, and nothing need be cut.",
        ),
        Misconception(
            "rare_is_never",
            lambda ref, r, beta: torch.softmax((ref.log() + r / beta).where(ref > 1e-8, -torch.inf), dim=-1),
            "You rule out answers of a small probability. Only an answer of probability 0 is impossible; a large reward "
            "can make a rare one the likeliest.",
        ),
        Misconception(
            "logarithms_returned",
            lambda ref, r, beta: torch.log_softmax(ref.log() + r / beta, dim=-1),
            "You return log π*. The probabilities are asked for: take exp.",
        ),
        Misconception(
            "reference_without_log",
            lambda ref, r, beta: torch.softmax(ref + r / beta, dim=-1),
            "Inside the exponent the factor π_ref becomes log π_ref: you add the probability itself.",
        ),
        Misconception(
            "epsilon_in_the_log",
            lambda ref, r, beta: torch.softmax((ref + 1e-8).log() + r / beta, dim=-1),
            "A small number inside the log gives a chance to an answer that the reference never gives, and a large reward "
            "makes it a certainty. log 0 = −∞ is just right here: its exp is 0.",
        ),
        Misconception(
            "slides_bracket",
            lambda ref, r, beta: torch.softmax(r / beta - ref.log() / beta, dim=-1),
            "Your π_ref has the exponent −1/β, which favours what the reference finds unlikely. That is the optimum of "
            "r − β log π − log π_ref, with the bracket closed too early. With the right one π_ref is a plain factor.",
        ),
        Misconception(
            "reference_weighted_by_one_over_beta",
            lambda ref, r, beta: torch.softmax((ref.log() + r) / beta, dim=-1),
            "You also divide log π_ref by β. Divide only the reward; π_ref is a plain factor.",
        ),
        Misconception(
            "best_answer_only",
            lambda ref, r, beta: torch.nn.functional.one_hot(r.argmax(dim=-1), r.shape[-1]).to(r.dtype),
            "All the probability on the best answer is the optimum for β → 0. With β > 0 there is a KL penalty for "
            "moving "
            "away from the reference.",
        ),
        Misconception(
            "mixes_instead_of_tilts",
            lambda ref, r, beta: _normal(ref + torch.softmax(r / beta, dim=-1)),
            "You add the reference to the softmax of the rewards. Multiply by it: log π* = log π_ref + r/β − log Z.",
        ),
    ),
    hints=(
        "Each answer's weight is π_ref(y|x) · exp(r(x, y) / β); each row is divided by its own sum.",
        "e to the 10⁴ is infinite, but its logarithm is not. What is the logarithm of a weight, and which function of PyTorch "
        "turns logarithms of weights into shares of each row?",
    ),
)
