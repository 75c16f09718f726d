"""How many parameters a model has, exactly: by building it without memory and counting."""

import torch
from torch import nn

from lib import checks
from lib.models.config import TransformerConfig
from lib.models.decoder import Decoder
from lib.models.encoder import Encoder
from lib.models.encoder_decoder import EncoderDecoder

MODELS = {"encoder": Encoder, "decoder": Decoder, "encoder_decoder": EncoderDecoder}


def count_parameters(model: nn.Module | TransformerConfig) -> int:
    """The number of trained numbers in a model, a tied matrix counted once (slides C10, C26, T45).

    A configuration is built on the meta device, which holds shapes only: 405 billion need no memory.
    Raises TypeError for anything else.

    >>> gpt2 = TransformerConfig(architecture="decoder", vocab_size=50257, d_model=768, num_layers=12,
    ...                          num_heads=12, d_ff=3072, max_positions=1024)
    >>> count_parameters(gpt2)
    124439808
    """
    if isinstance(model, TransformerConfig):
        with torch.device("meta"):
            model = MODELS[model.architecture](model)
    checks.instance("model", model, nn.Module, TransformerConfig)
    return sum(parameter.numel() for parameter in model.parameters())
