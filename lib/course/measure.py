"""`course measure`: small tables that lectures read, measured again: with SmolLM2, or on texts that we may not ship."""

import argparse
import csv
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from lib import DATA
from lib.errors import CourseError, UsageError
from lib.files import atomic_write, check_writable
from lib.names import nearest

EXAMPLES = """examples:
  pip download bigbench==1.0.0 --no-deps           the file, 358 MB; it is read, not installed
  course measure lead-rouge --bigbench bigbench-1.0.0.tar.gz
  course measure lead-rouge --bigbench bigbench-1.0.0.tar.gz --out elsewhere.csv
  course measure few-shot                          seven minutes on one thread

lead-rouge needs nltk (`pip install nltk`), whose stemmer the papers use."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course measure` to the command line."""
    parser = subparsers.add_parser(
        "measure",
        help="measure again what a lecture reads from a small table",
        description="Measure, and write a small table of what was found. "
        "lead-rouge: ROUGE of the first one, two and three sentences of CNN/DailyMail and XSum (slide C45), a public set "
        "that the course may not ship. few-shot: SmolLM2's answers by number, order and labels of demonstrations.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help=" or ".join(MEASURES))
    parser.add_argument("--bigbench", type=Path, metavar="FILE", help="bigbench-1.0.0.tar.gz, for lead-rouge")
    parser.add_argument("--out", type=Path, help="the table (data/experiments/, under the name of what is measured)")
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


def lead_rouge(archive: Path | None) -> list[dict]:
    """Lead-1 to Lead-3 on the three sets of BIG-bench that have articles and summaries."""
    if archive is None:
        raise UsageError("lead-rouge is measured on BIG-bench's archive: --bigbench FILE")
    from lib.evaluation.lead_rouge import lead_table
    from lib.progress import progress
    from lib.text.bigbench import read_summaries

    stem = _stemmer()
    sets = read_summaries(archive)
    return list(progress(lead_table(sets, stem), total=6 * len(sets), description="measuring"))


def few_shot(archive: Path | None) -> list[dict]:
    """SmolLM2's answers by number, order and labels of demonstrations; it reads no archive."""
    from lib.progress import progress
    from lib.worlds.few_shot_runs import DRAWS, SHOTS, WAYS, measure_few_shot

    if archive is not None:
        raise UsageError("few-shot reads sentences of the course: leave --bigbench out")
    total = 1 + DRAWS * len(WAYS) * len(SHOTS) + 24
    return [run._asdict() for run in progress(measure_few_shot(), total=total, description="measuring")]


def _stemmer() -> Callable[[str], str]:
    try:
        porter = import_module("nltk.stem.porter")  # nobody else needs it, so it is no dependency of the course
    except ImportError as error:
        raise CourseError(f"the stemmer that the papers use is nltk's: pip install nltk ({error})") from None
    return porter.PorterStemmer().stem


MEASURES = {"lead-rouge": lead_rouge, "few-shot": few_shot}
"""What can be measured, by name: a function from the file (None if not given) to the rows of a table."""
