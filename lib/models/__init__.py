"""Transformers of three kinds from one configuration and one set of layers."""

from lib.models.cache import KVCache
from lib.models.config import TransformerConfig
from lib.models.count import count_parameters
from lib.models.decoder import Decoder
from lib.models.elmo import BidirectionalLM, ScalarMix, StackedBidirectionalLM
from lib.models.encoder import Encoder
from lib.models.encoder_decoder import EncoderDecoder
from lib.models.heads import (
    MaskedLM,
    MLMHead,
    SequenceClassifier,
    Span,
    SpanExtractor,
    TokenClassifier,
    first_real_token,
    last_real_token,
)
from lib.models.modes import assert_no_update, eval_mode
from lib.models.next_sentence import PreTrainingLogits, PreTrainingModel
from lib.models.packaged import load_minilm, load_smollm2
from lib.models.presets import PRESETS, preset
from lib.models.pretrained import config_from_transformers, load_transformers
from lib.models.quantized import model_bytes, quantize_model
from lib.models.quantized_layers import GroupedInt4Linear, Int8Embedding, Int8Linear, NF4Linear
from lib.models.reward import RewardModel, ValueModel
from lib.models.small import SmallModel, load_small, save_small
from lib.models.word2vec import SkipGram
from lib.models.word_vectors import WordVectors, load_glove

__all__ = [
    "BidirectionalLM",
    "Decoder",
    "Encoder",
    "EncoderDecoder",
    "GroupedInt4Linear",
    "Int8Embedding",
    "Int8Linear",
    "KVCache",
    "MLMHead",
    "MaskedLM",
    "NF4Linear",
    "PRESETS",
    "PreTrainingLogits",
    "PreTrainingModel",
    "RewardModel",
    "ScalarMix",
    "SequenceClassifier",
    "SkipGram",
    "SmallModel",
    "Span",
    "SpanExtractor",
    "StackedBidirectionalLM",
    "TokenClassifier",
    "TransformerConfig",
    "ValueModel",
    "WordVectors",
    "assert_no_update",
    "config_from_transformers",
    "count_parameters",
    "eval_mode",
    "first_real_token",
    "last_real_token",
    "load_glove",
    "load_minilm",
    "load_small",
    "load_smollm2",
    "load_transformers",
    "model_bytes",
    "preset",
    "quantize_model",
    "save_small",
]
