"""Which key may each query look at? Masks as boolean tensors: True means "may attend".

Masks combine with `&`, and broadcast to the scores' shape (B, H, T, S): a padding mask is about keys, a causal mask
about pairs of positions, and neither depends on the head.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks


def padding_mask(
    attention_mask: Int[Tensor, "B T"] | Bool[Tensor, "B T"] | Float[Tensor, "B T"],
) -> Bool[Tensor, "B 1 1 T"]:
    """Turn a tokenizer's attention mask (1 token, 0 padding) into a mask over keys: no query looks at padding.

    Padding may be on either side. Raises ValueError if `attention_mask` is not (B, T) or has values other than 0 and 1
    (an additive mask of 0 and -inf, for instance).

    >>> padding_mask(torch.tensor([[1, 1, 0]]))
    tensor([[[[ True,  True, False]]]])
    """
    checks.shape("attention_mask", attention_mask, "B", "T")
    real = attention_mask == 1
    if not (real | (attention_mask == 0)).all():
        raise ValueError("attention_mask must hold only 1 (token) and 0 (padding), got other values")
    return real[:, None, None, :]


def causal_mask(T: int, S: int | None = None, *, device: torch.device | None = None) -> Bool[Tensor, "T S"]:
    """Let each token see itself and the tokens before it: "past tokens and itself", slides C20 and W22.

    With S keys for T queries the last query is the last key: the S - T earlier keys are a cache that all may see.
    Raises ValueError if `T` is negative or `S` is smaller than `T`.

    >>> causal_mask(2, 3).int()
    tensor([[1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    checks.whole("T", T, at_least=0)
    S = T if S is None else checks.whole("S", S, at_least=T)
    return torch.ones(T, S, dtype=torch.bool, device=device).tril_(S - T)


def prefix_mask(prefix_length: int, T: int, *, device: torch.device | None = None) -> Bool[Tensor, "T T"]:
    """Let all tokens see the whole prefix and, after it, the past: the prefix language model of T5 (Raffel et al. 2020).

    `prefix_length` = 0 or 1 is the causal mask, `prefix_length` = T the full one.
    Raises ValueError unless 0 <= `prefix_length` <= `T`.

    >>> prefix_mask(2, 3).int()
    tensor([[1, 1, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    checks.whole("prefix_length", prefix_length, 0, T)
    mask = causal_mask(T, device=device)
    mask[:, :prefix_length] = True
    return mask


def sliding_window_mask(T: int, window: int, *, device: torch.device | None = None) -> Bool[Tensor, "T T"]:
    """Let each token see itself and the `window` - 1 tokens before it (Mistral; Jiang et al. 2023).

    L such layers still see L (window - 1) tokens back: windows add up over layers, like those of convolutions.
    Raises ValueError if `T` is negative or `window` is less than one token.

    >>> sliding_window_mask(3, 2).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [0, 1, 1]], dtype=torch.int32)
    """
    checks.whole("window", window)
    return causal_mask(T, device=device).triu_(1 - window)
