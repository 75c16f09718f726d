"""Transformers of three kinds from one configuration and one set of layers."""

from lib.models.cache import KVCache
from lib.models.config import TransformerConfig
from lib.models.count import count_parameters
from lib.models.decoder import Decoder
from lib.models.encoder import Encoder
from lib.models.encoder_decoder import EncoderDecoder

__all__ = ["Decoder", "Encoder", "EncoderDecoder", "KVCache", "TransformerConfig", "count_parameters"]
