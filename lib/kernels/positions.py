"""Where is a token? Attention alone cannot tell: without positions it is equivariant to word order (slide C11).

Two answers that need no training: sinusoids added to the embeddings (Vaswani et al. 2017), and rotations of queries and
keys (Su et al. 2021), whose scores depend only on how far apart two tokens are.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks


def sinusoidal_positions(T: int, D: int) -> Float[Tensor, "T D"]:
    """Return the table of T positions that the original Transformer adds to its embeddings.

    PE[t, 2i] = sin(t / 10000^(2i/D)) and PE[t, 2i+1] = cos(t / 10000^(2i/D)), Vaswani et al. 2017, section 3.5: wavelengths
    from 2 pi to 20000 pi tokens. Raises ValueError if `T` is negative, or `D` is not a positive even number.

    >>> sinusoidal_positions(2, 4)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    checks.whole("T", T, at_least=0)
    cos, sin = rotary_angles(torch.arange(T), _even("D", D))
    return torch.stack((sin, cos), dim=-1).flatten(-2)  # (T, D), sine and cosine interleaved


@dataclass(frozen=True, kw_only=True)
class RopeScaling:
    """How Llama 3.1 and later slow down rotary pairs for a longer context (rope_type "llama3"; Meta's reference code).

    A pair that makes fewer than `low_freq_factor` turns over the original context turns `factor` times slower, one that makes
    more than `high_freq_factor` keeps its speed, and in between the two speeds are mixed linearly in the number of turns.
    Raises TypeError or ValueError for values that no such model has.

    >>> RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192).factor
    8.0
    """

    factor: float  # at least 1: 8 in Llama 3.1 and 3.3, 32 in 3.2
    low_freq_factor: float  # turns over the original context, 1
    high_freq_factor: float  # turns over the original context, 4
    original_max_position_embeddings: int  # the context in tokens before it was extended, 8192

    def __post_init__(self) -> None:
        checks.number("factor", self.factor, "[1, inf)")
        low = checks.positive("low_freq_factor", self.low_freq_factor)
        if checks.positive("high_freq_factor", self.high_freq_factor) <= low:
            raise ValueError(f"high_freq_factor must exceed low_freq_factor, {low}, got {self.high_freq_factor}")
        checks.whole("original_max_position_embeddings", self.original_max_position_embeddings)

    def slowed(self, speed: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        """The speeds of the pairs, in radians per token, for the longer context."""
        turns = speed * (self.original_max_position_embeddings / (2 * math.pi))
        kept = ((turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)).clamp(0, 1)
        return speed * (kept + (1 - kept) / self.factor)


def rotary_angles(
    positions: Int[Tensor, "*batch T"], K: int, theta: float = 10_000.0, scaling: RopeScaling | None = None
) -> tuple[Float[Tensor, "*batch T half"], Float[Tensor, "*batch T half"]]:
    """Return the cosines and sines by which `apply_rotary` turns the K/2 pairs of a head at each position.

    Pair i turns by position * theta^(-2i/K) radians, Su et al. 2021, equation 15; `theta` is 10,000, or 500,000 in Llama 3
    (slide C28), whose slowest pair needs 2.6 million tokens for one turn. `positions` counts tokens from 0; a batch that is
    padded on the left has its own row for each sequence. `scaling` changes the speeds as Llama 3.1 does. Computed in float32.
    Raises ValueError if `K` is not a positive even number or `theta` is not positive, TypeError if `positions` are not integers.

    >>> cos, sin = rotary_angles(torch.arange(3), 2)
    >>> cos.squeeze(), sin.squeeze()
    (tensor([ 1.0000,  0.5403, -0.4161]), tensor([0.0000, 0.8415, 0.9093]))
    """
    checks.integers(positions=positions)
    checks.positive("theta", theta)
    exponents = torch.arange(0, _even("K", K), 2, dtype=torch.float32, device=positions.device) / K
    speed = 1.0 / theta**exponents  # (K/2,), radians per token
    if scaling is not None:
        speed = scaling.slowed(speed)
    angles = positions[..., None].float() * speed  # (..., T, K/2)
    return angles.cos(), angles.sin()


def apply_rotary(
    x: Float[Tensor, "B H T K"], cos: Float[Tensor, "*batch T half"], sin: Float[Tensor, "*batch T half"]
) -> Float[Tensor, "B H T K"]:
    """Turn each pair of a query or key by the angle of its position, so that q_s . k_t depends on s - t only.

    (x_i, x_{i+K/2}) -> (x_i cos - x_{i+K/2} sin, x_{i+K/2} cos + x_i sin), Su et al. 2021, equation 34. A pair is coordinate i
    of the first and of the second half, as in Llama's released weights in transformers; the paper pairs neighbours.
    `cos` and `sin` come from `rotary_angles`, (T, K/2), or (B, T, K/2) where each sequence has its own positions.
    Raises ValueError if the shapes do not fit.

    >>> cos, sin = rotary_angles(torch.tensor([0, 1]), 2)
    >>> apply_rotary(torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]]), cos, sin)
    tensor([[[[1.0000, 0.0000],
              [0.5403, 0.8415]]]])
    """
    _check_rotary(x, cos, sin)
    if cos.dim() == 3:
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)  # (B, 1, T, K/2): all heads turn alike
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    first, second = x.chunk(2, dim=-1)  # (B, H, T, K/2) each
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def _even(name: str, width: int) -> int:
    if checks.whole(name, width) % 2:
        raise ValueError(f"{name} must be even (positions come in sine-cosine pairs), got {width}")
    return width


def _check_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    checks.shape("x", x, "B", "H", "T", "K")
    checks.same_shape(cos=cos, sin=sin)
    B, _, T, K = x.shape
    half = _even("K, the width of x,", K) // 2
    if cos.shape not in ((T, half), (B, T, half), (1, T, half)):
        raise ValueError(f"cos and sin must have shape {T, half} or {B, T, half} to turn x, got {tuple(cos.shape)}")
