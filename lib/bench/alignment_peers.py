"""Peers for `alignment`: PPO and DPO with models of `transformers` and plain PyTorch, without this course.

They are written to be fast: no cache where nothing is generated, no log-softmax where `cross_entropy` suffices,
chosen and rejected answers in one batch, nothing computed twice.
"""

from copy import deepcopy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lib.generation import Rollout
from lib.training.policy import PolicySettings, Score
from lib.training.preferences import PreferencePairs


class TheirCritic(nn.Module):
    """A value before each token: a copy of the policy's layers with a linear layer on top."""

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        self.backbone = deepcopy(policy.model)
        self.output = nn.Linear(policy.config.hidden_size, 1)

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        hidden = self.backbone(input_ids=ids, use_cache=False).last_hidden_state
        return F.pad(self.output(hidden)[:, :-1, 0], (1, 0))


def their_log_probs(
    model: nn.Module, ids: Int[Tensor, "B T"], attention_mask: Bool[Tensor, "B T"] | None = None
) -> Float[Tensor, "B T"]:
    """log π(x_t | x_<t) of every token; 0 for the first."""
    mask = None if attention_mask is None else attention_mask.long()
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return F.pad(-losses.view(len(ids), -1), (1, 0))


def their_ppo(
    policy: nn.Module, critic: TheirCritic, reference: nn.Module, score: Score, prompts: Int[Tensor, "P T"],
    settings: PolicySettings,
) -> dict[str, float]:  # fmt: skip
    """One iteration of `lib.training.policy.ppo`, for answers of equal length."""
    ids = _their_answers(policy, prompts, settings)
    answer = slice(prompts.shape[1], None)
    with torch.no_grad():
        reward = score(_as_rollout(ids, prompts.shape[1]))
        old, reference_log_probs = (their_log_probs(model, ids)[:, answer] for model in (policy, reference))
        old_values = critic(ids)[:, answer]
    rewards = settings.beta * (reference_log_probs - old)
    rewards[:, -1] += reward
    advantages = _advantages(rewards, old_values, settings.lam)
    returns = advantages + old_values
    advantages = (advantages - advantages.mean()) / (advantages.var(correction=0) + 1e-8).sqrt()
    trained = [*policy.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(trained, lr=settings.learning_rate)
    for _ in range(settings.epochs):
        ratio = (their_log_probs(policy, ids)[:, answer] - old).exp()
        clipped = ratio.clamp(1 - settings.epsilon, 1 + settings.epsilon)
        loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        error = (critic(ids)[:, answer] - returns).square().mean()
        optimizer.zero_grad(set_to_none=True)
        (loss + settings.value_weight * 0.5 * error).backward()
        nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
        optimizer.step()
    return {"score": reward.mean().item(), "KL": (old - reference_log_probs).sum(dim=1).mean().item()}


def their_preference_loss(
    policy: nn.Module, reference: nn.Module, pairs: PreferencePairs, *, beta: float
) -> Float[Tensor, ""]:
    """The DPO loss, with chosen and rejected answers of the same width in one batch."""
    ids, attention_mask, counts = (torch.cat(sides) for sides in zip(pairs.chosen, pairs.rejected))
    with torch.no_grad():
        reference_log_probs = (their_log_probs(reference, ids, attention_mask) * counts).sum(dim=1)
    log_ratio = (their_log_probs(policy, ids, attention_mask) * counts).sum(dim=1) - reference_log_probs
    chosen, rejected = log_ratio.chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean()


def _their_answers(policy: nn.Module, prompts: Int[Tensor, "P T"], settings: PolicySettings) -> Int[Tensor, "B S"]:
    """Sampled answers to random prompts, after their prompts."""
    torch.manual_seed(settings.seed)
    chosen = prompts[torch.randint(len(prompts), (settings.prompts,))].repeat_interleave(settings.samples, dim=0)
    return policy.generate(
        chosen, attention_mask=torch.ones_like(chosen), max_new_tokens=settings.max_new_tokens,
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
    )  # fmt: skip


def _advantages(rewards: Float[Tensor, "B N"], values: Float[Tensor, "B N"], lam: float) -> Float[Tensor, "B N"]:
    """GAE without discount, from the last token to the first."""
    following = F.pad(values[:, 1:], (0, 1))
    errors = rewards + following - values
    total, advantages = torch.zeros_like(errors[:, 0]), torch.empty_like(errors)
    for t in reversed(range(errors.shape[1])):
        total = errors[:, t] + lam * total
        advantages[:, t] = total
    return advantages


def _as_rollout(ids: Int[Tensor, "B S"], prompt_length: int) -> Rollout:
    """The answers in the form that the score needs: without padding, and everything after the prompt is answer."""
    counts = (torch.arange(ids.shape[1]) >= prompt_length).expand_as(ids)
    return Rollout(ids, torch.ones_like(counts), counts)
