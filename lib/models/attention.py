"""Multi-head attention as a module: projections around one of the kernels of `lib.kernels`.

Grouped-query attention, rotary positions and the cache are handled here; what is the same for every layer of a
forward pass (mask, rotary angles, cache) is computed once and passed on in an `AttentionContext`.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.kernels import apply_rotary, attention_fused, attention_reference, attention_tiled, attention_weights
from lib.models.cache import KVCache
from lib.models.config import TransformerConfig
from lib.models.linear import Embedding, Linear

KERNELS = {"fused": attention_fused, "reference": attention_reference, "tiled": attention_tiled}


@dataclass(slots=True)
class AttentionContext:
    """What all layers of one forward pass share."""

    mask: Tensor | None = None  # boolean (True: may attend) or added to the scores; broadcast to (B, H, T, S)
    causal: bool = False  # let the kernel hide the future; False where `mask` already does
    rotary: tuple[Tensor, Tensor] | None = None  # cosine and sine of the positions' angles
    cache: KVCache | None = None
    memory: Tensor | None = None  # (B, S, D), what cross-attention reads; None once the cache holds its keys
    memory_mask: Tensor | None = None  # (B, 1, 1, S)
    maps: list[Tensor] | None = None  # collects each layer's self-attention weights, for pictures
    cross_maps: list[Tensor] | None = None
    states: list[Tensor] | None = None  # collects what enters the first layer, and what leaves each

    def keep(self, state: Tensor) -> None:
        """Collect a layer's state where they are asked for: else it is free to go once the next layer has read it."""
        if self.states is not None:
            self.states.append(state)


class SelfAttention(nn.Module):
    """softmax(q kᵀ / √K) v over the sequence itself, H heads (slides C02, C20; Vaswani et al. 2017, eq. 1).

    Query, key and value come from one matrix, rows in the order q, k, v: one product instead of three.
    """

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.width = config.num_heads, config.kv_heads, config.head_width
        self.scale = self.width**-0.5 if config.scale_attention else 1.0
        self.kernel = KERNELS[config.attention]
        self.sizes = [self.heads * self.width, self.kv_heads * self.width, self.kv_heads * self.width]
        self.qkv = Linear(config.d_model, sum(self.sizes), bias=config.has_qkv_bias)
        self.output = Linear(self.sizes[0], config.d_model, bias=config.bias)

    def forward(self, x: Float[Tensor, "B T D"], context: AttentionContext) -> Float[Tensor, "B T D"]:
        """Mix each token with those it may attend to; new keys and values go into the context's cache."""
        heads = split_heads(self.qkv(x), self.width)  # (B, H + 2G, T, K)
        qk, v = heads[:, : -self.kv_heads], heads[:, -self.kv_heads :]
        if context.rotary is not None:
            qk = apply_rotary(qk, *context.rotary)  # queries and keys turn alike
        q, k = qk[:, : self.heads], qk[:, self.heads :]
        new = k
        if context.cache is not None:
            k, v = context.cache.update(self.layer, k, v)
        if context.maps is not None:
            weights = attention_weights(q, k, mask=context.mask, causal=context.causal, scale=self.scale)
            context.maps.append(weights)
        mixed = self.kernel(q, k, v, mask=context.mask, causal=context.causal, scale=self.scale)
        if _cuts_gradient(context.cache, new):
            mixed = _Untrainable.apply(mixed, new)
        return self.output(merge_heads(mixed))


def _cuts_gradient(cache: KVCache | None, new: Tensor) -> bool:
    """Whether a gradient that `new` keys would need is lost in the cache."""
    return cache is not None and cache.detaches and new.requires_grad and torch.is_grad_enabled()


class _Untrainable(torch.autograd.Function):
    """Attention over cached keys and values, which are detached: it can be computed, but nobody can train through it."""

    @staticmethod
    def forward(ctx, mixed, new):
        return mixed.clone()

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError("no gradient flows through a KVCache: call the model without a cache to train it")


