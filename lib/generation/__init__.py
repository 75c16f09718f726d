"""From a model to text: warpers and penalties, greedy, sampling, beam, contrastive and speculative decoding, prompts."""

from lib.generation.beam import Beams, beam_search
from lib.generation.contrastive import contrastive_search
from lib.generation.decoding import generate
from lib.generation.penalties import forbid_repeated_ngrams, penalise_counts, penalise_repetition
from lib.generation.prompts import Demonstration, few_shot_prompt
from lib.generation.rollout import Enumerated, Rollout, enumerate_responses, rollout
from lib.generation.speculative import ModelDraft, NGramDraft, Speculated, speculative_generate
from lib.generation.warpers import keep_min_p, keep_top_k, keep_top_p, scale_temperature, warp

__all__ = [
    "Beams", "Demonstration", "Enumerated", "ModelDraft", "NGramDraft", "Rollout", "Speculated",
    "beam_search", "contrastive_search", "enumerate_responses", "few_shot_prompt", "forbid_repeated_ngrams", "generate",
    "keep_min_p", "keep_top_k", "keep_top_p", "penalise_counts", "penalise_repetition", "rollout", "scale_temperature",
    "speculative_generate", "warp",
]  # fmt: skip
