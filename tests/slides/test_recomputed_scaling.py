"""The claims about training data and tables of scores, against figures worked out by hand."""

import pytest

from lib.slides import claim, load_table
from lib.slides.recomputed.scaling import GPT3_EPOCHS, T5_SIZES, WEBTEXT2_BYTES_PER_TOKEN


def test_the_papers_epochs_make_a_hundred_per_cent_less_what_webtext_lacks():
    shares = claim("A17b").recomputed
    assert shares == pytest.approx((60.13, 18.37, 7.6, 7.88, 3.4), abs=0.005)
    assert sum(shares) == pytest.approx(97.38, abs=0.01) and len(GPT3_EPOCHS) == len(load_table("gpt3_data"))


def test_text_of_gpt3_in_gigabytes():
    assert WEBTEXT2_BYTES_PER_TOKEN == pytest.approx(4.192, abs=1e-3)
    assert claim("A18").recomputed == pytest.approx(570 / 499)
    assert claim("X13").recomputed == pytest.approx(2091.9, abs=0.1)
    assert claim("X13").detail.endswith("570 GB would be 136B of the 499B tokens")


def test_the_text_of_gpt2_and_of_llama_1():
    assert claim("X05").detail == "T43: WebText"
    assert claim("T22b").detail == "1.0T to 1.4T"


def test_t5_sizes_are_the_rows_of_the_table_and_its_slopes_fall():
    assert list(T5_SIZES) == load_table("t5_nlu").model.tolist()[1:]
    assert all(slope < 0 for slope in claim("A55").recomputed)
