"""The claims about memory, against figures worked out by hand."""

from lib.slides import claim


def test_what_adam_keeps_is_named_by_torch():
    assert claim("F28a").recomputed == 2 and claim("F28a").detail == "exp_avg and exp_avg_sq"
    assert claim("F28b").detail.startswith("neither is among")


def test_the_llama_of_33_billions_is_the_first():
    assert claim("X12").detail == "33B is Llama 1; Llama 2 has 34B, 68, 408, 544 GB at 2, 12, 16 bytes"
