"""Claims of the slides of 12_reinforce: what has a gradient, the log-derivative trick, its estimate."""

from itertools import product

import torch
from torch import Tensor

from lib.generation import rollout
from lib.kernels import log_softmax, softmax
from lib.models import Decoder, RewardModel, TransformerConfig
from lib.objectives import exact_policy_gradient, expected_reward, reinforce_loss
from lib.slides.registry import Measured, recompute

LOGITS, REWARDS = (0.5, -0.2, 0.1, 0.0), (1.0, 0.2, -0.5, 2.0)  # a policy over four answers and their rewards


@recompute("T24a")
def no_gradient_through_a_sample() -> Measured:
    """Whether the reward of a sampled answer has no gradient with respect to the policy's parameters."""
    generator = torch.Generator().manual_seed(0)
    policy, reward_model = _decoder(generator), RewardModel(_decoder(generator), generator=generator)
    answers = rollout(policy, torch.tensor([[1, 2]]), 3, samples=4, generator=generator)
    reward_model(answers.input_ids).sum().backward()
    reached = sum(parameter.grad is not None for parameter in policy.parameters())
    own = sum(parameter.grad is not None for parameter in reward_model.parameters())
    words = f"{reached} of the policy's tensors have one; {own} of the reward model's own"
    return Measured(reached == 0 and own > 0, words)


@recompute("F16a")
def the_printed_update_fails() -> Measured:
    """Whether T29's update, which the slide says does not work, fails to raise the expected reward."""
    logits, rewards = _tensors()
    scores = []
    for _ in range(200):
        logits = logits.detach().requires_grad_()
        score = expected_reward(softmax(logits), rewards)
        scores.append(score.item())
        logits = logits + torch.autograd.grad(score, logits)[0]
    climbs = all(later > earlier for earlier, later in zip(scores, scores[1:]))
    words = f"from {scores[0]:.2f} to {scores[-1]:.2f} in 200 steps; the best answer is worth {max(REWARDS)}"
    return Measured(not climbs, words)


@recompute("T30a")
def three_forms_of_the_gradient() -> bool:
    """Whether the slide's three expressions agree with each other and with p_k (R_k - J)."""
    logits, rewards = _tensors()
    p = softmax(logits)
    of_p = torch.autograd.functional.jacobian(softmax, logits)
    of_log_p = torch.autograd.functional.jacobian(log_softmax, logits)
    of_sum = torch.autograd.functional.jacobian(lambda z: (rewards * softmax(z)).sum(), logits)
    closed = exact_policy_gradient(logits, rewards)
    forms = torch.stack([of_sum, rewards @ of_p, (p * rewards) @ of_log_p, closed])
    return (forms - forms[0]).abs().max().item() < 1e-12


@recompute("T30b")
def log_derivative_trick() -> bool:
    """Whether grad p = p grad log p for each answer; and so E[grad log p] = 0."""
    logits, _ = _tensors()
    p = softmax(logits)
    of_p = torch.autograd.functional.jacobian(softmax, logits)
    of_log_p = torch.autograd.functional.jacobian(log_softmax, logits)
    product_form = p[:, None] * of_log_p
    mean = product_form.sum(dim=0).abs().max().item()
    return torch.allclose(of_p, product_form, rtol=0, atol=1e-12) and mean < 1e-12


@recompute("T31a")
def estimate_is_right_on_average() -> Measured:
    """Whether the estimate's mean over all draws of N = 3 answers, by their probability, is the gradient."""
    logits, rewards = _tensors()
    draws = torch.tensor(list(product(range(len(REWARDS)), repeat=3)))
    chance = softmax(logits)[draws].prod(dim=1)
    estimates = torch.stack([_estimate(logits, draw, rewards[draw]) for draw in draws])
    exact = exact_policy_gradient(logits, rewards)
    gap = (chance @ estimates - exact).abs().max().item()
    spread = (chance @ (estimates - exact).square().sum(dim=1)).sqrt().item()
    length = exact.norm().item()
    words = f"{len(draws)} draws, off by {spread:.2f} (root mean square) from a gradient {length:.2f} long"
    return Measured(gap < 1e-12, words)


@recompute("T31b")
def sign_of_the_reward() -> Measured:
    """Whether a step on one answer raises its probability for a positive reward and lowers it for a negative one."""
    logits, _ = _tensors()
    moved = [
        (sign * _change(logits, torch.tensor([answer]), torch.tensor([sign]))[answer]).item()
        for answer in range(len(REWARDS))
        for sign in (1.0, -1.0)
    ]
    two = _change(logits, torch.tensor([0, 1]), torch.tensor([2.0, 0.1]))
    words = f"drawn together with an answer worth 2, one worth 0.1 changes its probability by {two[1]:+.4f}"
    return Measured(min(moved) > 0, words)


@recompute("F17")
def the_update_changes_the_objective() -> Measured:
    """Whether a step of T31 changes the objective as a function, or only the parameters at which it is taken."""
    logits, rewards = _tensors()
    generator = torch.Generator().manual_seed(0)
    probes = softmax(torch.randn(20, len(REWARDS), generator=generator, dtype=torch.float64))
    before = expected_reward(probes, rewards.expand_as(probes))
    draw = torch.arange(len(REWARDS))
    stepped = logits + _estimate(logits, draw, rewards[draw])
    after = expected_reward(probes, rewards.expand_as(probes))
    scores = [expected_reward(softmax(z), rewards).item() for z in (logits, stepped)]
    words = f"the parameters moved, and J at them from {scores[0]:.2f} to {scores[1]:.2f}"
    return Measured(not torch.equal(before, after), words)


def _estimate(logits: Tensor, draw: Tensor, rewards: Tensor) -> Tensor:
    """T31's estimate from drawn answers of one token each."""
    free = logits.detach().requires_grad_()
    log_p = log_softmax(free)[draw][:, None]
    loss = reinforce_loss(log_p, rewards.to(logits), torch.ones_like(log_p, dtype=torch.bool))
    return -torch.autograd.grad(loss, free)[0]


def _change(logits: Tensor, draw: Tensor, rewards: Tensor) -> Tensor:
    """How the probabilities change with one step of 0.1."""
    return softmax(logits + 0.1 * _estimate(logits, draw, rewards)) - softmax(logits)


def _tensors() -> tuple[Tensor, Tensor]:
    return torch.tensor(LOGITS, dtype=torch.float64), torch.tensor(REWARDS, dtype=torch.float64)


def _decoder(generator: torch.Generator) -> Decoder:
    config = TransformerConfig(
        architecture="decoder", vocab_size=5, d_model=16, num_layers=1, num_heads=2, d_ff=16, max_positions=8
    )
    return Decoder(config, generator=generator)
