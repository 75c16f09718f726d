"""From a model to text: logits warpers, greedy decoding and sampling with a KV cache."""

from lib.generation.decoding import generate
from lib.generation.rollout import Enumerated, Rollout, enumerate_responses, rollout
from lib.generation.warpers import keep_top_k, keep_top_p, scale_temperature, warp

__all__ = [
    "Enumerated",
    "Rollout",
    "enumerate_responses",
    "generate",
    "keep_top_k",
    "keep_top_p",
    "rollout",
    "scale_temperature",
    "warp",
]
