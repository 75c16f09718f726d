"""The kill table says which exercises keep their promise, and which do not."""

import argparse
import csv
from types import SimpleNamespace

import pytest

import lib.exercises
from lib.course import report
from lib.errors import CourseError, UsageError
from lib.exercises import Exercise, Misconception, case

SOUND = Exercise(
    "a.sound", ("C01", "T26"), 2, 5, lambda x: 2 * x, lambda g: [case("one", 1), case("three", 3)],
    accepts=(lambda x: x + x,),
    misconceptions=(Misconception("square", lambda x: x * x, "No."), Misconception("same", lambda x: x, "?")),
)  # fmt: skip
LEAKY = Exercise(
    "b.leaky", ("C02",), 1, 3, lambda x: 2 * x, lambda g: [case("two", 2)],
    accepts=(lambda x: x,),
    misconceptions=(
        Misconception("square", lambda x: x * x, "Two is too special."),
        Misconception("half", lambda x: x // 2, "Half."),
        Misconception("one|1", lambda x: 1, "One, or the other."),
    ),
)  # fmt: skip


@pytest.fixture
def run(monkeypatch):
    """The command on two exercises."""
    monkeypatch.setattr(lib.exercises, "all_exercises", lambda: {"a.sound": SOUND, "b.leaky": LEAKY})
    parser = argparse.ArgumentParser()
    report.add_parser(parser.add_subparsers())

    def command(*words):
        arguments = parser.parse_args(["report", *words])
        return arguments.func(arguments)

    return command


def test_all_is_well(run, capsys):
    assert run("--exercises", "a") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["exercise", "slides", "points", "minutes", "accepted", "killed", "problems"]
    assert row.split() == ["a.sound", "C01", "T26", "2", "5", "2/2", "2/2"]


def test_what_goes_unnoticed_is_named(run, capsys):
    assert run("--exercises") == 1
    row = capsys.readouterr().out.splitlines()[2]
    assert "1/2" in row and "1/3" in row and "right answer 1 fails" in row
    assert "'square' passes" in row and "'one|1' is taken for 'half'" in row


def test_a_mistake_that_nobody_knows_and_a_wrong_reference_are_named(run, monkeypatch, capsys):
    odd = Exercise(
        "c.odd", ("C01",), 1, 3, lambda x: 2 * x, lambda g: [case("two", 2)],
        accepts=(lambda x: x + 2, lambda x: 1),
        misconceptions=(Misconception("crash", lambda x: x.nothing, "?"),),
    )  # fmt: skip
    monkeypatch.setattr(lib.exercises, "all_exercises", lambda: {"c.odd": odd})
    found = kill_assessed(odd)
    monkeypatch.setattr(lib.exercises, "assess", lambda exercise, answer: found[answer])
    assert run("--exercises", "c") == 1
    row = capsys.readouterr().out.splitlines()[1]
    assert "2/3" in row and "0/1" in row and "right answer 2 fails" in row
    assert "'crash' is taken for 'nothing known'" in row


def kill_assessed(exercise):
    """What is found for each known answer: a mistake that is not recognised, a second variant that fails."""
    right, wrong = (SimpleNamespace(passed=passed, misconception=None) for passed in (True, False))
    one, other = exercise.accepts
    return {exercise.reference: right, one: right, other: wrong, exercise.misconceptions[0].answer: wrong}


def test_files(run, tmp_path, capsys):
    assert run("--exercises", "b.leaky", "b", "--out", str(tmp_path / "kills.csv")) == 1
    with open(tmp_path / "kills.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["exercise"] for row in rows] == ["b.leaky"] and rows[0]["killed"] == "1/3"
    run("--exercises", "--out", str(tmp_path / "kills.md"))
    lines = (tmp_path / "kills.md").read_text().splitlines()
    assert len(lines) == 4 and {line.replace("\\|", "").count("|") for line in lines} == {8}
    assert "2 exercises:" in capsys.readouterr().out


def test_bad_input(run, monkeypatch, capsys):
    with pytest.raises(UsageError, match="did you mean a.sound"):
        run("--exercises", "a.sond")
    with pytest.raises(UsageError, match="must end in .csv or .md"):
        run("--exercises", "--out", "kills.txt")
    with pytest.raises(SystemExit):
        run()
    assert "--exercises" in capsys.readouterr().err
    monkeypatch.setattr(lib.exercises, "all_exercises", dict)
    with pytest.raises(CourseError, match="no exercises yet"):
        run("--exercises")
