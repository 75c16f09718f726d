r"""Step 3: change the policy so that a score of its own answers rises, REINFORCE and PPO (slides T29–T32).

A batch is answers of the policy as it stands, with what each of their tokens earned; the methods differ in what they do
with it. REINFORCE takes one step and throws it away, PPO takes several, and so needs the ratio to the policy that wrote
the answers, its clip, and a value model for its advantages.

Dropout is off in all of it, updates too, whatever mode the models are in: a policy with some of its units dropped is
not the one that wrote the answers, and seems to have moved away from itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lib import checks
from lib.generation import Rollout, rollout
from lib.models import Decoder, ValueModel, eval_mode
from lib.objectives import (
    clip_fraction,
    gae,
    ppo_clip_loss,
    reinforce_loss,
    rloo,
    token_rewards,
    value_loss,
    whiten,
)
from lib.progress import progress
from lib.training.nonfinite import trained_parameters
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
    epsilon: float | int = 0.2  # PPO: ratios are clipped to [1 − epsilon, 1 + epsilon]
    epsilon_high: float | int | None = None  # PPO: another upper end, see `ppo_clip_loss`
    dual_clip: float | int | None = None  # PPO: where a ratio ends that makes a bad token likelier; None: nowhere
    lam: float = 0.95  # PPO: λ of GAE
    unbiased_whitening: bool = False  # PPO: the variance of advantages over N − 1, see `whiten`
    value_weight: float = 0.5  # PPO: of the value loss, beside the clipped one
    max_grad_norm: float = 1.0  # the global norm of all gradients of an update is clipped to this
    seed: int = 0  # of prompts and answers

    def __post_init__(self) -> None:
        for name in ("iterations", "prompts", "samples", "max_new_tokens", "epochs"):
            checks.whole(name, getattr(self, name))
        for name in ("learning_rate", "value_weight"):
            checks.positive(name, getattr(self, name))
        checks.positive("max_grad_norm", self.max_grad_norm, infinite=True)
        checks.number("beta", self.beta, "[0, inf)")
        checks.share("lam", self.lam)
        checks.positive("epsilon", self.epsilon, infinite=True)
        if self.epsilon_high is not None:
            checks.positive("epsilon_high", self.epsilon_high, infinite=True)
        if self.dual_clip is not None:
            checks.number("dual_clip", self.dual_clip, "(1, inf)")


@dataclass(frozen=True)
class PolicyBatch:
    """Answers of the policy as it stood, and what they earned: B rows of S tokens, those to one prompt side by side."""

    answers: Rollout  # prompts with answers, their attention_mask and response_mask
    score: Float[Tensor, "B"]  # of each answer: what is maximised, before the penalty
    log_probs: Float[Tensor, "B S"]  # log π_old of each token under the policy that wrote it, nats; 0 elsewhere
    reference_log_probs: Float[Tensor, "B S"]  # log π_ref of the same tokens
    rewards: Float[Tensor, "B S"]  # −β (log π_old − log π_ref) of each token, and the score on an answer's last

    @property
    def mask(self) -> Bool[Tensor, "B S"]:
        """True on the tokens of the answers."""
        return self.answers.response_mask

    @property
    def kl(self) -> Float[Tensor, "B"]:
        """log π_old(y|x) − log π_ref(y|x) of each whole answer, in nats; its mean estimates the KL divergence."""
        return (self.log_probs - self.reference_log_probs).sum(dim=1)


@dataclass
class PolicyHistory:
    """What a run recorded, one entry per batch, of the policy before it was updated with it."""

    score: list[float] = field(default_factory=list)  # mean of what is maximised, before the penalty
    gold_score: list[float] = field(default_factory=list)  # mean of `gold_score`, which is only measured
    kl: list[float] = field(default_factory=list)  # mean log π(y|x) − log π_ref(y|x), nats per answer
    length: list[float] = field(default_factory=list)  # mean tokens per answer
    clipped: list[float] = field(default_factory=list)  # PPO: share of ratios outside the clip, last update

    @torch.no_grad()
    def record(self, batch: PolicyBatch, gold_score: Score | None = None) -> None:
        """Write down a fresh batch."""
        self.score.append(batch.score.mean().item())
        self.kl.append(batch.kl.mean().item())
        self.length.append(batch.mask.sum(dim=1).float().mean().item())
        if gold_score is not None:
            self.gold_score.append(gold_score(batch.answers).mean().item())


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

    Trains `policy` in place on $\mathbb{E}[\text{score} - \beta(\log\pi - \log\pi_{ref})]$.
    Raises ValueError when `settings.samples` is less than 2 (a lone answer has none to be compared with), when
    `policy` has nothing to train, or shares it with `reference`; and as `sample_batch` does.
    """
    sample = partial(sample_batch, policy, reference, score, prompts, settings, eos_id=eos_id)
    optimizer, history = _optimizer(settings, reference, policy=policy), PolicyHistory()
    with eval_mode(policy):
        for batch in _fresh_batches(sample, settings, history, gold_score, show_progress):
            returns = batch.rewards.sum(dim=1)  # (B,): score − β log π(y|x) / π_ref(y|x)
            advantages = rloo(returns.view(-1, settings.samples)).flatten()  # against the other answers to the prompt
            loss = reinforce_loss(log_probs_of(policy, batch.answers), advantages, batch.mask)
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
    Raises ValueError when one of them has nothing to train, or shares it with `reference`; and as `sample_batch` does.
    """
    sample = partial(sample_batch, policy, reference, score, prompts, settings, eos_id=eos_id)
    optimizer, history = _optimizer(settings, reference, policy=policy, value=value), PolicyHistory()
    clip = {"epsilon": settings.epsilon, "epsilon_high": settings.epsilon_high}
    with eval_mode(policy, value):
        for batch in _fresh_batches(sample, settings, history, gold_score, show_progress):
            with torch.no_grad():
                old_values = value(batch.answers.input_ids, batch.answers.attention_mask)
            advantages, returns = gae(batch.rewards, old_values, batch.mask, lam=settings.lam)
            advantages = whiten(advantages, batch.mask, unbiased=settings.unbiased_whitening)
            for _ in range(settings.epochs):
                log_probs = log_probs_of(policy, batch.answers)
                values = value(batch.answers.input_ids, batch.answers.attention_mask)
                loss = ppo_clip_loss(
                    log_probs, batch.log_probs, advantages, batch.mask, **clip, dual_clip=settings.dual_clip
                )
                loss = loss + settings.value_weight * value_loss(values, old_values, returns, batch.mask)
                _update(optimizer, loss, settings)
            history.clipped.append(clip_fraction(log_probs.detach(), batch.log_probs, batch.mask, **clip))
    return history


def sample_batch(
    policy: Decoder,
    reference: Decoder,
    score: Score,
    prompts: Int[Tensor, "P T"],
    settings: PolicySettings,
    *,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> PolicyBatch:
    r"""Draw `settings.prompts` prompts, let `policy` answer each `settings.samples` times, and see what that earned.

    `policy` and `reference` are used in eval mode; a reward model within `score` is used as it is.
    Raises ValueError when there is no prompt, or when `score` does not give each answer one finite number.
    """
    if prompts.dim() != 2 or not prompts.numel():
        raise ValueError(f"prompts must be (P, T), at least one token, got shape {tuple(prompts.shape)}")
    drawn = prompts[torch.randint(len(prompts), (settings.prompts,), generator=generator)]
    with torch.no_grad(), eval_mode(policy, reference):
        answers = rollout(
            policy, drawn, settings.max_new_tokens, samples=settings.samples, eos_id=eos_id, generator=generator
        )
        reward = score(answers)
        log_probs, reference_log_probs = (log_probs_of(model, answers) for model in (policy, reference))
    if not reward.isfinite().all():
        raise ValueError(f"score must give finite rewards, got {reward.tolist()}")
    rewards = token_rewards(reward, log_probs, reference_log_probs, answers.response_mask, beta=settings.beta)
    return PolicyBatch(answers, reward, log_probs, reference_log_probs, rewards)


def _fresh_batches(
    sample: Callable[..., PolicyBatch],
    settings: PolicySettings,
    history: PolicyHistory,
    gold_score: Score | None,
    show_progress: bool,
) -> Iterator[PolicyBatch]:
    """Batch after batch, each drawn when the one before has been learned from, and written down."""
    generator = torch.Generator().manual_seed(settings.seed)
    bar = progress(range(settings.iterations), description="policy", disable=not show_progress)
    for _ in bar:
        batch = sample(generator=generator)
        history.record(batch, gold_score)
        bar.set_postfix(score=f"{history.score[-1]:.2f}", kl=f"{history.kl[-1]:.1f}", refresh=False)
        yield batch


def _optimizer(settings: PolicySettings, reference: Decoder, **models: nn.Module) -> torch.optim.Optimizer:
    """Adam on all that is trained, each parameter once: a value model may stand on the policy's own layers."""
    trained = trained_parameters(**models)
    if set(trained) & set(reference.parameters()):
        raise ValueError(
            "reference must be a frozen copy: it shares parameters with what is trained, "
            "so the policy could never leave it"
        )
    return torch.optim.Adam(trained, lr=settings.learning_rate, fused=True)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, settings: PolicySettings) -> None:
    """One step down the gradient, its norm clipped; not with a gradient that is not finite."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], settings.max_grad_norm)
    if not norm.isfinite():
        raise FloatingPointError(
            f"the gradient's norm is {norm.item()} at a loss of {loss.item()}: the models were not updated with it"
        )
    optimizer.step()
