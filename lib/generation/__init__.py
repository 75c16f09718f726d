"""From a model to text: logits warpers, greedy decoding and sampling with a KV cache."""

from lib.generation.decoding import generate
from lib.generation.warpers import keep_top_k, keep_top_p, scale_temperature, warp

__all__ = ["generate", "keep_top_k", "keep_top_p", "scale_temperature", "warp"]
