"""Choosing, reading and parameterising notebooks."""

import json
import subprocess
import sys

import pytest

from lib import ROOT
from lib.errors import CourseError, UsageError
from lib.lectures import notebooks
from tests.lectures import sample


@pytest.fixture
def folder(tmp_path):
    """Three lectures, and two files that are none."""
    for name in ("00_start_here", "04_mlm_masking", "10_reward"):
        sample.save(tmp_path / f"{name}.ipynb", sample.notebook("x = 1"))
    sample.save(tmp_path / "scratch.ipynb", sample.notebook())
    (tmp_path / "README.md").write_text("")
    return tmp_path


def test_all_are_the_numbered_ones_in_order(folder):
    assert [path.stem for path in notebooks.select([], folder)] == [
        "00_start_here",
        "04_mlm_masking",
        "10_reward",
    ]


@pytest.mark.parametrize(
    "name", ["04", "4", "04_mlm_masking", "04_mlm_masking.ipynb", "notebooks/04_mlm_masking.ipynb"]
)
def test_one_is_chosen_by_number_or_name(folder, name):
    assert [path.stem for path in notebooks.select([name], folder)] == ["04_mlm_masking"]


def test_a_file_anywhere_is_chosen_by_its_path(folder):
    path = folder / "scratch.ipynb"
    assert notebooks.select([str(path)], folder) == [path]


def test_asked_for_twice_is_chosen_once(folder):
    assert len(notebooks.select(["04", "04_mlm_masking"], folder)) == 1


