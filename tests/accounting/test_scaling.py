"""Scaling laws: the papers' own numbers, limits, and what the slides claim (A16, A17, A33, A34)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.accounting import (
    BESIROGLU,
    HOFFMANN,
    KAPLAN,
    KAPLAN_D,
    PF_DAY,
    ChinchillaLaw,
    KaplanLaw,
    PowerLaw,
    chinchilla_loss,
    data_multiplier,
    effective_tokens,
    kaplan_loss,
    kaplan_loss_c,
    kaplan_loss_d,
    kaplan_loss_n,
    mixture_epochs,
)

sizes = st.floats(1e3, 1e13)
GPT3_TOKENS, GPT3_WEIGHTS = [410e9, 19e9, 12e9, 55e9, 3e9], [0.60, 0.22, 0.08, 0.08, 0.03]


@pytest.mark.parametrize(
    "law, scale, exponent",
    [(kaplan_loss_n, 8.8e13, 0.076), (kaplan_loss_d, 5.4e13, 0.095), (kaplan_loss_c, 3.1e8, 0.050)],
)
def test_each_of_kaplans_laws_is_the_formula(law, scale, exponent):
    for x in (1.0, 1e6, 1e12):
        assert float(law(x)) == pytest.approx(math.exp(exponent * (math.log(scale) - math.log(x))), rel=1e-13)
    assert float(law(scale)) == pytest.approx(1.0, rel=1e-15)  # one nat where the scale is the constant


def test_ten_times_the_parameters_lower_the_loss_by_a_sixth():
    assert float(kaplan_loss_n(1e9) / kaplan_loss_n(1e8)) == pytest.approx(0.8395, abs=5e-5)


def test_a_petaflop_day():
    assert PF_DAY == 8.64e19


def test_the_joint_law_is_the_formula_and_has_the_single_laws_as_limits():
    N, D = 3e8, 7e9
    expected = ((6.4e13 / N) ** (0.076 / 0.103) + 1.8e13 / D) ** 0.103
    assert float(kaplan_loss(N, D)) == pytest.approx(expected, rel=1e-14)
    assert float(kaplan_loss(N, np.inf)) == pytest.approx((6.4e13 / N) ** 0.076, rel=1e-13)
    assert float(kaplan_loss(np.inf, D)) == pytest.approx((1.8e13 / D) ** 0.103, rel=1e-13)


def test_chinchilla_is_the_formula_with_the_papers_constants_and_with_the_corrected_ones():
    N, D = 70e9, 1.4e12
    assert float(chinchilla_loss(N, D)) == pytest.approx(1.69 + 406.4 / N**0.34 + 410.7 / D**0.28, rel=1e-14)
    corrected = 1.8172 + 482.01 / N**0.3478 + 2085.43 / D**0.3658
    assert float(chinchilla_loss(N, D, BESIROGLU)) == pytest.approx(corrected, rel=1e-14)
    assert chinchilla_loss(np.inf, np.inf) == 1.69


@pytest.mark.parametrize("law", [KAPLAN, HOFFMANN, BESIROGLU])
@given(N=sizes, D=sizes, factor=st.floats(1.01, 100))
def test_more_of_anything_lowers_the_loss(law, N, D, factor):
    assert law(N * factor, D) < law(N, D) and law(N, D * factor) < law(N, D)


def test_numbers_give_numbers_and_arrays_broadcast_in_double_precision():
    assert isinstance(kaplan_loss_n(10**9), np.float64)
    grid = chinchilla_loss(np.array([[1], [2], [4]], dtype=np.float32) * 2**20, [10**9, 10**25])
    assert grid.shape == (3, 2) and grid.dtype == np.float64
    assert grid[1, 0] == chinchilla_loss(2**21, 10**9)


def test_eight_times_the_model_wants_about_five_times_the_data():
    assert float(data_multiplier(8)) == pytest.approx(4.659, abs=5e-4)
    assert float(data_multiplier(8, KAPLAN)) == pytest.approx(4.638, abs=5e-4)
    assert float(data_multiplier(8, KAPLAN_D)) == pytest.approx(5.278, abs=5e-4)
    exact = math.log(5) / math.log(8)
    assert exact == pytest.approx(0.774, abs=5e-4) and float(data_multiplier(8, exact)) == pytest.approx(5)


@pytest.mark.parametrize("law", [KAPLAN, HOFFMANN, BESIROGLU, ChinchillaLaw(1.0, 1.0, 2.0, 0.9, 0.3)])
@given(N=st.floats(1e4, 1e11), D=st.floats(1e6, 1e13), k=st.floats(0.1, 100))
def test_data_that_grow_by_the_multiplier_keep_both_terms_in_proportion(law, N, D, k):
    A, alpha, B, beta = law.terms
    before = (A / N**alpha) / (B / D**beta)
    after = (A / (N * k) ** alpha) / (B / (D * data_multiplier(k, law)) ** beta)
    assert after == pytest.approx(before, rel=1e-9)


def test_the_penalty_of_slide_t09():
    penalty = kaplan_loss([1e8, 8e8, 8e8, 8e8], [1e10, 1e10, 5e10, 4.66e10]) / kaplan_loss([1e8, 8e8, 8e8, 8e8], np.inf)
    assert penalty == pytest.approx([1.0093, 1.0378, 1.0086, 1.0092], abs=5e-5)


def test_repeated_text_is_worth_less_each_time():
    assert effective_tokens(100, 100) == 100 and effective_tokens(100, 1e9) == pytest.approx(100 * 16.4)
    worth = effective_tokens(100, [100, 200, 300, 400], 15.4)
    gains = np.diff(worth) / 100
    assert (np.diff(gains) < 0).all() and gains[0] == pytest.approx(15.4 * (1 - np.exp(-1 / 15.4)))
    slope = (effective_tokens(1.0, 1 + 5 + 1e-6, 5) - effective_tokens(1.0, 1 + 5, 5)) / 1e-6
    assert slope == pytest.approx(np.exp(-1), rel=1e-5), "after R* repetitions one more token counts 1/e"


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((100, 50), "read must be at least unique"),
        ((0, 50), "unique"),
        ((10, 50, -1), "decay"),
        ((10, float("nan")), "read"),
    ],
)
def test_effective_tokens_refuses_what_is_no_repetition(args, complaint):
    with pytest.raises(ValueError, match=complaint):
        effective_tokens(*args)


def test_gpt3s_mixture():
    epochs = mixture_epochs(GPT3_TOKENS, GPT3_WEIGHTS, 300e9)
    assert epochs == pytest.approx([0.439, 3.474, 2.0, 0.436, 3.0], abs=5e-4)
    # The paper's 2.9 epochs of WebText2 are a share of 18.4 %, not the 22 % that it prints.
    assert 2.9 * 19e9 / 300e9 == pytest.approx(0.184, abs=5e-4)


def test_epochs_times_sizes_are_the_tokens_read_once_the_shares_sum_to_one():
    printed, normalised = (
        float(mixture_epochs(GPT3_TOKENS, GPT3_WEIGHTS, 300e9, normalise=flag) @ GPT3_TOKENS) for flag in (False, True)
    )
    assert printed == pytest.approx(1.01 * 300e9) and normalised == pytest.approx(300e9)


def test_a_part_may_be_left_out():
    assert mixture_epochs([10, 20], [0, 1], 40).tolist() == [0, 2]


@pytest.mark.parametrize("bad", [0, -1, float("nan"), [1e9, 0], [1e9, -2]])
@pytest.mark.parametrize(
    "call, name",
    [
        (kaplan_loss_n, "N"), (kaplan_loss_d, "D"), (kaplan_loss_c, "C"),
        (lambda v: kaplan_loss(v, 1e9), "N"), (lambda v: kaplan_loss(1e9, v), "D"),
        (lambda v: chinchilla_loss(v, 1e9), "N"), (lambda v: chinchilla_loss(1e9, v), "D"),
        (data_multiplier, "model_multiplier"),
    ],
)  # fmt: skip
def test_what_is_not_positive_is_refused_by_name(call, name, bad, unchecked):
    with pytest.raises(ValueError, match=rf"^{name} must hold (finite )?numbers above 0, got"):
        call(bad)


def test_what_is_no_number_is_refused(unchecked):
    with pytest.raises(TypeError, match="N must be a number"):
        kaplan_loss_n("many")
    with pytest.raises(ValueError, match="law must be a finite number above 0, got -0.74"):
        data_multiplier(8, -0.74)


@pytest.mark.parametrize("make", [PowerLaw, KaplanLaw, ChinchillaLaw])
@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_laws_constants_are_positive(make, wrong):
    with pytest.raises(ValueError, match="must be a finite number above 0"):
        make(wrong if make is not ChinchillaLaw else 1.0, wrong)


def test_a_floor_may_be_zero_but_not_negative():
    assert ChinchillaLaw(E=0.0).E == 0
    with pytest.raises(ValueError, match="E must be a finite number of at least 0"):
        ChinchillaLaw(E=-0.1)


@pytest.mark.parametrize(
    "tokens, weights, total, message",
    [
        ([10, 20], [1.0], 5, r"weights must have the shape of tokens, \(2,\), got \(1,\)"),
        (10, 1.0, 5, r"tokens must have shape \(P,\), got \(\)"),
        ([10, 0], [0.5, 0.5], 5, "tokens must hold finite numbers above 0"),
        ([10, 20], [1.5, -0.5], 5, "weights must be at least 0"),
        ([10, 20], [float("nan"), 0.5], 5, "weights must be at least 0"),
        ([10, 20], [60, 40], 5, "60 % is 0.6"),
        ([10, 20], [0.5, 0.5], 0, "total must be a finite number above 0, got 0"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(tokens, weights, total, message):
    with pytest.raises(ValueError, match=message):
        mixture_epochs(tokens, weights, total)


def test_without_end_the_single_laws_fall_to_nothing():
    for law in (kaplan_loss_n, kaplan_loss_d, kaplan_loss_c):
        assert law(math.inf) == 0 and law([1.0, math.inf]).tolist() == [law(1.0), 0]
    assert chinchilla_loss(math.inf, 1e9) == pytest.approx(1.69 + 410.7 / 1e9**0.28)
    assert chinchilla_loss(1e9, math.inf) == pytest.approx(1.69 + 406.4 / 1e9**0.34)
    with pytest.raises(ValueError, match="model_multiplier must hold finite numbers above 0, got inf"):
        data_multiplier(math.inf)


@pytest.mark.parametrize("share, fine", [(0.94, False), (0.95, True), (1.05, True), (1.06, False)])
@pytest.mark.parametrize("normalise", [False, True])
def test_shares_sum_to_about_one(share, fine, normalise):
    if not fine:
        with pytest.raises(ValueError, match=f"got a sum of {share}"):
            mixture_epochs([10], [share], 40, normalise=normalise)
    else:
        assert mixture_epochs([10], [share], 40, normalise=normalise).item() == (4 if normalise else 4 * share)


@pytest.mark.parametrize("bad", [[1, [2, 3]], "many", ["a", 1], {"N": 1}])
def test_what_holds_no_numbers_is_of_the_wrong_type(bad, unchecked):
    with pytest.raises(TypeError, match="N must be a number or an array of numbers, got"):
        kaplan_loss_n(bad)


def test_laws_have_the_papers_constants():
    assert (KAPLAN.alpha_N, KAPLAN.alpha_D, KAPLAN.N_c, KAPLAN.D_c) == (0.076, 0.103, 6.4e13, 1.8e13)
    assert KaplanLaw() == KAPLAN and ChinchillaLaw() == HOFFMANN != BESIROGLU
    assert float(data_multiplier([2, 4], 2)[1]) == 16 and float(data_multiplier(8, HOFFMANN)) == 8 ** (0.34 / 0.28)
