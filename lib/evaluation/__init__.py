"""Measures of a model: how surprised it is by text, and what it can see of it."""

from lib.evaluation.bradley_terry import (
    BradleyTerryFit,
    fit_bradley_terry,
    recovery_error,
    simulate_comparisons,
)
from lib.evaluation.choices import calibrated, choice_log_probs
from lib.evaluation.induction import induction_scores, repeated_tokens
from lib.evaluation.judges import SwapTest, judge_probability, swap_test
from lib.evaluation.perplexity import bits_per_byte, perplexity
from lib.evaluation.rankings import clustered, fit_plackett_luce, pairs_of_rankings, simulate_rankings
from lib.evaluation.receptive_field import receptive_field

__all__ = [
    "BradleyTerryFit",
    "SwapTest",
    "bits_per_byte",
    "calibrated",
    "choice_log_probs",
    "clustered",
    "fit_bradley_terry",
    "fit_plackett_luce",
    "induction_scores",
    "judge_probability",
    "pairs_of_rankings",
    "perplexity",
    "receptive_field",
    "recovery_error",
    "repeated_tokens",
    "simulate_comparisons",
    "simulate_rankings",
    "swap_test",
]
