"""Tiny configurations of every kind, and the masks of a padded batch, for the tests of this folder."""

import torch

from lib.models import TransformerConfig

VOCABULARY = 40


def encoder(**changes) -> TransformerConfig:
    """A BERT of two layers."""
    fields = dict(
        architecture="encoder",
        vocab_size=VOCABULARY,
        d_model=16,
        num_layers=2,
        num_heads=4,
        d_ff=24,
        max_positions=12,
        norm_position="post",
        embedding_norm=True,
        final_norm=False,
        type_vocab_size=2,
    )
    return TransformerConfig(**fields | changes)


def decoder(**changes) -> TransformerConfig:
    """A GPT-2 of two layers."""
    fields = dict(
        architecture="decoder",
        vocab_size=VOCABULARY,
        d_model=16,
        num_layers=2,
        num_heads=4,
        d_ff=24,
        max_positions=12,
        activation="gelu_tanh",
    )
    return TransformerConfig(**fields | changes)


def llama(**changes) -> TransformerConfig:
    """A Llama of two layers, whose four query heads share two key heads."""
    fields = dict(
        norm="rmsnorm",
        activation="silu",
        gated=True,
        bias=False,
        position="rotary",
        num_kv_heads=2,
        tie_embeddings=False,
    )
    return decoder(**fields | changes)


def seq2seq(**changes) -> TransformerConfig:
    """A T5 with three encoder and two decoder layers."""
    fields = dict(
        architecture="encoder_decoder",
        vocab_size=VOCABULARY,
        d_model=16,
        num_layers=2,
        num_heads=4,
        d_ff=24,
        num_encoder_layers=3,
        norm="rmsnorm",
        bias=False,
        position="relative",
        relative_buckets=8,
        relative_max_distance=10,
        scale_attention=False,
    )
    return TransformerConfig(**fields | changes)


def shaken(model: torch.nn.Module, seed: int = 0, width: float = 0.2) -> torch.nn.Module:
    """The model with noise on every parameter, biases and norms too: no term stays invisible. In eval()."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += width * torch.randn(parameter.shape, generator=noise)
    return model.eval()


def some_ids(batch: int = 2, length: int = 8, seed: int = 1) -> torch.Tensor:
    """Random ids, none of them 0, 1 or 2."""
    return torch.randint(3, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


RIGHT = torch.tensor([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]])
LEFT = RIGHT.flip(1)