@pytest.mark.parametrize(
    "name, hint",
    [
        ("04_mlm_maskng", "did you mean 04_mlm_masking?"),
        ("99", "known are 00_start_here, 04_mlm_masking, 10_reward"),
        ("0", None),  # 00_start_here
        ("missing/file.ipynb", "known are"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(folder, name, hint):
    if hint is None:
        assert notebooks.select([name], folder)[0].stem == "00_start_here"
        return
    with pytest.raises(UsageError, match="unknown notebook") as error:
        notebooks.select([name], folder)
    assert hint in str(error.value)


def test_a_former_name_is_answered_with_the_present_one(folder):
    with pytest.raises(UsageError, match="notebook '03_mlm_masking' is called 04_mlm_masking now"):
        notebooks.select(["work/03_mlm_masking.ipynb"], folder)
    with pytest.raises(UsageError, match="unknown notebook '08_scaling_laws'"):
        notebooks.select(["08_scaling_laws"], folder)  # this folder has it under no name


def test_a_folder_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="there is no notebook"):
        notebooks.select([], tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"cells": [', "x.ipynb is not a notebook: not JSON"),
        ("", "not JSON"),
        ("[1, 2]", "not of notebook format 4"),
        ('{"cells": [], "nbformat": 3}', "not of notebook format 4"),
        (
            json.dumps({"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5}),
            "cell 0 has no id",
        ),
        (
            json.dumps(
                {
                    "cells": [{"cell_type": "poem", "id": "a"}],
                    "nbformat": 4,
                    "nbformat_minor": 5,
                    "metadata": {},
                }
            ),
            "not a valid notebook",
        ),
    ],
)
def test_what_is_no_notebook_is_named(text, message):
    with pytest.raises(CourseError, match=message):
        notebooks.parse(text, "x.ipynb")


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "x.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CourseError, match="x.ipynb cannot be read"):
        notebooks.load(tmp_path / "x.ipynb")


def test_reading_and_writing_gives_the_same_bytes(tmp_path):
    text = notebooks.text_of(sample.clean())
    assert notebooks.text_of(notebooks.parse(text, "x")) == text
    assert text.endswith("}\n") and not text.endswith("\n\n")


def test_ids_are_left_alone_even_twice():
    made = sample.notebook("1", "2")
    made.cells[2].id = "cell-0"
    assert [cell.id for cell in notebooks.parse(json.dumps(made), "x").cells] == ["title", "cell-0", "cell-0"]


SOURCE = """steps: int = 20  # how many
rate = 0.15
name = 'wikipedia'
sizes = [2, 4]
limit = 2 * steps
print(name)"""


def test_parameters_are_those_of_the_tagged_cell():
    made = sample.notebook("other = 1", (SOURCE, "parameters"))
    expected = {"steps": 20, "rate": 0.15, "name": "wikipedia", "sizes": [2, 4], "limit": "2 * steps"}
    assert notebooks.parameters(made) == expected


def test_given_values_are_read_as_python():
    made = sample.notebook((SOURCE, "parameters"))
    pairs = [["steps", "3"], ["rate", "1e-2"], ["name", "python_docs"], ["sizes", "[1]"]]
    expected = {"steps": 3, "rate": 0.01, "name": "python_docs", "sizes": [1]}
    assert notebooks.given_parameters(pairs, made, "nb") == expected


def test_truth_may_be_written_in_any_case():
    made = sample.notebook(("fast = False", "parameters"))
    assert notebooks.given_parameters([["fast", "true"]], made, "nb") == {"fast": True}


def test_an_unknown_parameter_is_answered_with_the_known_ones():
    made = sample.notebook((SOURCE, "parameters"))
    with pytest.raises(UsageError) as error:
        notebooks.given_parameters([["step", "3"]], made, "nb")
    assert "nb has no parameter 'step': did you mean steps?" in str(error.value)
    assert "steps=20, rate=0.15, name='wikipedia'" in str(error.value)


def test_a_notebook_without_parameters_says_so():
    with pytest.raises(UsageError, match="it has no parameters"):
        notebooks.given_parameters([["x", "3"]], sample.notebook("1"), "nb")


def test_text_for_a_number_is_refused():
    made = sample.notebook((SOURCE, "parameters"))
    with pytest.raises(UsageError, match=r"parameter steps is a whole number \(default 20\), got 'many'"):
        notebooks.given_parameters([["steps", "many"]], made, "nb")


TYPED = """word = "The bank"
count = 3
rate = 0.5
fast = False
sizes = [1, 2]
pair = (1, 2)
table = {"a": 1}
nothing = None
half = 6 / 2
label: str = ""
\"\"\"words\"\"\"
"""


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("word", "1984", "1984"), ("word", "true", "true"), ("word", "None", "None"), ("word", "[1]", "[1]"),
        ("word", "'quoted'", "'quoted'"), ("word", "", ""), ("label", "1e3", "1e3"),
        ("count", "-4", -4), ("rate", "2", 2.0), ("rate", "1e-3", 1e-3), ("fast", "TRUE", True), ("fast", "False", False),
        ("sizes", "[3]", [3]), ("sizes", "(3, 4)", [3, 4]), ("pair", "[3, 4]", (3, 4)), ("table", "{}", {}),
        ("nothing", "7", 7), ("nothing", "text", "text"), ("nothing", "none", None), ("half", "4", 4), ("half", "x", "x"),
    ],
)  # fmt: skip
def test_a_value_has_the_type_of_the_default(name, text, value):
    made = sample.notebook((TYPED, "parameters"))
    given = notebooks.given_parameters([[name, text]], made, "nb")[name]
    assert given == value and type(given) is type(value)


@pytest.mark.parametrize(
    "name, text, kind",
    [
        ("count", "0.5", "a whole number"), ("count", "true", "a whole number"), ("count", "", "a whole number"),
        ("count", "[1]", "a whole number"), ("rate", "fast", "a number"), ("rate", "true", "a number"),
        ("rate", "nan", "a number"), ("fast", "1", "true or false"), ("fast", "yes", "true or false"),
        ("sizes", "3", "a list"), ("pair", "3, ", None), ("table", "[]", "a dict"), ("sizes", "none", "a list"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name, text, kind):
    made = sample.notebook((TYPED, "parameters"))
    if kind is None:
        assert notebooks.given_parameters([[name, text]], made, "nb") == {name: (3,)}
        return
    with pytest.raises(
        UsageError, match=rf"nb: parameter {name} is {kind} \(default .*\), got '{text}'".replace("[", "\\[")
    ):
        notebooks.given_parameters([[name, text]], made, "nb")


def test_every_parameter_of_every_lecture_takes_its_own_default():
    for path in notebooks.all_notebooks():
        made = notebooks.load(path)
        defaults = notebooks.parameters(made)
        pairs = [[key, str(value)] for key, value in defaults.items()]
        assert notebooks.given_parameters(pairs, made, path.stem) == defaults


def test_notebooks_are_read_without_loading_a_grammar_of_addresses():
    program = "import sys, lib.lectures.notebooks, nbformat; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
