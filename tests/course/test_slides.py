import argparse

import pytest

from lib.course import slides as command
from lib.errors import CourseError, UsageError
from lib.lectures.alignment import Section


@pytest.fixture
def course(capsys):
    """Run `slides` with these arguments; gives exit code, stdout, stderr."""

    def run(*arguments):
        parser = argparse.ArgumentParser(prog="course")
        command.add_parser(parser.add_subparsers())
        parsed = parser.parse_args(["slides", *arguments])
        code = parsed.func(parsed)
        return code, *capsys.readouterr()

    return run


def test_every_slide_has_a_line_and_a_section_or_a_reason(course):
    code, out, err = course()
    header, *lines, last = out.splitlines()
    assert (code, err) == (0, "") and header.split() == ["slide", "title", "lecture", "section"]
    assert len({line[:3] for line in lines}) == 178 and all(len(line) > 60 for line in lines)
    total, told, excused = (int(part.split()[0]) for part in last.split(", "))
    assert total == told + excused == 178
    assert any(line.startswith("C01") and line.endswith("(title page)") for line in lines)


def test_one_slide_in_small_letters(course):
    code, out, _ = course("--slide", "c07")
    assert code == 0 and {line[:3] for line in out.splitlines()[1:]} == {"C07"}
    assert "C07    Should you mask 15% in mask language modeling?  04_mlm_masking  " in out
    assert course("--slide", "T01")[1].splitlines()[1].endswith("(title page)")


def test_one_lecture_has_its_own_slides_and_no_excuses(course):
    code, out, _ = course("--lecture", "4")
    assert code == 0 and {line.split()[0] for line in out.splitlines()[1:]} >= {"C06", "C07", "C08", "C09", "W11"}
    assert "not yet written" not in out and out.count("  04_mlm_masking  ") == len(out.splitlines()) - 1
    assert course("--lecture", "04", "--slide", "T46")[1] == "no slide\n"


def test_gaps_and_excuses_too_many_are_told_whatever_is_shown(course, monkeypatch):
    monkeypatch.setattr(command, "excused_slides", lambda: {"C02": "a picture"})
    section = Section("04_x", "A part", "part", ("C01", "C02"))
    monkeypatch.setattr(command, "aligned_sections", lambda paths=None: [section])
    code, out, err = course("--slide", "C03")
    assert code == 1 and out.splitlines()[1].endswith("(in no lecture, and not excused)")
    lines = err.splitlines()
    assert len(lines) == 177 and lines[0].startswith("course: C02 is told in 04_x (part): delete its row")


def test_a_damaged_table_is_a_clear_error(course, monkeypatch):
    def damaged():
        raise ValueError("titles.csv, line 7: slide C06 is repeated")

    monkeypatch.setattr(command, "slide_titles", damaged)
    with pytest.raises(CourseError, match="line 7"):
        course()


def test_a_lecture_that_is_not_there_is_a_clear_error(course):
    with pytest.raises(UsageError, match="unknown notebook '99'"):
        course("--lecture", "99")


def test_a_slide_that_no_deck_has_is_a_usage_error(course, capsys):
    with pytest.raises(SystemExit) as stop:
        course("--slide", "C53")
    assert stop.value.code == 2 and "C01-C52" in capsys.readouterr().err
