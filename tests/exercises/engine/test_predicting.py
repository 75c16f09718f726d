"""Predictions: one clear line for whatever a student writes, and a comparison in plain words."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.exercises import compare, predict
from lib.exercises.engine import predicting

ID = "attention.sharper"


@pytest.fixture(autouse=True)
def _fresh_notebook(monkeypatch):
    monkeypatch.setattr(predicting, "_predicted", {})


def said(capsys, function, *given):
    """The one line that a call prints; it returns nothing, so that no cell shows a second one."""
    assert function(*given) is None
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and len(line) < 300
    return line.strip()


def compared(capsys, prediction, result):
    predict(ID, prediction)
    capsys.readouterr()
    return said(capsys, compare, ID, result)


@pytest.mark.parametrize("answer", [..., "...", " … "])
def test_a_cell_left_as_it_was_says_what_to_do(capsys, answer):
    assert said(capsys, predict, ID, answer) == (
        "A prediction is worth a moment: replace ... by one number, one word in quotes, True or False, "
        "and run this cell again."
    )
    assert said(capsys, compare, ID, 0.9996) == (
        "The result is 1.00. You have not predicted it, which is fine: a guess before the result helps to remember it."
    )


@pytest.mark.parametrize(
    "answer, noted",
    [
        (0.9, "0.9"), (3, "3"), (12_000, "12,000"), (-0.5, "-0.5"), (True, "True"), (np.bool_(False), "False"),
        (torch.tensor(True), "True"), (torch.tensor(0.25, requires_grad=True), "0.25"), (torch.tensor([7]), "7"),
        (np.float32(0.5), "0.5"), (np.int64(4), "4"), (np.array(2.5), "2.5"), (Fraction(1, 4), "0.25"),
        ("87 %", "87 %"), ("87%", "87 %"), (" 0.5 ", "0.5"), ("1e-3", "0.001"), ("1e999", "inf"), ("-3", "-3"), (".5", "0.5"),
        ("true", "True"), ("Sharper", "'Sharper'"), (np.str_("flat"), "'flat'"), (float("inf"), "inf"),
        ("it spreads, I think", "'it spreads, I think'"),
    ],
)  # fmt: skip
def test_a_number_a_word_and_a_truth_value_are_noted(capsys, answer, noted):
    line = said(capsys, predict, ID, answer)
    assert line == f"Noted: you predict {noted}. To change it, edit this cell and run it again."


class Hostile:
    def __float__(self):
        raise RuntimeError("no")

    def __len__(self):
        raise RuntimeError("no")

    __repr__ = __str__ = __bool__ = __eq__ = __float__

    def __getattr__(self, name):
        raise RuntimeError("no")


NO_PREDICTION = [
    ([0.9], "a list of 1"), ((1, 2, 3), "a tuple of 3"), ({}, "a dict of 0"), ({1, 2}, "a set of 2"),
    (None, "None"), (max, "a function, not what it returns"), (lambda x: x, "a function, not what it returns"),
    (torch.zeros(3), "a tensor of shape (3,)"), (np.zeros((2, 2)), "an array of shape (2, 2)"),
    (torch.zeros(2) > 0, "a tensor of shape (2,)"), (torch.zeros(()).to("meta"), "a tensor of shape ()"),
    (float("nan"), "NaN, which stands for no number"), (torch.tensor(float("nan")), "NaN, which stands for no number"),
    ("", "an empty string"), ("   ", "an empty string"), (1 + 2j, "a complex"), (10**400, "a number that is too large"),
    ("0,9", "'0,9' (a number has a decimal point and no comma, like 0.9 or 1000)"), (Hostile(), "a Hostile"),
    (torch, "a module"), (str, "a class"),
]  # fmt: skip
IDS = [f"{number}: {what}" for number, (_, what) in enumerate(NO_PREDICTION)]


@pytest.mark.parametrize("answer, what", NO_PREDICTION, ids=IDS)
def test_what_is_no_prediction_is_named_and_what_one_is(capsys, answer, what):
    line = said(capsys, predict, ID, answer)
    assert line.startswith("This is not a prediction yet: write one number, one word in quotes, True or False; ")
    assert line.endswith(f"; this is {what}.")


@pytest.mark.parametrize("result, what", NO_PREDICTION, ids=IDS)
def test_a_result_of_the_wrong_kind_is_named(capsys, result, what):
    assert compared(capsys, 0.9, result) == (
        f"compare takes one number, one word in quotes, True or False as the result; this is {what}. You said 0.9."
    )


def test_a_decimal_comma_is_recognised(capsys):
    assert said(capsys, predict, ID, 0, 9) == (
        "This is not a prediction yet: write one number, one word in quotes, True or False; "
        "this is 2 values (a number has a decimal point and no comma, like 0.9 or 1000)."
    )


@pytest.mark.parametrize("given", [(), (0.9,), ("",), (None, 1), ([],), ("\ud800", 1), ("a\nb", 1)])
@pytest.mark.parametrize("function", [predict, compare])
def test_a_missing_id_is_asked_for(capsys, function, given):
    assert said(capsys, function, *given).startswith(f"{function.__name__} takes the id in quotes first, then ")


def test_the_prediction_is_what_the_cell_said_last(capsys):
    predict(ID, 0.5)
    capsys.readouterr()
    assert said(capsys, predict, ID, 0.9).startswith("Noted: you predict 0.9, no longer 0.5. ")
    assert said(capsys, predict, ID, 0.9).startswith("Noted: you predict 0.9. ")
    predict(ID, [])  # as a fresh run of the notebook would have it
    capsys.readouterr()
    assert said(capsys, compare, ID, 1).startswith("The result is 1. You have not predicted it")


@pytest.mark.parametrize(
    "prediction, result, line",
    [
        (0.9, 0.99961, "You said 0.9; it is 1.00. Close: 0.1 too low."),
        (0.87, torch.tensor(0.87), "You said 0.87; it is 0.870. That is right."),
        (12, 13, "You said 12; it is 13. Close: 1 too low."),
        (1000, 1005, "You said 1,000; it is 1,005. That is right to within 1 %."),
        (0.7, 0.5, "You said 0.7; it is 0.500. That is 0.2 too high."),
        (1.0, 4.2, "You said 1; it is 4.20. That is too low by a factor of 4.2. What did you overlook?"),
        (7e9, 1234567, "You said 7e+09; it is 1,234,567. That is too high by a factor of 5,700. What did you overlook?"),
        (0.5, -0.5, "You said 0.5; it is -0.500. The sign is the other one: 1 too high. What did you overlook?"),
        (0.5, 0, "You said 0.5; it is 0. One of the two is 0: 0.5 too high. What did you overlook?"),
        (0, 0.0, "You said 0; it is 0. That is right."),
        (float("inf"), 3.0, "You said inf; it is 3.00. Only one of the two is finite. What did you overlook?"),
        ("87 %", 0.874, "You said 87 %; it is 0.874. That is right to within 1 %."),
        ("87 %", 87.4, "You said 87 %; it is 87.4. That is right to within 1 %."),
        (0.87, "87.4 %", "You said 0.87; it is 87.4 %. That is right to within 1 %."),
        ("80 %", "87 %", "You said 80 %; it is 87 %. Close: 7 percentage points too low."),
        (87, 0.874, "You said 87; it is 0.874. Close, if one of the two is in percent: "
                    '"87 %" is the same as 0.87.'),
        (True, np.bool_(True), "You said True; it is True. That is right."),
        (True, torch.tensor(False), "You said True; it is False. What did you overlook?"),
        ("yes", True, "You said True; it is True. That is right."),
        ("Pre-norm.", "pre norm", "You said 'Pre-norm.'; it is 'pre norm'. That is right."),
        ("flatter", "sharper", "You said 'flatter'; it is 'sharper'. What did you overlook?"),
        ("it gets sharper", "sharper", "You said 'it gets sharper'; it is 'sharper'. Is that what you meant?"),
        ("sharper", 0.9, "You said 'sharper'; the result is a number: 0.900. "
                         "The two cannot be compared; predict a number here."),
        (0.9, True, "You said 0.9; the result is either True or False: True. "
                    "The two cannot be compared; predict True or False here."),
        (1, "one", "You said 1; the result is a word: 'one'. The two cannot be compared; predict a word here."),
        ("maybe", True, "You said 'maybe'; the result is either True or False: True. "
                        "The two cannot be compared; predict True or False here."),
    ],
)  # fmt: skip
def test_compare_says_how_near(capsys, prediction, result, line):
    assert compared(capsys, prediction, result) == line
    assert said(capsys, compare, ID, result) == line  # a second time as the first


def test_compare_before_anything_is_predicted_shows_the_result(capsys):
    assert said(capsys, compare, ID, 0.87) == (
        "The result is 0.870. Nothing has been predicted yet: the cell that calls predict comes first."
    )


def test_compare_under_an_id_that_nobody_used_names_the_nearest(capsys):
    predict(ID, 0.9)
    predict("block.depth", ...)
    capsys.readouterr()
    assert said(capsys, compare, "attention.sharpr", 0.87) == (
        "The result is 0.870. Nothing is predicted under 'attention.sharpr'; did you mean attention.sharper?"
    )
    assert said(capsys, compare, "zzz", True) == (
        "The result is True. Nothing is predicted under 'zzz'; known are attention.sharper, block.depth."
    )


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers() | st.binary()
    | st.lists(st.integers(), max_size=3) | st.fractions() | st.decimals()
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, ANYTHING, ANYTHING)
def test_nothing_that_is_written_raises(id, answer, result):
    for name in (id, ID):
        predict(name, answer)
        compare(name, result)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_only_what_is_far_off_is_asked_about(guess, result):
    words = predicting._how_near(predicting._Said(guess), predicting._Said(result))
    near = guess == result or (guess * result > 0 and max(guess / result, result / guess) < 1.99)
    assert not near or "?" not in words


def test_nothing_is_written_to_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predict(ID, 0.9)
    compare(ID, 1.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("guess, it, words", [
    (999, 1000, "That is right."), (998, 1000, "That is right to within 1 %."), (99, 100, "That is right to within 1 %."),
    (98, 100, "Close: 2 too low."), (90, 100, "Close: 10 too low."), (89, 100, "That is 11 too low."), (100, 90,
    "Close: 10 too high."),
    (1.98, 1, "That is 0.98 too high."), (2, 1, "That is too high by a factor of 2. What did you overlook?"),
    (1, 2, "That is too low by a factor of 2. What did you overlook?"), (-1, -3,
    "That is too high by a factor of 3. What did you overlook?"),
    (-3, -1, "That is too low by a factor of 3. What did you overlook?"), (0, 3,
    "One of the two is 0: 3 too low. What did you overlook?"),
    (1, 100, 'Close, if one of the two is in percent: "87 %" is the same as 0.87.'),
    (50, 0.5, 'Close, if one of the two is in percent: "87 %" is the same as 0.87.'),
    (1.5, 150, "That is too low by a factor of 100. What did you overlook?"),
    (-50, -0.5, "That is too low by a factor of 100. What did you overlook?"), ("100 %", 1, "That is right."), (1,
    "100 %", "That is right."),
    ("150 %", 1.5, "That is too high by a factor of 100. What did you overlook?"), ("-50 %", -0.5, "That is right."),
    (-1, "-100 %", "That is right."), (1.5, "2 %", "That is 0.5 percentage points too low."), (float("inf"),
    float("inf"), "That is right."),
    (float("-inf"), float("inf"), "Only one of the two is finite. What did you overlook?"), ("no", False, "That is right."),
    ("No!", True, "What did you overlook?"), ("it's sharp", "its", "What did you overlook?"), ("a sharper b",
    "Sharper.", "Is that what you meant?"),
    ("sharp", "sharper", "What did you overlook?"), ("sharper", "it is sharper", "What did you overlook?"), (False,
    True, "What did you overlook?"),
])  # fmt: skip
def test_how_near_at_every_edge(capsys, guess, it, words):
    predict(ID, guess)
    capsys.readouterr()
    assert said(capsys, compare, ID, it).endswith(f" {words}")


@pytest.mark.parametrize("answer, noted", [
    (10**15 - 1, "999,999,999,999,999"), (10**15, "1e+15"), (-(10**15), "-1e+15"), ("+3", "3"), ("3.", "3"), ("1e999", "inf"),
    ("1e1000", "'1e1000'"), ("3 %%", "'3 %%'"), ("FALSE", "False"), (1234567.0, "1.23457e+06"), ("0.50", "0.5"),
    ("-2.5 %", "-2.5 %"),
])  # fmt: skip
def test_what_is_noted_at_every_edge(capsys, answer, noted):
    assert said(capsys, predict, ID, answer).startswith(f"Noted: you predict {noted}. ")


@pytest.mark.parametrize("x, shown", [
    (999.4, "999"), (999.6, "1,000"), (1e-4, "0.000100"), (9.99e-5, "9.99e-05"), (0.0, "0"), (-0.5, "-0.500"),
    (9_994_000.0, "9,990,000"),
    (1e7, "1e+07"), (9_999_999.0, "1e+07"), (100.0, "100"), (-1500.0, "-1,500"), (float("inf"), "inf"),
])  # fmt: skip
def test_three_digits_of_a_result(x, shown):
    assert predicting._three_digits(x) == shown


def test_a_change_of_unit_is_a_change_and_what_is_open_is_forgotten(capsys):
    predict(ID, 87)
    capsys.readouterr()
    assert "you predict 87 %, no longer 87." in said(capsys, predict, ID, "87 %")
    assert "this is 2 values (" in said(capsys, predict, ID, ..., 1)
    assert "no longer" not in said(capsys, predict, ID, 5)
    assert said(capsys, compare, ID, ...).endswith("this is nothing but .... You said 5.")
    assert said(capsys, compare, ID, 1, 2, 3).endswith(
        "this is 3 values (a number has a decimal point and no comma, like 0.9 or 1000). You said 5."
    )  # noqa: E501
