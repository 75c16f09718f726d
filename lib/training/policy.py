r"""Step 3: change the policy so that a score of its own answers rises, REINFORCE and PPO (slides T29–T32).

Both sample answers, score them, subtract the KL penalty token by token, and turn the result into advantages; they
differ in what they do with one batch of answers. REINFORCE takes one step and throws it away, PPO takes several, and so
needs the ratio to the policy that wrote them, its clip, and a value model for its advantages.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib import checks
from lib.generation import Rollout, rollout
from lib.models import Decoder, ValueModel
from lib.objectives import (
    clip_fraction,
    gae,
    masked_reduce,
    ppo_clip_loss,
    reinforce_loss,
    rloo,
    token_rewards,
    value_loss,
    whiten,
)
from lib.progress import progress
from lib.training.preferences import log_probs_of

Score = Callable[[Rollout], Float[Tensor, "B"]]
"""Answers in, one reward each out: a reward model, a rule, a human."""


@dataclass(frozen=True)
class PolicySettings:
    """How a policy is trained on rewards. Raises ValueError for a number out of its range."""

    iterations: int = 60  # batches of fresh answers
    prompts: int = 16  # drawn for each batch, with replacement
    samples: int = 4  # answers to each of them
    max_new_tokens: int = 24
    learning_rate: float = 1e-3  # of Adam
    beta: float = 0.05  # β, weight of the KL penalty: reward per nat of log π − log π_ref; 0: no penalty
    epochs: int = 4  # PPO: updates on each batch
    epsilon: float = 0.2  # PPO: half width of the clip
    lam: float = 0.95  # PPO: λ of GAE
    value_weight: float = 0.5  # PPO: of the value loss, beside the clipped one
    max_grad_norm: float = 1.0
    seed: int = 0  # of prompts and answers

    def __post_init__(self) -> None:
        for name in ("iterations", "prompts", "samples", "max_new_tokens", "epochs"):
            checks.whole(name, getattr(self, name))
        for name in ("learning_rate", "max_grad_norm", "value_weight"):
            checks.positive(name, getattr(self, name), infinite=True)
        checks.number("beta", self.beta, "[0, inf)")
        checks.share("lam", self.lam)
        checks.share("epsilon", self.epsilon, "(0, 1)")


@dataclass
class PolicyHistory:
    """What a run recorded, one entry for each batch of answers."""

    score: list[float] = field(default_factory=list)  # mean of what is maximised, before the penalty
    gold_score: list[float] = field(default_factory=list)  # mean of `gold_score`, which is only measured
    kl: list[float] = field(default_factory=list)  # mean log π(y|x) − log π_ref(y|x), nats per answer
    length: list[float] = field(default_factory=list)  # mean tokens per answer
    clipped: list[float] = field(default_factory=list)  # PPO: share of ratios outside the clip, last update


def reinforce(
    policy: Decoder,
    reference: Decoder,
    score: Score,
    prompts: Int[Tensor, "P T"],
    settings: PolicySettings,
    *,
    eos_id: int | None = None,
    gold_score: Score | None = None,
    show_progress: bool = True,
) -> PolicyHistory:
    r"""REINFORCE with a leave-one-out baseline: one step of Adam for each batch of answers (slide T31; Ahmadian 2024).

    Trains `policy` in place on $\mathbb{E}[\text{score} - \beta(\log\pi - \log\pi_{ref})]$. `gold_score`, for
    which the score is a proxy, is only measured (Gao et al. 2023).
    Raises ValueError when `settings.samples` is less than 2: a single answer has none to be compared with.
    """
    history, optimizer = PolicyHistory(), torch.optim.Adam(policy.parameters(), lr=settings.learning_rate, fused=True)
    for answers, _, rewards in _batches(
        policy, reference, score, prompts, settings, history, eos_id, gold_score, show_progress
    ):
        returns = rewards.sum(dim=1).view(-1, settings.samples)  # (prompts, samples): score minus penalty
        advantages = rloo(returns).flatten()
        loss = reinforce_loss(log_probs_of(policy, answers), advantages, answers.response_mask)
        _update(optimizer, loss, settings)
    return history


def ppo(
    policy: Decoder,
    value: ValueModel,
    reference: Decoder,
    score: Score,
    prompts: Int[Tensor, "P T"],
    settings: PolicySettings,
    *,
    eos_id: int | None = None,
    gold_score: Score | None = None,
    show_progress: bool = True,
) -> PolicyHistory:
    r"""PPO: several clipped steps on each batch of answers, with advantages from a value model (slide T32).

    Trains `policy` and `value` in place (Schulman et al. 2017; Ouyang et al. 2022, eq. 2 without pre-training mix).
    `gold_score` is only measured, as in `reinforce`.
    """
    trained = [*policy.parameters(), *value.parameters()]
    history, optimizer = PolicyHistory(), torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)
    for answers, old_log_probs, rewards in _batches(
        policy, reference, score, prompts, settings, history, eos_id, gold_score, show_progress
    ):
        mask = answers.response_mask
        with torch.no_grad():
            old_values = value(answers.input_ids, answers.attention_mask)
        advantages, returns = gae(rewards, old_values, mask, lam=settings.lam)
        advantages = whiten(advantages, mask)
        for _ in range(settings.epochs):
            log_probs = log_probs_of(policy, answers)
            values = value(answers.input_ids, answers.attention_mask)
            loss = ppo_clip_loss(log_probs, old_log_probs, advantages, mask, epsilon=settings.epsilon)
            loss = loss + settings.value_weight * value_loss(values, old_values, returns, mask)
            _update(optimizer, loss, settings)
        history.clipped.append(
            clip_fraction(log_probs.detach(), old_log_probs, mask, epsilon=settings.epsilon)
        )
    return history


def _batches(policy, reference, score, prompts, settings, history, eos_id, gold_score, show_progress):
    """Batch after batch of fresh answers, with their log-probabilities and their rewards, token by token."""
    generator = torch.Generator().manual_seed(settings.seed)
    bar = progress(range(settings.iterations), description="policy", disable=not show_progress)
    for _ in bar:
        chosen = prompts[torch.randint(len(prompts), (settings.prompts,), generator=generator)]
        answers = rollout(
            policy, chosen, settings.max_new_tokens, samples=settings.samples, eos_id=eos_id, generator=generator
        )
        mask = answers.response_mask
        with torch.no_grad():
            reward = score(answers)
            own, reference_log_probs = log_probs_of(policy, answers), log_probs_of(reference, answers)
            rewards = token_rewards(reward, own, reference_log_probs, mask, beta=settings.beta)
        history.score.append(reward.mean().item())
        history.kl.append(masked_reduce(own - reference_log_probs, mask, "sequence_sum").item())
        history.length.append(mask.sum(dim=1).float().mean().item())
        if gold_score is not None:
            history.gold_score.append(gold_score(answers).mean().item())
        bar.set_postfix(score=f"{history.score[-1]:.2f}", kl=f"{history.kl[-1]:.1f}", refresh=False)
        yield answers, own, rewards


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, settings: PolicySettings) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group in optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], settings.max_grad_norm)
    optimizer.step()
