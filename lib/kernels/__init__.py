"""Pure tensor functions, no state: what every model here is made of, written to be read and held against PyTorch's."""

from lib.kernels.attention import attention_fused, attention_reference, attention_weights
from lib.kernels.dynamic import dynamic_int8_matmul, pack_int8
from lib.kernels.grouped import QuantizedGroups, dequantize_groups, quantize_groups
from lib.kernels.int8 import (
    OutlierProduct,
    Quantized,
    ZeroPointQuantized,
    dequantize,
    int8_matmul,
    integer_matmul,
    outlier_matmul,
    quantize_absmax,
    quantize_zero_point,
)
from lib.kernels.loss import chunked_cross_entropy, cross_entropy, selective_log_softmax
from lib.kernels.masks import causal_mask, padding_mask, prefix_mask, sliding_window_mask
from lib.kernels.nf4 import QuantizedNF4, dequantize_nf4, quantize_nf4
from lib.kernels.positions import RopeScaling, apply_rotary, rotary_angles, sinusoidal_positions
from lib.kernels.softmax import argmax_onehot, log_softmax, logsumexp, sigmoid, softmax
from lib.kernels.tiled import attention_tiled
from lib.kernels.triton import triton_attention, triton_cross_entropy, triton_softmax

__all__ = [
    "OutlierProduct",
    "Quantized",
    "QuantizedGroups",
    "RopeScaling",
    "QuantizedNF4",
    "ZeroPointQuantized",
    "apply_rotary",
    "argmax_onehot",
    "attention_fused",
    "attention_reference",
    "attention_tiled",
    "attention_weights",
    "causal_mask",
    "chunked_cross_entropy",
    "cross_entropy",
    "dequantize",
    "dequantize_groups",
    "dequantize_nf4",
    "dynamic_int8_matmul",
    "int8_matmul",
    "integer_matmul",
    "log_softmax",
    "logsumexp",
    "outlier_matmul",
    "pack_int8",
    "padding_mask",
    "prefix_mask",
    "quantize_absmax",
    "quantize_groups",
    "quantize_nf4",
    "quantize_zero_point",
    "rotary_angles",
    "selective_log_softmax",
    "sigmoid",
    "sinusoidal_positions",
    "sliding_window_mask",
    "softmax",
    "triton_attention",
    "triton_cross_entropy",
    "triton_softmax",
]
