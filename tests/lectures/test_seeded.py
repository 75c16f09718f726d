"""Which cells the seed decides, what is measured in them, and how a table is summed up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.errors import CourseError
from lib.lectures import seeded
from lib.lectures.execution import Execution
from tests.lectures import sample


def made(measured=None, parameters="seed = 0", tag="seeds", source="x = 1"):
    notebook = sample.notebook((parameters, "parameters"), (source, tag), "print('not a part')")
    sample.cell(notebook, "cell-1").metadata["course"] = {"measured": {"x": "x"} if measured is None else measured}
    return notebook


def cells_of(notebook):
    return seeded.seeded_cells(notebook, Path("04_drawn.ipynb"))


def test_the_part_is_the_parameters_and_the_tagged_cells():
    cells = cells_of(made({"draw.x": "x", "draw.y": "2 * x"}))
    assert [cell["id"] for cell in cells.notebook["cells"]] == ["cell-0", "cell-1"]
    assert cells.names == ["draw.x", "draw.y"] and cells.file.name == "seeds_04.csv"
    assert cells_of(sample.notebook(("seed = 0", "parameters"), "x = 1")) is None


def test_the_hash_changes_with_what_is_run_and_with_nothing_else():
    before = cells_of(made())
    untagged = made()
    sample.cell(untagged, "cell-2").source = "print('another')"
    sample.cell(untagged, "cell-1").metadata["tags"].append("hide-input")
    assert cells_of(untagged).hash == before.hash and len(before.hash) == 12
    others = [made({"x": "x + 1"}), made({"y": "x"}), made(source="x = 2"), made(parameters="seed = 0\nsteps = 3")]
    assert len({before.hash, *(cells_of(each).hash for each in others)}) == 5


@pytest.mark.parametrize(
    "notebook, message",
    [
        (made(tag="other"), "04_drawn, cell cell-1: `course.measured` in a cell that is not tagged `seeds`"),
        (made(parameters="steps = 0"), "04_drawn has cells tagged `seeds`, and no parameter `seed`"),
        (made(["x"]), r"cell cell-1: `course.measured` must be names with expressions, .* got \['x'\]"),
        (made({}), "must be names with expressions"),
        (made({"x": 3}), "must be names with expressions"),
        (made({"x": "x ="}), r"'x' is not an expression \(invalid syntax\): x ="),
        (made({"seed": "x"}), "'seed' is no name for a column"),
        (made({"a, b": "x"}), "'a, b' is no name for a column"),
    ],
)
def test_what_an_author_may_have_mistaken(notebook, message):
    with pytest.raises(CourseError, match=message):
        cells_of(notebook)


def test_a_name_is_measured_once_and_something_is():
    twice = made()
    sample.cell(twice, "cell-2").metadata = dict(sample.cell(twice, "cell-1").metadata)
    with pytest.raises(CourseError, match="04_drawn: x is measured twice"):
        cells_of(twice)
    with pytest.raises(CourseError, match="04_drawn: nothing is measured"):
        cells_of(sample.notebook(("seed = 0", "parameters"), ("x = 1", "seeds")))


@pytest.mark.parametrize(
    "value, text",
    [
        (True, "True"), (torch.tensor(False), "False"), (np.bool_(True), "True"), (3, "3"), (np.int64(3), "3"),
        (torch.tensor([[2.0794415]]), "2.07944"), (np.float32(0.5), "0.5"), (float("nan"), "nan"), (1e-30, "1e-30"),
    ],
)  # fmt: skip
def test_one_number_or_a_yes_or_no_is_recorded(value, text):
    assert seeded.as_text("x", value) == text


@pytest.mark.parametrize("value", [[1.0], "falls", None, torch.zeros(2), np.zeros(3), 1j])
def test_nothing_else_is(value):
    with pytest.raises(TypeError, match="measured 'x' must be one number, True or False, got "):
        seeded.as_text("x", value)


@pytest.mark.parametrize(
    "verdict, traceback, told",
    [
        ("over 600 s", "", "seed 7: cell cell-1: over 600 s"),
        ("kernel died", "", "seed 7: cell cell-1: kernel died"),
        ("NameError", "a line\nNameError: name 'y'", "seed 7: cell cell-1: NameError: name 'y'"),
    ],
)
def test_how_a_seed_that_failed_is_told(monkeypatch, verdict, traceback, told):
    failure = Execution("04_drawn", verdict, 1, cell="cell-1", traceback=traceback)
    monkeypatch.setattr(seeded, "execute", lambda job: failure)
    with pytest.raises(CourseError, match=told):
        cells_of(made()).run(7)


def test_numbers_that_are_none_come_last_in_a_summary():
    rows = [{"seed": "0", "cells": "c", "loss": value, "seconds": "1"} for value in ("nan", "3", "1", "2")]
    assert list(seeded.summary(rows)) == ["loss  min 1, median 2.5, max nan"]
