"""Claims of the slides of 13_rlhf_ppo_dpo: the objective with its KL penalty, T32's bracket, the optimum of DPO."""

from collections.abc import Callable

import torch
from torch import Tensor

from lib.generation import enumerate_responses
from lib.kernels import log_softmax, softmax
from lib.models import Decoder, TransformerConfig
from lib.objectives import (
    bradley_terry_probability,
    dpo_loss,
    expected_reward,
    kl_divergence,
    kl_penalised_reward,
    optimal_policy,
    regularised_objective,
    reinforce_loss,
)
from lib.slides.registry import Measured, recompute

REWARDS, REFERENCE, BETA = (1.0, 0.0, -1.0), (0.2, 0.5, 0.3), 0.5  # a world of three answers


@recompute("C34a")
def training_for_higher_scores() -> Measured:
    """Whether REINFORCE on sampled scores raises the mean score, for each of five seeds."""
    rewards, start = _reals(REWARDS), _reals(REFERENCE)
    ends = [_reinforce(seed) for seed in range(5)]
    first = expected_reward(start, rewards).item()
    return Measured(min(ends) > first, f"five seeds: from {first:.2f} to at least {min(ends):.2f}")


@recompute("T16a")
def dpo_arrives_at_the_optimum() -> Measured:
    """The policy that DPO finds in the limit of infinitely many Bradley–Terry preferences."""
    rewards, reference = _reals(REWARDS), _reals(REFERENCE).log()
    pairs = [(0, 1), (0, 2), (1, 2)]

    def likelihood(logits: Tensor) -> Tensor:
        log_p, total = log_softmax(logits), 0
        for winner, loser in pairs:
            upset = bradley_terry_probability(rewards[loser], rewards[winner]).item()  # the loser wins
            total = total + dpo_loss(
                log_p[[winner]],
                log_p[[loser]],
                reference[[winner]],
                reference[[loser]],
                beta=BETA,
                label_smoothing=upset,
            )
        return -total

    policy = softmax(climb(likelihood, 3))
    gap = (policy - optimal_policy(_reals(REFERENCE), rewards, beta=BETA)).abs().max().item()
    return Measured(tuple(policy.tolist()), f"{gap:.6f} from T32's optimum at most, without a reward model")


