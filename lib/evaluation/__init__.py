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
from lib.evaluation.sentiment import opinion, sentiment
from lib.evaluation.wall import WallScore, count_partitions, parse_groups, score_wall

__all__ = [
    "BradleyTerryFit",
    "SwapTest",
    "WallScore",
    "bits_per_byte",
    "count_partitions",
    "fit_bradley_terry",
    "judge_probability",
    "opinion",
    "parse_groups",
    "perplexity",
    "receptive_field",
    "recovery_error",
    "score_wall",
    "sentiment",
    "simulate_comparisons",
    "swap_test",
]
