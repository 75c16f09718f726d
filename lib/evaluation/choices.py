"""Which of a few answers does a language model find likeliest? By log-probability, raw or calibrated."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.models import Decoder, KVCache


@torch.no_grad()
def choice_log_probs(model: Decoder, prompt: Sequence[int], choices: Sequence[Sequence[int]]) -> Float[Tensor, "C"]:
    """log P(choice | prompt) in nats for each choice, both given as token ids: the sum over the choice's tokens.

    The prompt is read once. Where choices differ in length, the sum favours short ones.
    Raises ValueError for an empty prompt, no choices, an empty choice, or more tokens than the context.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=2, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> pairs = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> round(choice_log_probs(Decoder(config), [1, 0, 1], pairs).exp().sum().item(), 4)
    1.0
    """
    checks.not_empty(prompt=prompt, choices=choices)
    for number, choice in enumerate(choices):
        checks.not_empty(**{f"choices[{number}]": choice})
    longest = max(map(len, choices))
    cache = KVCache(capacity=len(prompt) + longest)
    hidden = model.hidden(torch.tensor([list(prompt)]), None, cache)[:, -1:]  # (1, 1, D)
    ids = torch.tensor([[*choice, *[choice[-1]] * (longest - len(choice))] for choice in choices])  # (C, M)
    hidden = hidden.expand(len(choices), -1, -1)
    if longest > 1:
        cache.select(torch.zeros(len(choices), dtype=torch.long))
        hidden = torch.cat((hidden, model.hidden(ids[:, :-1], None, cache)), dim=1)  # (C, M, D)
    log_probs = model.logits(hidden).float().log_softmax(dim=-1).gather(-1, ids[..., None])[..., 0]
    lengths = torch.tensor([len(choice) for choice in choices])
    return log_probs.masked_fill(torch.arange(longest) >= lengths[:, None], 0.0).sum(dim=1)


@torch.no_grad()
def label_log_probs(model: Decoder, prompts: Sequence[Sequence[int]], labels: Sequence[int]) -> Float[Tensor, "B C"]:
    """log P(label | prompt) in nats for each prompt, scaled so that the labels' probabilities sum to 1.

    Each label is one token. What all prompts begin with, demonstrations say, is read once: its keys and values are kept.
    Raises ValueError for no prompts, an empty prompt, no labels, or more tokens than the context.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> label_log_probs(Decoder(config), [[1, 2, 3], [1, 2, 4, 5]], [7, 8]).exp().sum(dim=1).round(decimals=4)
    tensor([1., 1.])
    """
    checks.not_empty(prompts=prompts, labels=labels)
    for number, prompt in enumerate(prompts):
        checks.not_empty(**{f"prompts[{number}]": prompt})
    shared = _shared(prompts)
    ends = [list(prompt[shared:]) for prompt in prompts]
    cache = KVCache(capacity=shared + max(map(len, ends)))
    if shared:
        model.hidden(torch.tensor([list(prompts[0][:shared])]), None, cache)
        cache.select(torch.zeros(len(ends), dtype=torch.long))  # a copy for each prompt
    width = max(map(len, ends))
    ids = torch.tensor([end + end[-1:] * (width - len(end)) for end in ends])  # padding on the right: nothing sees it
    hidden = model.hidden(ids, None, cache)  # (B, width, D)
    last = hidden[torch.arange(len(ends)), torch.tensor([len(end) - 1 for end in ends])]
    return model.logits(last[:, None])[:, 0, list(labels)].float().log_softmax(dim=-1)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; at least one of each is left over, whose logits are needed."""
    same = next((i for i, column in enumerate(zip(*prompts)) if len(set(column)) > 1), min(map(len, prompts)))
    return min(same, min(map(len, prompts)) - 1)


def calibrated(log_probs: Float[Tensor, "*N C"], without: Float[Tensor, "*#N C"]) -> Float[Tensor, "*N C"]:
    """Contextual calibration: divide by what the model says of an empty question, and normalise (Zhao et al. 2021).

    `without` are the log-probabilities of the same choices after the same prompt with a question that says nothing
    ("N/A"). What is divided out is the model's preference for a label as such. Log-probabilities that sum to 1 return.
    Raises ValueError if the last axes differ, or one of `without` is not finite.

    >>> torch.tensor([0.8, 0.2]).log().exp(), calibrated(torch.tensor([0.8, 0.2]).log(), torch.tensor([0.8, 0.2]).log()).exp()
    (tensor([0.8000, 0.2000]), tensor([0.5000, 0.5000]))
    """
    checks.finite(without=without)
    if log_probs.shape[-1] != without.shape[-1]:
        raise ValueError(
            f"without must have as many choices as log_probs, {log_probs.shape[-1]}, got {without.shape[-1]}"
        )
    return (log_probs - without).log_softmax(dim=-1)
