"""The claims about LoRA and W28's table, against figures worked out by hand."""

import pytest

from lib.slides import claim


def test_gpt3_in_millions_with_and_without_a_tied_output_layer():
    assert claim("A46").recomputed == pytest.approx(174_604.259328)
    assert claim("A46").detail.startswith("175,221.8 with")


def test_four_of_seven_methods_train_less_than_the_lower_end():
    assert claim("A45").detail == "3 of 7 do; from 0.0018 % to 0.0229 %"


def test_the_better_lora_row_against_full_finetuning():
    assert claim("W28a").detail == "the better one gains 0.2, 2.2, 1.8, 1.8, 1.4"


def test_a_low_rank_update_misses_part_of_a_full_one_and_all_ranks_miss_nothing():
    assert claim("F10").detail.startswith("a gradient step has rank 12 of 12")
    assert claim("W27c").detail.endswith("12 miss 81%, 47%, 13%, 0%")


def test_seventeen_twenty_fourths_are_more_than_two_thirds():
    assert claim("A40a").recomputed == pytest.approx(17 / 24)
