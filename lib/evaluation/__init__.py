"""Measures of a model: how surprised it is by text, and what it can see of it."""

from lib.evaluation.judges import SwapTest, judge_probability, swap_test
from lib.evaluation.perplexity import bits_per_byte, perplexity
from lib.evaluation.receptive_field import receptive_field
from lib.evaluation.sentiment import opinion, sentiment
from lib.evaluation.wall import WallScore, count_partitions, parse_groups, score_wall

__all__ = [
    "SwapTest",
    "WallScore",
    "bits_per_byte",
    "count_partitions",
    "judge_probability",
    "opinion",
    "parse_groups",
    "perplexity",
    "receptive_field",
    "score_wall",
    "sentiment",
    "swap_test",
]
