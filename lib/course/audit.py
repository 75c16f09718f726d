"""`course audit`: compare what the slides print with a computation."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.errors import CourseError
from lib.files import atomic_write
from lib.slides.claimed import Claim, as_text, audit, count_causes
from lib.slides.decks import check_slide
from lib.slides.verdicts import DIFFERS, JUDGED, VERDICTS

COLUMNS = ("id", "slide", "printed", "value", "recomputed", "unit", "verdict", "cause", "remark")
FAILED = "failed"  # the computation itself raised an error
COLOURS = {
    "exact": "green",
    "rounded": "green",
    "convention": "cyan",
    "imprecise": "cyan",
    "slip": "yellow",
    "error": "bright_red",
    DIFFERS: "bold red",
    FAILED: "bold red",
}

EXAMPLES = """examples:
  course audit                          every claim of the slides, recomputed
  course audit --slide C07              the claims of one slide
  course audit --verdict error          only what is wrong, and matters
  course audit --format md --out audit.md  as a Markdown table in a file

verdicts:
  exact, rounded  the computation gives what is printed, to its digits
  convention      another usage, right in its own way
  imprecise       wording or rounding that a reader would forgive
  slip            a misprint that the same deck corrects elsewhere
  error           wrong, and it matters

Claims that go back to one mistake are counted as one cause. The exit code is 1 if the computation does not allow a
verdict in data/slides/claims.csv."""


@dataclass(frozen=True)
class AuditRow:
    """One row of the report: a claim, and the result of its computation."""

    claim: Claim
    verdict: str
    recomputed: str
    remark: str
    agrees: bool

    def cells(self) -> tuple[str, ...]:
        """The texts of the row, in the order of `COLUMNS`."""
        claim = self.claim
        figures = (claim.text, self.recomputed, claim.unit)
        return (claim.id, claim.slide, claim.printed, *figures, self.verdict, " ".join(claim.causes), self.remark)


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `audit` to the command line."""
    parser = subparsers.add_parser(
        "audit",
        help="recompute what the slides print",
        description=f"Recompute every claim of the slides and print its verdict: {', '.join(VERDICTS)}.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--slide", type=slide_argument, metavar="C07", help="only the claims of this slide")
    parser.add_argument("--verdict", choices=VERDICTS, help="only claims with this verdict")
    parser.add_argument("--format", choices=WRITERS, default="table", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to this file, not to the terminal")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the report; return 1 if the computation does not allow a verdict, or failed."""
    try:
        rows = [recomputed(claim) for claim in audit(slide=arguments.slide)]
    except ValueError as error:  # a damaged claims file
        raise CourseError(str(error)) from error
    bad = [row for row in rows if not row.agrees]
    if arguments.verdict:  # rows with an unexpected verdict are always shown
        rows = [row for row in rows if row.verdict == arguments.verdict or not row.agrees]
    text = WRITERS[arguments.format](rows)
    if arguments.out is None:
        print(text, end="")
    else:
        _write(arguments.out, text)
    print(summary(rows), file=sys.stdout if arguments.format == "table" else sys.stderr)
    for row in bad:
        print(f"course: claim {row.claim.id}: {row.remark}", file=sys.stderr)
    return 1 if bad else 0


def recomputed(claim: Claim) -> AuditRow:
    """Compute one claim. An error becomes a row, so that the other claims are still shown."""
    try:
        verdict = claim.verdict
    except Exception as error:  # noqa: BLE001  no error may stop the other claims
        return AuditRow(claim, FAILED, "", f"{type(error).__name__}: {error}", agrees=False)
    remark = "; ".join(words for words in (claim.detail, claim.note) if words)
    if not claim.agrees:
        remark = f"expected {claim.expected}, computed {claim.computed}. {remark}".rstrip()
    return AuditRow(claim, verdict, as_text(claim.recomputed), remark, claim.agrees)


def summary(rows: list[AuditRow]) -> str:
    """One line: the number of claims that hold, of the causes for which the others do not, and of what has to be mended.

    >>> summary([])
    '0 claims: 0 exact, 0 rounded, 0 other; by cause 0 errors, 0 slips, 0 imprecise, 0 conventions'
    """
    count = {verdict: sum(row.verdict == verdict for row in rows) for verdict in (*VERDICTS, DIFFERS, FAILED)}
    causes = count_causes(row.claim for row in rows if row.verdict in JUDGED)
    line = f"{_counted(len(rows), 'claim')}: {count['exact']} exact, {count['rounded']} rounded"
    line += f", {sum(count[verdict] for verdict in JUDGED)} other; by cause"
    line += f" {_counted(causes['error'], 'error')}, {_counted(causes['slip'], 'slip')}"
    line += f", {causes['imprecise']} imprecise, {_counted(causes['convention'], 'convention')}"
    if count[FAILED]:
        line += f"; {count[FAILED]} failed"
    disagreeing = sum(not row.agrees for row in rows) - count[FAILED]
    return line + (f"; {disagreeing} not as expected" if disagreeing else "")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def as_table(rows: list[AuditRow]) -> str:
    """A table for the terminal, as wide as the terminal is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = sys.stdout.isatty()
    text = io.StringIO()
    console = Console(file=text, force_terminal=colours, width=None if colours else 120)
    table = Table(box=None, pad_edge=False, show_lines=False)
    widths = {"id": 4, "slide": 7, "printed": None, "recomputed": 24, "verdict": 10, "remark": None}
    for column, width in widths.items():
        table.add_column(column, max_width=width)
    for row in rows:
        claim, unit = row.claim, f" {row.claim.unit}" if row.recomputed and row.claim.unit else ""
        verdict = Text(row.verdict + ("" if row.agrees else " !"), style=COLOURS[row.verdict])
        words = (claim.id, claim.slide, claim.printed, row.recomputed + unit)
        remark = f"as {' and '.join(claim.causes)}. {row.remark}" if claim.causes else row.remark
        table.add_row(*map(Text, words), verdict, Text(remark))  # Text: nothing in a claim is markup
    console.print(table)
    return text.getvalue()


def as_csv(rows: list[AuditRow]) -> str:
    """Comma-separated values with a header."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    return file.getvalue()


def as_markdown(rows: list[AuditRow]) -> str:
    """A Markdown table, with unexpected verdicts in bold."""
    lines: list[Sequence[str]] = [COLUMNS, ("---",) * len(COLUMNS)]
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row.cells()]
        if not row.agrees:
            cells[COLUMNS.index("verdict")] = f"**{row.verdict}**"
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


WRITERS = {"table": as_table, "csv": as_csv, "md": as_markdown}


def slide_argument(name: str) -> str:
    """A slide from the command line, in capitals. Raises argparse.ArgumentTypeError for one that no deck has."""
    try:
        return check_slide(name.upper())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _write(path: Path, text: str) -> None:
    try:
        with atomic_write(path) as file:
            file.write(text)
    except OSError as error:
        raise CourseError(f"cannot write {path}: {error.strerror}") from error
