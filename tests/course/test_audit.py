import argparse
import csv
import io
import re
import subprocess
import sys

import pytest

from lib import ROOT
from lib.course import audit as command
from lib.errors import CourseError
from lib.slides.claimed import HEADER, read_claims
from lib.slides.registry import Measured

ONE_EXACT = "1 claim: 1 exact, 0 rounded, 0 other; by cause 0 errors, 0 slips, 0 imprecise, 0 conventions"


@pytest.fixture
def course(capsys):
    """Run `audit` with these arguments; gives exit code, stdout, stderr."""

    def run(*arguments):
        parser = argparse.ArgumentParser(prog="course")
        command.add_parser(parser.add_subparsers())
        parsed = parser.parse_args(["audit", *arguments])
        code = parsed.func(parsed)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """Put these claims, `(id, value, expected verdict, function)`, in place of the real ones.

    "slip A01" is the verdict of a claim that follows from A01.
    """

    def put(*claims):
        lines = []
        for i, value, expected, _ in claims:
            verdict, _, cause = expected.partition(" ")
            lines.append(f"{i},C07,<b>[red]six|seven,{value},points,,{verdict},{cause},a note")
        lines.insert(0, ",".join(HEADER))
        (tmp_path / "claims.csv").write_text("\n".join(lines))
        known = read_claims(tmp_path / "claims.csv")
        monkeypatch.setattr(command, "audit", lambda slide=None: list(known.values()))
        functions = {i: function for i, _, _, function in claims}
        monkeypatch.setattr("lib.slides.claimed.recomputations", lambda: functions)

    return put


def test_the_real_claims_agree_and_are_counted(course):
    code, out, err = course()
    assert (code, err) == (0, "")
    claims, exact, rounded, other, *causes = map(int, re.findall(r"\d+", out.splitlines()[-1]))
    assert claims == exact + rounded + other and len(causes) == 4 and sum(causes) < other


def test_the_remark_holds_what_was_measured_and_the_note_and_the_columns_are_named(course, rows):
    measured = Measured(6, "of 9 tried")
    rows(("A01", "6", "exact", lambda: measured), ("A02", "6", "rounded", lambda: measured))
    code, out, err = course("--format", "csv")
    one, other = csv.DictReader(io.StringIO(out))
    cells = {"id": "A01", "slide": "C07", "value": "6", "recomputed": "6", "unit": "points", "verdict": "exact"}
    assert {name: one[name] for name in cells} == cells and one["remark"] == "of 9 tried; a note"
    assert other["remark"] == "expected rounded, computed exact. of 9 tried; a note"
    assert code == 1 and err.splitlines()[0].startswith("2 claims: 2 exact, 0 rounded, 0 ")


def test_a_failed_and_an_unexpected_claim_are_counted_apart(course, rows):
    rows(("A01", "6", "exact", lambda: 1 / 0), ("A02", "6", "rounded", lambda: 6), ("A03", "6", "exact", lambda: 6))
    out = course()[1]
    assert " 2 exact, 0 rounded" in out and "1 failed" in out and out.splitlines()[-1].endswith("1 not as expected")
    assert out.count(" points") == 2, "the unit goes with a number alone"


def test_one_slide_in_small_letters(course):
    code, out, _ = course("--slide", "n09")
    assert code == 0 and "A48" in out and out.splitlines()[-1] == ONE_EXACT


def test_a_slide_without_claims_is_an_empty_report(course):
    code, out, _ = course("--slide", "C01")
    assert code == 0 and out.splitlines()[-1].startswith("0 claims")


def test_verdicts_are_selected_as_computed(course, rows):
    rows(("A01", "6", "exact", lambda: 6), ("A02", "6", "slip", lambda: 9), ("A03", "6", "error", lambda: 9))
    for verdict, name in (("exact", "A01"), ("slip", "A02"), ("error", "A03")):
        code, out, _ = course("--verdict", verdict)
        assert code == 0 and {word for word in out.split() if word.startswith("A0")} == {name}


