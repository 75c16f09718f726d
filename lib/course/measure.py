"""`course measure`: what the course measured on texts that it may not ship, measured again where somebody has them."""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

from lib import DATA
from lib.errors import CourseError, UsageError
from lib.files import atomic_write, check_writable
from lib.names import nearest

EXAMPLES = """examples:
  pip download bigbench==1.0.0 --no-deps           the file, 358 MB; it is read, not installed
  course measure lead-rouge --bigbench bigbench-1.0.0.tar.gz
  course measure lead-rouge --bigbench bigbench-1.0.0.tar.gz --out elsewhere.csv

It needs nltk (`pip install nltk`), whose stemmer the papers use."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course measure` to the command line."""
    parser = subparsers.add_parser(
        "measure",
        help="measure on public sets that the course may not ship",
        description="Measure on a public set that the course may not ship, and write a small table of what was found. "
        "lead-rouge: ROUGE of the first one, two and three sentences of CNN/DailyMail and XSum (slide C45).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help=" or ".join(MEASURES))
    parser.add_argument("--bigbench", type=Path, required=True, metavar="FILE", help="bigbench-1.0.0.tar.gz")
    parser.add_argument("--out", type=Path, help="the table (data/experiments/lead_rouge.csv)")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Measure, write the table whole, print it; return 0."""
    if args.name not in MEASURES:
        raise UsageError(f"unknown measure {args.name!r}; {nearest(args.name, list(MEASURES))}")
    out = args.out or DATA / "experiments" / f"{args.name.replace('-', '_')}.csv"
    check_writable(out.parent)
    rows = MEASURES[args.name](args.bigbench)
    with atomic_write(out) as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(out.read_text(encoding="utf-8"), end="")
    return 0


def lead_rouge(archive: Path) -> list[dict]:
    """Lead-1 to Lead-3 on the three sets of BIG-bench that have articles and summaries."""
    from lib.evaluation.lead_rouge import lead_table
    from lib.progress import progress
    from lib.text.bigbench import read_summaries

    stem = _stemmer()
    sets = read_summaries(archive)
    return list(progress(lead_table(sets, stem), total=6 * len(sets), description="measuring"))


def _stemmer() -> Callable[[str], str]:
    try:
        from nltk.stem.porter import PorterStemmer
    except ImportError as error:
        raise CourseError(f"the stemmer that the papers use is nltk's: pip install nltk ({error})") from None
    return PorterStemmer().stem


MEASURES = {"lead-rouge": lead_rouge}
"""What can be measured, by name: a function from the file to the rows of a table."""
