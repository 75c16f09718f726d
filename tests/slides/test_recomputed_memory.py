"""The claims about memory, against figures worked out by hand."""

from lib.slides import claim


def test_what_adam_keeps_is_named_by_torch():
    assert claim("F28a").recomputed == 2 and claim("F28a").detail == "exp_avg and exp_avg_sq"
    assert claim("F28b").detail.startswith("neither is among")


def test_the_llama_of_33_billions_is_the_first():
    assert claim("X12").detail == "33B is Llama 1; Llama 2 has 34B, 68, 408, 544 GB at 2, 12, 16 bytes"


def test_the_cache_of_llama_3_by_hand():
    by_hand = tuple(2 * layers * 8 * 128 * 2 for layers in (32, 80, 126))  # K and V, 8 heads of 128, 2 bytes
    assert claim("A22b").recomputed == by_hand


def test_adam_in_float32_takes_four_numbers_and_a_counter():
    assert claim("T46a").recomputed == 16 + 4 / (64 * 32)
    assert claim("A38a").detail == "26.08 GiB" and claim("A38b").detail == "104.31 GiB"


def test_t45_falls_short_of_t46_where_its_recipe_changes():
    assert claim("A39").recomputed == (176, 528, 1120)
    assert claim("A39").detail.endswith("+0 GB, -132 GB, -280 GB")
    assert claim("X03").detail == "6.86; 12; 16" and claim("A40b").recomputed == 2.8e12