class CrossAttention(nn.Module):
    """Attention from the target (queries) to the encoder's output (keys and values), slide W21."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.width = config.head_width
        self.scale = self.width**-0.5 if config.scale_attention else 1.0
        self.kernel = KERNELS[config.attention]
        self.query = Linear(config.d_model, config.num_heads * self.width, bias=config.has_qkv_bias)
        self.kv = Linear(config.d_model, 2 * config.kv_heads * self.width, bias=config.has_qkv_bias)  # rows: k, v
        self.output = Linear(config.num_heads * self.width, config.d_model, bias=config.bias)

    def forward(self, x: Float[Tensor, "B T D"], context: AttentionContext) -> Float[Tensor, "B T D"]:
        """Read the source; its keys and values are made once and kept where there is a cache."""
        q = split_heads(self.query(x), self.width)
        k, v = self._keys_and_values(context)
        if context.cross_maps is not None:
            context.cross_maps.append(attention_weights(q, k, mask=context.memory_mask, scale=self.scale))
        return self.output(merge_heads(self.kernel(q, k, v, mask=context.memory_mask, scale=self.scale)))

    def _keys_and_values(self, context: AttentionContext) -> tuple[Tensor, Tensor]:
        if context.memory is None:
            return context.cache.cross(self.layer)
        k, v = self.kv(context.memory).chunk(2, dim=-1)
        k, v = split_heads(k, self.width), split_heads(v, self.width)
        if context.cache is not None:
            context.cache.keep_cross(self.layer, k, v)
        return k, v


class RelativeBias(nn.Module):
    """T5's positions: a learned number per head and bucket of distances, added to every layer's scores."""

    def __init__(self, config: TransformerConfig, *, bidirectional: bool) -> None:
        super().__init__()
        self.bidirectional = bidirectional
        self.max_distance = config.relative_max_distance
        self.weight = Embedding(config.relative_buckets, config.num_heads)

    def forward(self, queries: int, keys: int) -> Float[Tensor, "H T S"]:
        """The bias of the last `queries` of `keys` positions."""
        device = self.weight.weight.device
        position = torch.arange(keys, device=device)
        buckets = relative_bucket(
            position - position[keys - queries :, None],
            num_buckets=self.weight.num_embeddings,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )
        return self.weight(buckets).permute(2, 0, 1)


def relative_bucket(
    distance: Int[Tensor, "T S"],
    *,
    num_buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Int[Tensor, "T S"]:
    """Which of T5's buckets a distance, key position − query position, falls into (Raffel et al. 2020, §2.1).

    Half of the buckets are exact distances, the others widen logarithmically up to `max_distance`.
    Bidirectional: the lower half of all buckets is for keys at or before the query, the upper half for keys
    after it.

    >>> import torch
    >>> relative_bucket(torch.tensor([[-3, 0, 1, 500]])).tolist()
    [[3, 0, 17, 31]]
    """
    offset = torch.zeros_like(distance)
    if bidirectional:
        num_buckets //= 2
        offset = (distance > 0).long() * num_buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp_min(0)
    exact = num_buckets // 2
    ratio = torch.log(distance.clamp_min(1).float() / exact) / math.log(max_distance / exact)
    wide = (exact + (ratio * (num_buckets - exact)).long()).clamp_max(num_buckets - 1)
    return offset + torch.where(distance < exact, distance, wide)


def split_heads(x: Float[Tensor, "B T HK"], width: int) -> Float[Tensor, "B H T K"]:
    """Cut the last axis into heads of `width` numbers and bring the heads forward."""
    return x.unflatten(-1, (-1, width)).transpose(1, 2)


def merge_heads(x: Float[Tensor, "B H T K"]) -> Float[Tensor, "B T HK"]:
    """Put the heads side by side again."""
    return x.transpose(1, 2).flatten(2)
