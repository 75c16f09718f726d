"""Measures of a model: how surprised it is by text, and what it can see of it."""

from lib.evaluation.bradley_terry import (
    BradleyTerryFit,
    fit_bradley_terry,
    recovery_error,
    simulate_comparisons,
)
from lib.evaluation.choices import calibrated, choice_log_probs, label_log_probs
from lib.evaluation.induction import induction_scores, repeated_tokens
from lib.evaluation.judges import SwapTest, judge_probability, swap_test
from lib.evaluation.perplexity import bits_per_byte, perplexity
from lib.evaluation.rankings import clustered, fit_plackett_luce, pairs_of_rankings, simulate_rankings
from lib.evaluation.receptive_field import receptive_field
from lib.evaluation.similarity import centred, mean_cosine, neighbours, same_sense, solve_analogies, word_similarity

__all__ = [
    "BradleyTerryFit",
    "SwapTest",
    "bits_per_byte",
    "centred",
    "calibrated",
    "choice_log_probs",
    "clustered",
    "fit_bradley_terry",
    "fit_plackett_luce",
    "induction_scores",
    "judge_probability",
    "label_log_probs",
    "mean_cosine",
    "neighbours",
    "pairs_of_rankings",
    "perplexity",
    "receptive_field",
    "recovery_error",
    "same_sense",
    "repeated_tokens",
    "simulate_comparisons",
    "simulate_rankings",
    "solve_analogies",
    "swap_test",
    "word_similarity",
]
