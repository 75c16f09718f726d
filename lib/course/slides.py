"""`course slides`: which section of which lecture tells which slide."""

import argparse
import sys

from lib.course.audit import slide_argument
from lib.errors import CourseError
from lib.lectures import notebooks
from lib.lectures.alignment import aligned_sections, by_slide, misaligned
from lib.slides.decks import excused_slides, slide_titles

EXAMPLES = """examples:
  course slides                every slide of the four decks
  course slides --slide C08    one slide
  course slides --lecture 04   the slides of one lecture

Each lecture says itself which slides a section tells: metadata.course.slides of the Markdown cell that begins it.
The others are excused, with a reason, in data/slides/excused.csv. The exit code is 1 if a slide is neither, or both."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `slides` to the command line."""
    parser = subparsers.add_parser(
        "slides",
        help="where the lectures tell which slide",
        description="Print slide, lecture and section, for every slide of the four decks.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--slide", type=slide_argument, metavar="C08", help="only this slide")
    parser.add_argument(
        "--lecture", metavar="NOTEBOOK", help="only the slides of this lecture: a number, a name or a file"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; return 1 if the alignment of all slides, whichever are shown, has a gap."""
    try:
        titles, excused = slide_titles(), excused_slides()
    except ValueError as error:  # a damaged table
        raise CourseError(str(error)) from error
    told = by_slide(aligned_sections())
    shown = by_slide(aligned_sections(notebooks.select([arguments.lecture]))) if arguments.lecture else told
    rows = []
    for slide, sections in shown.items():
        if arguments.slide not in (None, slide):
            continue
        rows += [(slide, titles[slide], section.lecture, section.title) for section in sections]
        if not sections and not arguments.lecture:
            rows.append((slide, titles[slide], "", f"({excused.get(slide, 'in no lecture, and not excused')})"))
    print(as_text(rows))
    if arguments.slide is None and arguments.lecture is None:
        print(f"{len(told)} slides, {sum(map(bool, told.values()))} told in lectures, {len(excused)} excused")
    wrong = misaligned(told, excused)
    for line in wrong:
        print(f"course: {line}", file=sys.stderr)
    return 1 if wrong else 0


def as_text(rows: list[tuple[str, str, str, str]]) -> str:
    """The rows under a header, in columns; `no slide` if there is none.

    >>> print(as_text([("C08", "Notation", "04_mlm_masking", "The objective")]))
    slide  title     lecture         section
    C08    Notation  04_mlm_masking  The objective
    """
    if not rows:
        return "no slide"
    table = [("slide", "title", "lecture", "section"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    return "\n".join("  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in table)
