"""The parts of which every model here is made: norm, feed-forward, block, stack, input layer."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lib.kernels import causal_mask, padding_mask, rotary_angles, sinusoidal_positions
from lib.models.attention import AttentionContext, CrossAttention, RelativeBias, SelfAttention
from lib.models.config import TransformerConfig
from lib.models.inputs import token_positions
from lib.models.linear import Embedding, Linear

ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


def make_norm(config: TransformerConfig) -> nn.Module:
    """LayerNorm, (x − mean)/√(variance + ε) w + b, or RMSNorm, x/√(mean square + ε) w, over the width D."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.d_model, eps=config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)


class FeedForward(nn.Module):
    """down(act(up(x))), or gated down(act(gate(x)) · up(x)): SwiGLU, GEGLU (Shazeer 2020).

    When gated, `up` holds both matrices, rows in the order gate, up.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gated = config.gated
        self.activation = ACTIVATIONS[config.activation]
        self.up = Linear(config.d_model, (2 if config.gated else 1) * config.d_ff, bias=config.bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.bias)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Transform each token by itself."""
        if not self.gated:
            return self.down(self.activation(self.up(x)))
        gate, up = self.up(x).chunk(2, dim=-1)  # (B, T, F) each
        return self.down(self.activation(gate) * up)


class Block(nn.Module):
    """One layer: self-attention, cross-attention to a source, feed-forward; each with residual and norm."""

    def __init__(self, config: TransformerConfig, layer: int, *, cross: bool = False) -> None:
        super().__init__()
        self.pre = config.norm_position == "pre"
        self.dropout = config.dropout
        self.attention = SelfAttention(config, layer)
        self.attention_norm = make_norm(config)
        self.cross = CrossAttention(config, layer) if cross else None
        self.cross_norm = make_norm(config) if cross else None
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = make_norm(config)

    def forward(self, x: Float[Tensor, "B T D"], context: AttentionContext) -> Float[Tensor, "B T D"]:
        """Pre-norm: x + f(norm(x)); post-norm: norm(x + f(x))."""
        x = self._residual(x, self.attention_norm, self.attention, context)
        if self.cross is not None:
            x = self._residual(x, self.cross_norm, self.cross, context)
        return self._residual(x, self.feed_forward_norm, self.feed_forward)

    def _residual(self, x: Tensor, norm: nn.Module, sublayer: nn.Module, *context: AttentionContext) -> Tensor:
        branch = sublayer(norm(x) if self.pre else x, *context)
        if self.dropout and self.training:
            branch = F.dropout(branch, self.dropout)
        return x + branch if self.pre else norm(x + branch)


class InputLayer(nn.Module):
    """Token vectors become the first hidden state: scale, positions, segments, norm, dropout (slide C10)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.d_model
        self.scale, self.offset, self.dropout = config.embedding_scale, config.position_offset, config.dropout
        self.sinusoidal = config.position == "sinusoidal"
        learned = config.position == "learned"
        self.positions = Embedding(config.max_positions + self.offset, width) if learned else None
        self.types = Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.norm = make_norm(config) if config.embedding_norm else None

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        positions: Int[Tensor, "_ T"],
        types: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Add what the model knows about a token besides its id; `types` None means segment 0."""
        if self.scale != 1.0:
            x = x * self.scale
        if self.types is not None:
            x = x + (self.types.weight[0] if types is None else self.types(types))
        if self.positions is not None:
            x = x + self.positions(positions + self.offset)
        if self.sinusoidal:
            table = sinusoidal_positions(int(positions.max()) + 1, x.shape[-1])
            x = x + table.to(x)[positions]
        if self.norm is not None:
            x = self.norm(x)
        return F.dropout(x, self.dropout) if self.dropout and self.training else x


class TransformerStack(nn.Module):
    """The layers of an encoder or a decoder in sequence, and the norm after the last (Vaswani et al. 2017, § 3.1)."""

    def __init__(self, config: TransformerConfig, num_layers: int, *, causal: bool, cross: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.rotary_width = config.head_width if config.position == "rotary" else None
        self.rope_theta, self.rope_scaling = config.rope_theta, config.rope_scaling
        self.window = config.sliding_window
        self.blocks = nn.ModuleList(Block(config, layer, cross=cross) for layer in range(num_layers))
        relative = config.position == "relative"
        self.relative = RelativeBias(config, bidirectional=not causal) if relative else None
        self.norm = make_norm(config) if config.final_norm else None

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        positions: Int[Tensor, "_ T"],
        real: Bool[Tensor, "B S"] | None,
        context: AttentionContext,
    ) -> Float[Tensor, "B T D"]:
        """Run all blocks; `real` marks what is not padding among the S tokens that can be attended to."""
        past = context.cache.length if context.cache is not None else 0
        context.mask, context.causal = self._mask(x.shape[1], past + x.shape[1], real, x.device)
        if self.rotary_width is not None:
            angles = rotary_angles(positions, self.rotary_width, self.rope_theta, self.rope_scaling)  # (B, T, K/2)
            context.rotary = tuple(angle.to(x.dtype) for angle in angles)
        for block in self.blocks:
            context.keep(x)
            x = block(x, context)
        context.keep(x)
        if context.cache is not None:
            context.cache.advance(x.shape[1])
        return self.norm(x) if self.norm is not None else x

    def _mask(self, queries: int, keys: int, real: Tensor | None, device: torch.device) -> tuple[Tensor | None, bool]:
        """One mask for all layers, and whether the kernel is to hide the future (cheaper)."""
        causal = self.causal and queries > 1  # the last token may see everything before it
        window = self.window if self.window is not None and keys > self.window else None
        if self.relative is None and real is None and window is None:
            return None, causal
        allowed = padding_mask(real) if real is not None else None  # (B, 1, 1, S)
        if window is not None:
            position = token_positions(keys, 0, real, device)  # counted over real tokens, (1 or B, S)
            near = position[:, None, -queries:, None] - position[:, None, None] < window  # (1 or B, 1, T, S)
            allowed = near if allowed is None else allowed & near
        if causal:
            past_only = causal_mask(queries, keys, device=device)
            allowed = past_only[None, None] if allowed is None else allowed & past_only
        if self.relative is None:
            return allowed, False
        bias = self.relative(queries, keys)[None]  # (1, H, T, S)
        return (bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)), False


def initialise(model: nn.Module, config: TransformerConfig, generator: torch.Generator | None = None) -> None:
    """Draw every matrix from N(0, init_std²), as BERT and GPT-2 do; biases become 0 and norms 1.

    In pre-norm models the matrices that write into the residual stream are drawn 1/√(2L) times as wide, so
    that its variance does not grow with depth (GPT-2, §2.3). `generator` None takes the global one
    (`torch.manual_seed`).
    """
    depth = max(config.num_layers, config.encoder_layers)
    narrow = (2 * depth) ** -0.5 if config.norm_position == "pre" else 1.0
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            continue  # a shape without numbers
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            writes = name.endswith((".output.weight", ".down.weight"))
            std = config.init_std * (narrow if writes else 1.0)
            nn.init.normal_(parameter, std=std, generator=generator)
