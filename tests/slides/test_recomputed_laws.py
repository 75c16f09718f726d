"""The claims about scaling laws, compute and energy, against figures worked out by hand."""

import math

import pytest

from lib.slides import claim


def test_eight_times_the_model_by_three_pairs_of_exponents():
    assert claim("A33").recomputed == pytest.approx((4.659, 4.638, 5.278), abs=1e-3)
    assert claim("A33").detail.endswith(f"{math.log(5) / math.log(8):.3f}")


def test_penalties_and_the_data_that_a_larger_model_saves():
    assert claim("A34").recomputed == pytest.approx((1.00925, 1.03782, 1.00861), abs=1e-5)
    assert claim("T10a").detail.endswith("1B and 10B learn from 1B and 0.88B")


def test_compute_and_energy():
    assert claim("A23d").recomputed == pytest.approx((0.315, 36.45))
    assert claim("A53").recomputed == pytest.approx(1438 / 1984, rel=0.01)
    assert claim("A53").detail == "1,503 kWh"