@recompute("F16b")
def objective_without_a_gradient() -> Measured:
    """Whether a decoder's expected reward has no gradient: all answers enumerated, autograd against a small step."""
    config = TransformerConfig(
        architecture="decoder",
        vocab_size=3,
        d_model=8,
        num_layers=1,
        num_heads=2,
        d_ff=8,
        max_positions=4,
        init_std=0.5,
    )
    model = Decoder(config, generator=torch.Generator().manual_seed(0)).double().eval()
    rewards = torch.randn(9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weight, step = model.tokens.weight, 1e-5

    def score() -> Tensor:
        return enumerate_responses(model, torch.tensor([1]), 2).log_probs.exp() @ rewards

    slope = torch.autograd.grad(score(), weight)[0]
    with torch.no_grad():
        direction = slope / slope.norm()
        ahead, behind = (_score_at(weight, sign * step * direction, score) for sign in (1, -1))
    measured = (ahead - behind) / (2 * step)
    steepest = slope.norm().item()
    words = f"slope {steepest:.6f} by autograd, {measured:.6f} by a small step to each side"
    return Measured(abs(measured - steepest) > 1e-6, words)


@recompute("F18a")
def reward_without_the_prompt() -> Measured:
    """Whether R(y) still gives the best policy when two prompts need opposite answers."""
    rewards = _reals([[1.0, 0.0], [0.0, 1.0]])
    reference = torch.full_like(rewards, 0.5)
    blind = optimal_policy(reference, rewards.mean(dim=0).expand_as(rewards), beta=BETA)
    seeing = optimal_policy(reference, rewards, beta=BETA)
    values = [regularised_objective(p, reference, rewards, beta=BETA).mean().item() for p in (blind, seeing)]
    words = f"objective {values[0]:.3f} for the policy that R(y) wants, {values[1]:.3f} for that of R(x, y)"
    return Measured(abs(values[0] - values[1]) < 1e-12, words)


@recompute("F18b")
def one_divergence_for_all_prompts() -> Measured:
    """Whether a divergence outside the mean over x is one number: it depends on x, and no x is given."""
    reference = _reals([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    policy = optimal_policy(reference, _reals(REWARDS).expand_as(reference), beta=BETA)
    first, second = kl_divergence(policy.log(), reference.log()).tolist()
    words = f"{first:.3f} nats at one prompt, {second:.3f} at another; their mean is meant"
    return Measured(abs(first - second) < 1e-12, words)


@recompute("A58")
def bracket_in_numbers() -> Measured:
    """The reward with the bracket in the right place: r = 1, log pi = -2, log pi_ref = -3, beta = 0.1."""
    reward, log_p, log_reference, beta = _reals(1.0), _reals(-2.0), _reals(-3.0), 0.1
    right = kl_penalised_reward(reward, log_p, log_reference, beta=beta).item()
    return Measured(right, f"{(reward - beta * log_p - log_reference).item():.1f} as printed")


@recompute("F19a")
def printed_reward_is_the_objective() -> Measured:
    """Whether the mean of the printed reward over a policy's answers equals the objective printed above it."""
    policy, reference, rewards = _reals([0.5, 0.3, 0.2]), _reals(REFERENCE), _reals(REWARDS)
    objective = regularised_objective(policy, reference, rewards, beta=BETA).item()
    printed = expected_reward(policy, _printed_reward(policy.log())).item()
    mended = kl_penalised_reward(rewards, policy.log(), reference.log(), beta=BETA)
    right = expected_reward(policy, mended).item()
    words = f"{printed:.4f} as printed, {right:.4f} with the bracket mended; the objective is {objective:.4f}"
    return Measured(abs(printed - objective) < 1e-12, words)


@recompute("F19b")
def printed_reward_has_the_right_optimum() -> Measured:
    """The policy with the greatest objective; the detail gives the one with the greatest mean printed reward."""
    printed = softmax(climb(lambda z: expected_reward(softmax(z), _printed_reward(log_softmax(z))), 3))
    words = "; ".join(f"{share:.3f}" for share in printed.tolist())
    right = optimal_policy(_reals(REFERENCE), _reals(REWARDS), beta=BETA)
    return Measured(tuple(right.tolist()), f"the printed reward is greatest at {words}")


@recompute("T32a")
def optimum_and_its_value() -> Measured:
    """The policy with the greatest objective, found by gradient ascent, and the objective there."""
    reference, rewards = _reals(REFERENCE), _reals(REWARDS)
    policy = softmax(climb(lambda z: regularised_objective(softmax(z), reference, rewards, beta=BETA), 3))
    value = regularised_objective(policy, reference, rewards, beta=BETA).item()
    gap = (policy - optimal_policy(reference, rewards, beta=BETA)).abs().max().item()
    log_z = (reference * (rewards / BETA).exp()).sum().log().item()
    words = f"{gap:.6f} from pi_ref exp(r / beta) / Z at most; beta log Z = {BETA * log_z:.4f}"
    return Measured((*policy.tolist(), value), words)


@recompute("T32b")
def beta_is_a_leash() -> Measured:
    """Whether a larger beta keeps the best policy nearer to its reference."""
    reference, rewards, betas = _reals(REFERENCE), _reals(REWARDS), (0.1, 0.2, 0.5, 1, 2, 5)
    best = [optimal_policy(reference, rewards, beta=beta) for beta in betas]
    distances = [kl_divergence(policy.log(), reference.log()).item() for policy in best]
    words = f"{distances[0]:.3f} nats at beta = {betas[0]}, {distances[-1]:.3f} at {betas[-1]}"
    return Measured(all(near < far for far, near in zip(distances, distances[1:])), words)


@recompute("T32c")
def start_at_the_reference() -> bool:
    """Whether the KL penalty and its gradient are 0 for a policy that equals its reference."""
    logits = _reals(REFERENCE).log().requires_grad_()
    distance = kl_divergence(logits, logits.detach())
    slope = torch.autograd.grad(distance, logits)[0]
    return abs(distance.item()) < 1e-12 and slope.abs().max().item() < 1e-12


def climb(height: Callable[[Tensor], Tensor], size: int) -> Tensor:
    """The vector of `size` numbers with the greatest `height`, by plain gradient ascent from 0 in float64."""
    point = torch.zeros(size, dtype=torch.float64)
    for _ in range(300):
        point.requires_grad_()
        point = (point + 4 * torch.autograd.grad(height(point), point)[0]).detach()
    return point


def _score_at(weight: Tensor, shift: Tensor, score: Callable[[], Tensor]) -> float:
    """A model's score with one of its weights shifted; the weight is restored afterwards."""
    kept = weight.clone()
    weight.add_(shift)
    value = score().item()
    weight.copy_(kept)
    return value


def _printed_reward(log_p: Tensor) -> Tensor:
    """T32's reward for each answer, with the bracket where the slide has it."""
    return _reals(REWARDS) - BETA * log_p - _reals(REFERENCE).log()


def _reinforce(seed: int) -> float:
    """The expected reward after 100 steps of REINFORCE with 16 answers each."""
    generator, rewards = torch.Generator().manual_seed(seed), _reals(REWARDS)
    logits = _reals(REFERENCE).log()
    for _ in range(100):
        free = logits.detach().requires_grad_()
        draw = torch.multinomial(softmax(free).detach(), 16, replacement=True, generator=generator)
        log_p = log_softmax(free)[draw][:, None]
        loss = reinforce_loss(log_p, rewards[draw], torch.ones_like(log_p, dtype=torch.bool))
        logits = logits - 0.1 * torch.autograd.grad(loss, free)[0]
    return expected_reward(softmax(logits), rewards).item()


def _reals(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
