"""Perplexity: how many equally likely tokens a model is, on average, hesitating between (slides C07, T17)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.objectives import sequence_log_prob, shift_labels


def perplexity(
    model: Callable[..., Float[Tensor, "B T V"]],
    input_ids: Int[Tensor, "N T"],
    attention_mask: Int[Tensor, "N T"] | Bool[Tensor, "N T"] | None = None,
    *,
    batch_size: int = 8,
) -> float:
    r"""$\exp\left(-\frac1M \sum_t \ln P(x_t \mid x_{<t})\right)$ over the M predicted tokens of all rows together.

    Every row is predicted from its second token on, and all tokens have equal weight however rows are batched. In bits:
    $2^{H}$ with slide T17's $H(C; M)$, the same number. Compare perplexities only between models with the same
    tokenizer: a token of one is not a token of the other (use `bits_per_byte` there).

    Raises ValueError for a batch_size below 1, no rows, or nothing to predict.

    >>> import torch
    >>> uniform = lambda ids, attention_mask=None: torch.zeros(*ids.shape, 8)
    >>> round(perplexity(uniform, torch.tensor([[1, 2, 3], [4, 5, 6]])), 4)
    8.0
    """
    nats, tokens = _total(model, input_ids, attention_mask, batch_size)
    return math.exp(nats / tokens)


def bits_per_byte(
    model: Callable[..., Float[Tensor, "B T V"]],
    input_ids: Int[Tensor, "N T"],
    num_bytes: int,
    attention_mask: Int[Tensor, "N T"] | Bool[Tensor, "N T"] | None = None,
    *,
    batch_size: int = 8,
) -> float:
    r"""$-\sum_t \log_2 P(x_t \mid x_{<t})$ divided by the UTF-8 bytes of the text that was predicted.

    Unlike perplexity it can be compared between tokenizers. `num_bytes` is the length of the predicted tokens' text
    (without each row's first token).

    Raises ValueError as `perplexity` does, and for num_bytes below 1.

    >>> import torch
    >>> uniform = lambda ids, attention_mask=None: torch.zeros(*ids.shape, 256)
    >>> round(bits_per_byte(uniform, torch.tensor([[1, 2, 3]]), num_bytes=2), 4)  # a byte model that knows nothing
    8.0
    """
    checks.whole("num_bytes", num_bytes)
    nats, _ = _total(model, input_ids, attention_mask, batch_size)
    return nats / math.log(2) / num_bytes


@torch.no_grad()
def _total(
    model: Callable[..., Tensor], input_ids: Tensor, attention_mask: Tensor | None, batch_size: int
) -> tuple[float, int]:
    """The summed negative log-likelihood in nats (in double precision) and how many tokens it is of."""
    checks.whole("batch_size", batch_size)
    checks.not_empty(input_ids=input_ids)
    counts = (shift_labels(input_ids, attention_mask) != -100).sum(dim=1)
    if not counts.any():
        raise ValueError("attention_mask must leave a token to predict, got one that hides every pair of neighbours")
    nats = 0.0
    for start in range(0, len(input_ids), batch_size):
        rows = slice(start, start + batch_size)
        if counts[rows].any():  # a batch may have nothing to predict where others have
            ids, mask = input_ids[rows], None if attention_mask is None else attention_mask[rows]
            nats -= sequence_log_prob(model(ids, attention_mask=mask), ids, mask).double().sum().item()
    return nats, int(counts.sum())
