r"""Learning from pairs: demonstrations, a reward model and DPO are each `fit` with a loss of this module (slides C33–T28)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from lib import checks
from lib.generation import Rollout
from lib.kernels import selective_log_softmax
from lib.models import Decoder, RewardModel, eval_mode
from lib.objectives import (
    bradley_terry_loss,
    dpo_loss,
    dpo_metrics,
    response_log_prob,
    sft_loss,
)


def join_answers(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], *, pad_id: int) -> Rollout:
    """Token lists as one batch: each answer after its prompt, rows filled up on the right with `pad_id`.

    Raises ValueError when there is no row, the two are not equally many, or a prompt or an answer is empty;
    TypeError for ids that are no integers.

    >>> join_answers([[5, 6], [5]], [[7], [8]], pad_id=0).input_ids
    tensor([[5, 6, 7],
            [5, 8, 0]])
    """
    checks.same_length(prompts=prompts, answers=answers)
    checks.not_empty(prompts=prompts)
    for row, (prompt, answer) in enumerate(zip(prompts, answers)):
        if not len(prompt) or not len(answer):
            raise ValueError(f"the {'prompt' if not len(prompt) else 'answer'} of row {row} is empty")
    width = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers))
    ids = torch.full((len(prompts), width), pad_id)
    position = torch.arange(width)
    begin = torch.tensor([len(prompt) for prompt in prompts])[:, None]
    end = torch.tensor([len(prompt) + len(answer) for prompt, answer in zip(prompts, answers)])[:, None]
    for row, (prompt, answer) in enumerate(zip(prompts, answers)):
        tokens = torch.tensor([*prompt, *answer])
        checks.integers(prompts_and_answers=tokens)
        ids[row, : end[row]] = tokens
    return Rollout(ids, position < end, (position >= begin) & (position < end))


def take(answers: Rollout, rows: Tensor) -> Rollout:
    """The chosen rows of a batch.

    >>> take(join_answers([[5], [6]], [[7], [8]], pad_id=0), torch.tensor([1])).input_ids
    tensor([[6, 8]])
    """
    return Rollout(*(part[rows] for part in answers))


@dataclass(frozen=True)
class PreferencePairs:
    r"""$D = \{(x, y_w, y_l)^{(i)}\}_{i=1}^N$: row i of `chosen` was preferred to row i of `rejected` (slide T27).

    Raises ValueError when there is no pair, the sides are not equally many, or the two answers of a pair are the same.

    >>> pairs = PreferencePairs(join_answers([[5]], [[7]], pad_id=0), join_answers([[5]], [[8]], pad_id=0))
    >>> len(pairs)
    1
    """

    chosen: Rollout
    rejected: Rollout

    def __post_init__(self) -> None:
        checks.same_length(chosen=self.chosen.input_ids, rejected=self.rejected.input_ids)
        checks.not_empty(chosen=self.chosen.input_ids)
        for side in ("chosen", "rejected"):
            empty = ~getattr(self, side).response_mask.any(dim=1)
            if empty.any():
                raise ValueError(f"the {side} answer of pair {int(empty.nonzero()[0])} is empty")
        same = same_answers(self.chosen, self.rejected)
        if same.any():
            row = int(same.nonzero()[0])
            raise ValueError(f"the two answers of pair {row} are the same: a preference needs a difference")

    def __len__(self) -> int:
        return len(self.chosen.input_ids)

    def take(self, rows: Tensor) -> "PreferencePairs":
        """The chosen pairs, in that order."""
        return PreferencePairs(take(self.chosen, rows), take(self.rejected, rows))


def same_answers(one: Rollout, other: Rollout) -> Bool[Tensor, "N"]:
    """Which rows hold the same tokens; both sides of a pair begin at the same column."""
    width = max(one.input_ids.shape[1], other.input_ids.shape[1])
    tokens = [
        pad(side.input_ids.masked_fill(~side.attention_mask, -1), (0, width - side.input_ids.shape[1]), value=-1)
        for side in (one, other)
    ]
    return (tokens[0] == tokens[1]).all(dim=1)


def batches_of(data, batch_size: int) -> Callable[[torch.Generator], object]:
    """`sample_batch` for `fit`: rows of a `Rollout` or of `PreferencePairs`, drawn with replacement.

    Raises ValueError when `batch_size` is less than 1.
    """
    checks.whole("batch_size", batch_size)
    number = len(data) if isinstance(data, PreferencePairs) else len(data.input_ids)
    pick = data.take if isinstance(data, PreferencePairs) else lambda rows: take(data, rows)
    return lambda generator: pick(torch.randint(number, (batch_size,), generator=generator))


def log_probs_of(model: Decoder, answers: Rollout) -> Float[Tensor, "B S"]:
    """`token_log_probs` of the answers of a batch under `model`, aligned with its ids, and 0 outside the answers.

    Logits are computed only for the tokens of answers: they are a large part of a small model's work.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> log_probs_of(Decoder(config), join_answers([[5]], [[7, 1]], pad_id=0)).shape
    torch.Size([1, 3])
    """
    counts = answers.response_mask[:, 1:]  # (B, S-1): the position before a token predicts it
    hidden = model.hidden(answers.input_ids, answers.attention_mask)[:, :-1]
    logits = model.logits(hidden[counts][None])[0]  # (N, V), N tokens of answers
    chosen = selective_log_softmax(logits, answers.input_ids[:, 1:][counts])
    return pad(chosen.new_zeros(counts.shape).masked_scatter(counts, chosen), (1, 0))


def demonstration_loss(model: Decoder, answers: Rollout) -> Float[Tensor, ""]:
    """Step 1, SFT: `sft_loss` of a batch of demonstrations (slides C33, T26)."""
    return sft_loss(model(answers.input_ids, answers.attention_mask), answers.input_ids, answers.response_mask)


def reward_model_loss(model: RewardModel, pairs: PreferencePairs) -> Float[Tensor, ""]:
    """Step 2: `bradley_terry_loss` of a batch of pairs (slides T26–T28)."""
    chosen, rejected = (model(side.input_ids, side.attention_mask) for side in (pairs.chosen, pairs.rejected))
    return bradley_terry_loss(chosen, rejected)


def pair_accuracy(model: RewardModel, pairs: PreferencePairs) -> float:
    """The share of pairs in which the model, in eval mode, rates the chosen answer higher; a tie counts as half."""
    with torch.no_grad(), eval_mode(model):
        chosen, rejected = (model(side.input_ids, side.attention_mask) for side in (pairs.chosen, pairs.rejected))
    return share_right(chosen, rejected)


def share_right(chosen: Float[Tensor, "N"], rejected: Float[Tensor, "N"]) -> float:
    """The share of pairs whose chosen answer has the higher reward; a tie counts as half.

    >>> share_right(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 1.0]))
    0.75
    """
    return ((chosen > rejected).float() + 0.5 * (chosen == rejected)).mean().item()


def preference_loss(
    reference: Decoder, *, beta: float | int, metrics: bool = False
) -> Callable[[Decoder, PreferencePairs], Tensor | tuple[Tensor, dict[str, float]]]:
    """Steps 2 and 3 in one: a `loss_fn` for `fit` that is `dpo_loss` against a frozen `reference` (slide T16).

    The reference is used in eval mode. With `metrics` it returns the loss and `dpo_metrics`, which `fit` keeps in
    `History.metrics`. Raises ValueError, when called, as `dpo_loss` does.
    """

    def loss(policy: Decoder, pairs: PreferencePairs) -> Float[Tensor, ""] | tuple[Float[Tensor, ""], dict[str, float]]:
        def answers_of(model):
            return [
                response_log_prob(log_probs_of(model, side), side.response_mask)
                for side in (pairs.chosen, pairs.rejected)
            ]

        with torch.no_grad(), eval_mode(reference):
            reference_log_probs = answers_of(reference)
        four = *answers_of(policy), *reference_log_probs
        found = dpo_loss(*four, beta=beta)
        return (found, dpo_metrics(*four, beta=beta)) if metrics else found

    return loss
