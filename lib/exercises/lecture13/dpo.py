"""Exercises of notebook 13: the loss of direct preference optimisation, and the optimal policy of the objective."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- dpo.dpo_loss -----------------------------------------------------------------------------------------------------
def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    beta: float,
) -> Tensor:
    """−mean log σ(β (log-ratio of the chosen − log-ratio of the rejected)), from log-probabilities (B, T) per token."""
    totals = _sums(chosen, rejected, reference_chosen, reference_rejected, chosen_mask, rejected_mask)
    return objectives.dpo_loss(*totals, beta=beta)


def _sums(c, r, ref_c, ref_r, c_mask, r_mask):
    return [(x * mask).sum(dim=1) for x, mask in ((c, c_mask), (r, r_mask), (ref_c, c_mask), (ref_r, r_mask))]


def _pairs(generator):
    def pairs(what, B, T, beta, lead=0.0):
        tokens = -torch.rand(4, B, T, generator=generator) - 0.2
        lengths = torch.randint(2, T, (2, B), generator=generator)
        lengths[0, 0], lengths[1, 0] = T - 1, 1  # one long and one short answer
        masks = torch.arange(T) >= T - lengths[..., None]
        return case(what, tokens[0] + lead, tokens[1] - lead, tokens[2], tokens[3], *masks, beta)

    start = pairs("the first step: the policy is its reference", 3, 4, 0.1)
    chosen, rejected, *_, chosen_mask, rejected_mask, beta = start.args
    same = case(start.what, chosen, rejected, chosen, rejected, chosen_mask, rejected_mask, beta)
    return [
        pairs("four pairs of answers", 4, 5, 0.5),
        pairs("one pair", 1, 6, 0.1),
        same,
        pairs("a policy that is wrong on all pairs: σ is 0 in float32", 2, 5, 1.0, lead=-150.0),
    ]


def _stable_by_hand(c, r, ref_c, ref_r, c_mask, r_mask, beta):
    ratios = ((c - ref_c) * c_mask).sum(1) - ((r - ref_r) * r_mask).sum(1)
    return torch.logaddexp(torch.zeros_like(ratios), -beta * ratios).mean()


def _wrong(objective):
    """The same sums over tokens, with another loss of (chosen, rejected, both references, beta)."""
    return lambda *args: objective(*_sums(*args[:6]), args[6])


def _per_token(c, r, ref_c, ref_r, c_mask, r_mask, beta):
    chosen, rejected = ((c - ref_c) * c_mask).sum(1) / c_mask.sum(1), ((r - ref_r) * r_mask).sum(1) / r_mask.sum(1)
    return -logsigmoid(beta * (chosen - rejected)).mean()


def _unmasked(c, r, ref_c, ref_r, c_mask, r_mask, beta):
    everything = torch.ones_like(c_mask)
    return dpo_loss(c, r, ref_c, ref_r, c_mask, everything, beta)


DPO_LOSS = Exercise(
    id="dpo.dpo_loss",
    slides=("T16", "T32"),
    points=4,
    minutes=15,
    title="The loss of DPO",
    reference=dpo_loss,
    cases=_pairs,
    accepts=(_stable_by_hand,),
    withheld=("lib.objectives.dpo.implicit_reward", "lib.training.preferences.preference_loss"),
    misconceptions=(
        Misconception(
            "reference_missing",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - r)).mean()),
            "The reference is missing. The implicit reward is β (log π − log π_ref), so that at the first step, where "
            "π is "
            "π_ref, the loss is ln 2 for all answers.",
        ),
        Misconception(
            "beta_outside",
            _wrong(lambda c, r, ref_c, ref_r, b: -b * logsigmoid(c - ref_c - r + ref_r).mean()),
            "β is outside the sigmoid, where it only rescales the step. It belongs inside: β times the difference of "
            "the "
            "log-ratios.",
        ),
        Misconception(
            "divides_by_beta",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid((c - ref_c - r + ref_r) / b).mean()),
            "You divide by β. The exponent of the optimal policy is r / β; solved for r, β multiplies the log-ratio.",
        ),
        Misconception(
            "chosen_and_rejected_swapped",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (r - ref_r - c + ref_c)).mean()),
            "Your loss falls when the *rejected* answer becomes more likely: the sigmoid is of chosen minus rejected.",
        ),
        Misconception(
            "reference_added",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - r + ref_c - ref_r)).mean()),
            "The reference has the wrong sign: log π − log π_ref, chosen minus rejected. At π = π_ref everything must "
            "cancel.",
        ),
        Misconception(
            "sign_forgotten",
            lambda *args: -dpo_loss(*args),
            "log σ should be maximised, but an optimiser minimises: put a minus sign before the mean.",
        ),
        Misconception(
            "mean_per_token",
            _per_token,
            "You divide by the number of tokens. log π(y|x) of an answer is the *sum* over its tokens; with "
            "means this is no longer the loss whose optimum is π*.",
        ),
        Misconception(
            "rejected_not_masked",
            _unmasked,
            "Your rejected side also counts prompt and padding. Each side has its own mask.",
        ),
        Misconception(
            "log_of_the_mean",
            _wrong(lambda c, r, ref_c, ref_r, b: -torch.sigmoid(b * (c - ref_c - r + ref_r)).mean().log()),
            "You average the probabilities and then take the log. Each pair has its own loss: take the mean of the "
            "logs.",
        ),
        Misconception(
            "log_of_sigmoid",
            _wrong(lambda c, r, ref_c, ref_r, b: -torch.sigmoid(b * (c - ref_c - r + ref_r)).log().mean()),
            "log(sigmoid(x)) is −∞ where sigmoid rounds to 0, and training breaks. logsigmoid(x) stays finite.",
        ),
        Misconception(
            "sum_over_pairs",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - ref_c - r + ref_r)).sum()),
            "You add up the pairs, so that the step grows with the batch. Take their mean.",
        ),
    ),
    hints=(
        "Four numbers per pair: each (B, T) tensor times its side's mask, summed over the tokens.",
        "−logsigmoid(β · ((chosen − reference_chosen) − (rejected − reference_rejected))).mean()",
    ),
)


# --- dpo.optimal_policy -----------------------------------------------------------------------------------------------
def optimal_policy(reference: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """π*(y|x) ∝ π_ref(y|x) exp(r(x, y) / β), one row of K answers per prompt (Rafailov et al. 2023, eq. 4)."""
    return objectives.optimal_policy(reference, rewards, beta=beta)


def _worlds(generator):
    prompts = torch.softmax(torch.randn(3, 4, generator=generator), dim=1)
    rewards = torch.randn(3, 4, generator=generator)
    even = torch.tensor([[0.25, 0.25, 0.5]])
    impossible = torch.tensor([[0.0, 0.4, 0.6]])
    return [
        case(
            "reference (.2, .5, .3), rewards (1, 0, −1), β = 0.5",
            torch.tensor([[0.2, 0.5, 0.3]]),
            torch.tensor([[1.0, 0.0, -1.0]]),
            0.5,
        ),
        case("three prompts of four answers", prompts, rewards, 0.7),
        case("a large β", prompts, rewards, 5.0),
        case("rewards in the thousands: r / β = 10⁴", even.double(), torch.tensor([[999.9, 1e3, 1e3]]).double(), 0.1),
        case("an answer with probability 0 under the reference", impossible, torch.tensor([[3.0, 1.0, 0.5]]), 1.0),
    ]


def _normal(weights):
    return weights / weights.sum(dim=-1, keepdim=True)


def _shifted(reference, rewards, beta):
    return _normal(reference * ((rewards - rewards.amax(dim=-1, keepdim=True)) / beta).exp())


OPTIMAL_POLICY = Exercise(
    id="dpo.optimal_policy",
    slides=("T32",),
    points=3,
    minutes=12,
    title="The optimal policy",
    reference=optimal_policy,
    cases=_worlds,
    accepts=(_shifted,),
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
            "slides_bracket",
            lambda ref, r, beta: torch.softmax(r / beta - ref.log() / beta, dim=-1),
            "This is the optimum of slide T32's reward as printed: π_ref has the exponent −1/β, which favours what the "
            "reference finds unlikely. With the corrected bracket π_ref is a plain factor.",
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
        "The log of a product is a sum: torch.softmax(reference.log() + rewards / beta, dim=-1), which is also stable.",
    ),
)

EXERCISES = (DPO_LOSS, OPTIMAL_POLICY)
