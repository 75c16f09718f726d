"""Measures of a model: how surprised it is by text, and what it can see of it."""

from lib.evaluation.perplexity import bits_per_byte, perplexity
from lib.evaluation.receptive_field import receptive_field
from lib.evaluation.sentiment import sentiment

__all__ = ["bits_per_byte", "perplexity", "receptive_field", "sentiment"]
