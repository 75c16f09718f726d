"""Measures of a model: how surprised it is by text, and what it can see of it."""

from lib.evaluation.bradley_terry import (
    BradleyTerryFit,
    fit_bradley_terry,
    recovery_error,
    simulate_comparisons,
)
from lib.evaluation.judges import SwapTest, judge_probability, swap_test
from lib.evaluation.perplexity import bits_per_byte, perplexity
from lib.evaluation.receptive_field import receptive_field

__all__ = [
    "BradleyTerryFit",
    "SwapTest",
    "bits_per_byte",
    "fit_bradley_terry",
    "judge_probability",
    "perplexity",
    "receptive_field",
    "recovery_error",
    "simulate_comparisons",
    "swap_test",
]