def test_one_mistake_in_two_claims_is_one_cause(course, rows):
    rows(("A01", "6", "error", lambda: 9), ("A02", "6", "error A01", lambda: 9), ("A03", "6", "error", lambda: 9))
    code, out, _ = course()
    assert code == 0 and out.splitlines()[-1].startswith("3 claims: 0 exact, 0 rounded, 3 other; by cause 2 errors,")
    assert "as A01" in out


def test_a_hand_written_verdict_that_disagrees_is_marked_and_fails(course, rows):
    rows(("A01", "6", "exact", lambda: 6), ("A02", "6", "exact", lambda: 6.3))
    code, out, err = course()
    assert code == 1
    assert "rounded !" in out and "1 not as expected" in out.splitlines()[-1]
    assert err.strip() == "course: claim A02: expected exact, computed rounded. a note"
    code, out, _ = course("--verdict", "error")  # shown although it is no error
    assert code == 1 and "A02" in out and "A01" not in out


def test_a_computation_that_fails_costs_its_claim_alone(course, rows):
    functions = {"A01": lambda: 1 / 0, "A02": lambda: 6, "A03": lambda: "6"}
    rows(*((name, "6", "exact", function) for name, function in functions.items()))
    code, out, err = course()
    assert code == 1
    assert "claim A01: ZeroDivisionError" in err and "claim A03: TypeError" in err
    assert out.splitlines()[-1].startswith("3 claims: 1 exact, 0 rounded, 0 other; ")
    assert out.splitlines()[-1].endswith("; 2 failed")


def test_a_judgement_that_the_computation_does_not_allow_fails(course, rows):
    rows(("A01", "6", "slip", lambda: 6), ("A02", "6", "exact", lambda: 9))
    code, out, err = course()
    assert code == 1 and "differs !" in out and "2 not as expected" in out.splitlines()[-1]
    assert "claim A01: expected slip, computed exact. a note" in err
    assert "claim A02: expected exact, computed differs. a note" in err


def test_csv_can_be_read_back_and_holds_nothing_else(course, rows):
    rows(("A01", "6", "exact", lambda: 6))
    code, out, err = course("--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert list(row.values()) == ["A01", "C07", "<b>[red]six|seven", "6", "6", "points", "exact", "", "a note"]
    assert code == 0 and err.startswith("1 claim:")


def test_markdown_has_as_many_cells_in_every_line(course, rows):
    rows(("A01", "6", "exact", lambda: 6), ("A02", "6", "error", lambda: 6))
    _, out, _ = course("--format", "md")
    assert {line.replace(r"\|", "").count("|") for line in out.splitlines()} == {10}
    assert "**exact**" in out.splitlines()[-1]


def test_the_table_prints_brackets_as_they_are(course, rows):
    rows(("A01", "6", "exact", lambda: 6))
    assert "<b>[red]six" in course()[1]


def test_out_writes_the_whole_report(course, rows, tmp_path):
    rows(("A01", "6", "exact", lambda: 6))
    code, out, _ = course("--format", "md", "--out", str(tmp_path / "deep" / "audit.md"))
    assert code == 0 and (tmp_path / "deep" / "audit.md").read_text().count("\n") == 3
    assert "A01" not in out


def test_a_place_that_cannot_be_written_is_a_clear_error(course, rows, tmp_path):
    rows(("A01", "6", "exact", lambda: 6))
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="cannot write"):
        course("--out", str(tmp_path / "file" / "audit.md"))


def test_a_damaged_claims_file_is_a_clear_error(course, monkeypatch):
    def damaged(slide=None):
        raise ValueError("claims.csv, line 7: id A48 comes twice")

    monkeypatch.setattr(command, "audit", damaged)
    with pytest.raises(CourseError, match="line 7"):
        course()


@pytest.mark.parametrize("arguments", [["--slide", "C53"], ["--verdict", "wrong"], ["--format", "pdf"]])
def test_a_wrong_argument_is_a_usage_error(course, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        course(*arguments)
    assert stop.value.code == 2 and arguments[1] in capsys.readouterr().err


def test_the_command_line_starts_without_torch_and_pandas():
    heavy = "any(m in sys.modules for m in ('torch', 'pandas', 'rich'))"
    program = f"import sys, lib.course.audit; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=300).returncode == 0
