"""Logits in, logits out: what temperature, top-k, top-p and min-p do to the next token's distribution (slide T39).

Each is a pure function over the last axis; a token that may not be chosen gets −∞, so its probability is
exactly 0. Temperature reshapes the whole distribution, top-k keeps a number of tokens, top-p an amount of
probability, min-p what is not too far behind the best. Logits in half precision are warped in float32: a division or a
sum of 50,000 probabilities in float16 would draw tokens whose probability is 0.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels.precision import widened

ROUNDING = 2.5e-6  # of the smaller of p and 1 - p: as near as that counts as reached, since float32 cannot tell .5 + .3 from .8


def scale_temperature(logits: Float[Tensor, "*B V"], temperature: float) -> Float[Tensor, "*B V"]:
    """z / T: T < 1 sharpens, T > 1 flattens; T = 0, the limit, keeps only the best token (the first, if tied).

    Where z / T would overflow, the largest logit is subtracted first, which changes no probability.
    Raises ValueError if `temperature` is negative or no finite number.

    >>> scale_temperature(torch.tensor([1.0, 2.0, 8.0]), 0.05).softmax(-1)
    tensor([0., 0., 1.])
    """
    checks.number("temperature", temperature, "[0, inf)")
    logits = widened(logits)
    if temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(-1, best, 0.0)
    temperature = max(temperature, torch.finfo(logits.dtype).tiny)  # below it float32 has 0, and 0 / 0
    largest = logits.amax(dim=-1, keepdim=True)
    too_large = largest.isfinite() & (largest / temperature).isinf()
    return torch.where(too_large, logits - largest, logits) / temperature


def keep_top_k(logits: Float[Tensor, "*B V"], k: int) -> Float[Tensor, "*B V"]:
    """Keep the k most likely tokens, all of them if k > V; what ties with the k-th is kept too.

    Raises TypeError if `k` is not a whole number, ValueError if it is below 1.

    >>> keep_top_k(torch.tensor([0.1, 0.7, 0.2]), 2)
    tensor([  -inf, 0.7000, 0.2000])
    """
    checks.whole("top_k", k)
    last_kept = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < last_kept, -torch.inf)


def keep_top_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Keep the nucleus: the smallest set of most likely tokens whose probabilities sum to at least p.

    Holtzman et al. 2020, eq. 2. Slide T39 says "top p percentage of most likely tokens" (F22), which would be
    a share of the list; it is a share of the probability. p = 1 keeps everything.
    Raises ValueError unless 0 < p ≤ 1.

    >>> keep_top_p(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), 0.8).softmax(-1)
    tensor([0.6250, 0.3750, 0.0000, 0.0000])
    """
    checks.share("top_p", p, "(0, 1]")
    if p == 1:
        return logits
    falling, order = logits.sort(dim=-1, descending=True, stable=True)
    mass = falling.double().softmax(dim=-1)
    enough = p - ROUNDING * min(p, 1 - p)
    reached = mass.cumsum(dim=-1) - mass >= enough  # those before this token are enough without it
    reached[..., 0] = False  # whatever p, one token remains
    return logits.masked_fill(torch.empty_like(reached).scatter(-1, order, reached), -torch.inf)


def keep_min_p(logits: Float[Tensor, "*B V"], p: float) -> Float[Tensor, "*B V"]:
    """Keep each token whose probability is at least p times that of the most likely one (Nguyen et al. 2025).

    Where the model is sure few tokens remain, where it is not many do. p = 0 keeps everything, p = 1 the most likely.
    Raises ValueError unless 0 ≤ p ≤ 1.

    >>> keep_min_p(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), 0.5).softmax(-1)
    tensor([0.6250, 0.3750, 0.0000, 0.0000])
    """
    checks.share("min_p", p)
    if p == 0:
        return logits
    below = logits - logits.amax(dim=-1, keepdim=True)  # log of the ratio: no softmax is needed
    return logits.masked_fill(below < math.log(p) - ROUNDING, -torch.inf)


def warp(
    logits: Float[Tensor, "*B V"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "*B V"]:
    """Temperature, top-k, top-p, min-p, in the order of `transformers`; its softmax is what is sampled from.

    Raises as the four do.

    >>> warp(torch.tensor([0.0, 1.0, 2.0]), temperature=0.5, top_k=2)
    tensor([-inf, 2., 4.])
    """
    logits = scale_temperature(logits, temperature)  # float32 from here on
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return logits if min_p is None else keep_min_p(logits, min_p)
