r"""Answers of a policy to prompts, $\hat y \sim \pi(y \mid x)$ (slides T29–T32), and, in worlds small enough, all of them."""

from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.generation.decoding import generate
from lib.models import Decoder
from lib.models.inputs import AttentionMask
from lib.objectives import response_log_prob, token_log_probs

MOST_ANSWERS = 100_000  # enumeration is for tiny worlds; beyond this one forward pass would not fit


class Rollout(NamedTuple):
    """Prompts with their answers, as the losses want them: each row of S tokens holds prompt and answer."""

    input_ids: Int[Tensor, "B S"]
    attention_mask: Bool[Tensor, "B S"]  # true on prompt and answer
    response_mask: Bool[Tensor, "B S"]  # true on the answer, its end-of-sequence token included


class Enumerated(NamedTuple):
    """Every answer there is to one prompt, and how likely it is."""

    input_ids: Int[Tensor, "N S"]
    attention_mask: Bool[Tensor, "N S"]
    response_mask: Bool[Tensor, "N S"]
    log_probs: Float[Tensor, "N"]  # log π(y | x) in nats; the exponentials sum to 1


def rollout(
    model: Decoder,
    prompts: Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    attention_mask: AttentionMask | None = None,
    samples: int = 1,
    temperature: float = 1.0,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Rollout:
    """Sample `samples` answers to each prompt; those to one prompt are neighbours among the B · samples rows.

    An answer ends with its `eos_id`, which counts as part of it, or after `max_new_tokens`. Prompts of unequal lengths
    are padded on the left. Only at `temperature` 1, the default, are the answers samples of the policy itself, as the
    losses assume.
    Raises ValueError as `generate` does, and when `max_new_tokens` or `samples` is less than 1.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> answers = rollout(Decoder(config), torch.tensor([[1, 2, 3]]), 4, samples=2)
    >>> answers.input_ids.shape, answers.response_mask.sum(dim=1)
    (torch.Size([2, 7]), tensor([4, 4]))
    """
    _check(max_new_tokens, "B", "T", prompts=prompts)
    checks.whole("samples", samples)
    real = torch.ones_like(prompts, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    prompts = prompts.repeat_interleave(samples, dim=0)
    ids = generate(
        model, prompts, max_new_tokens,
        attention_mask=None if attention_mask is None else attention_mask.repeat_interleave(samples, dim=0),
        temperature=temperature, eos_id=eos_id, generator=generator,
    )  # fmt: skip
    written = _until_end(ids[:, prompts.shape[1] :], eos_id)
    prompt_real = real.repeat_interleave(samples, dim=0)
    return Rollout(
        ids,
        torch.cat((prompt_real, written), dim=1),
        torch.cat((torch.zeros_like(prompt_real), written), dim=1),
    )


def enumerate_responses(
    model: Decoder, prompt: Int[Tensor, "T"], max_new_tokens: int, *, eos_id: int | None = None
) -> Enumerated:
    r"""Every answer that `model` can write to `prompt`, with $\log \pi(y \mid x)$, through which gradients flow.

    These are the answers that end with `eos_id`, of every length up to `max_new_tokens`, and those that are cut off
    there; without `eos_id` there are V to the power of `max_new_tokens`. They give the exact expected reward, policy
    gradient, KL divergence and partition function with which sampled estimates are compared.
    Raises ValueError when there are more than 100,000 answers, and as `Decoder` does.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=3, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> world = enumerate_responses(Decoder(config), torch.tensor([0]), 2, eos_id=2)
    >>> world.input_ids[:, 1:].tolist()  # 2 ends an answer, and pads it
    [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [2, 2]]
    >>> round(world.log_probs.exp().sum().item(), 4)
    1.0
    """
    _check(max_new_tokens, "T", prompt=prompt)
    answers = torch.tensor(_answers(model.config.vocab_size, max_new_tokens, eos_id), device=prompt.device)
    written = _until_end(answers, eos_id)
    given = prompt.expand(len(answers), -1)
    ids = torch.cat((given, answers), dim=1)
    real = torch.cat((torch.ones_like(given, dtype=torch.bool), written), dim=1)
    counts = torch.cat((torch.zeros_like(given, dtype=torch.bool), written), dim=1)
    log_probs = response_log_prob(token_log_probs(model(ids, real), ids), counts)
    return Enumerated(ids, real, counts, log_probs)


def _check(max_new_tokens: int, *sizes: str, **prompts: Tensor) -> None:
    for name, ids in prompts.items():
        checks.shape(name, ids, *sizes)
    checks.not_empty(**prompts)
    checks.whole("max_new_tokens", max_new_tokens)


def _until_end(answers: Tensor, eos_id: int | None) -> Bool[Tensor, "B N"]:
    """True up to and including the first end-of-sequence token of each row."""
    if eos_id is None:
        return torch.ones_like(answers, dtype=torch.bool)
    ends = (answers == eos_id).int()
    return ends.cumsum(dim=1) - ends == 0


def _answers(vocab_size: int, length: int, eos_id: int | None) -> list[tuple[int, ...]]:
    """All answers of at most `length` tokens, filled up with `eos_id` once they have ended."""
    if eos_id is None:
        number = vocab_size**length
    else:
        number = (vocab_size - 1) ** length + sum((vocab_size - 1) ** k for k in range(length))
    if number > MOST_ANSWERS:
        raise ValueError(
            f"a vocabulary of {vocab_size} has {number:,} answers of up to {length} tokens, more than "
            f"{MOST_ANSWERS:,}: enumerate a smaller world"
        )
    return [
        answer for answer in product(range(vocab_size), repeat=length)
        if eos_id not in answer or set(answer[answer.index(eos_id) :]) == {eos_id}
    ]  # fmt: skip
