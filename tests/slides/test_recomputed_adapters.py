"""The parameter counts of W28 against the formulas of the papers, by hand, with L = 96 and d = 12,288."""

from lib.slides import claim

L, D = 96, 12_288


def test_lora_on_queries_and_values():
    assert claim("A43").recomputed == (L * 2 * 2 * D, L * 2 * 2 * D * 8)
    assert claim("A42a").recomputed == 2 * L * 2 * 2 * D * 4
    assert claim("A42a").detail == "36.00 MiB; smaller than 350 GB by a factor of 9,272"


def test_what_is_frozen_stays_in_memory():
    assert claim("A42b").recomputed * 1e9 == 2 * 175e9 + 16 * L * 2 * 2 * D * 4


def test_bottlenecks_prompts_and_prefixes():
    adapters = tuple(2 * L * (2 * D * rank + rank + D) for rank in (1, 8))
    assert claim("A44a").recomputed == (*adapters, 264 * D)
    assert claim("A44b").recomputed == 16 * D * L


def test_biases_are_nine_of_linear_layers_and_two_of_norms():
    assert claim("A44c").recomputed == (9 + 2) * D * L + D and claim("A44c").detail == "11 vectors per layer"


def test_break_even_rank():
    assert claim("A59").recomputed == D * D / (D + D) and " 512 times" in claim("A59").detail
