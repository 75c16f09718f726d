"""Which section of which lecture tells which slide: read from `metadata.course.slides` of the notebooks' cells.

That metadata is the one source. It stands on the Markdown cell that begins the section:

    {"course": {"slides": ["C08", "W11"]}}
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError
from lib.lectures.lint.structure import headings
from lib.lectures.notebooks import all_notebooks, load
from lib.slides.decks import SLIDES, check_slides

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class Section:
    """A section of a lecture, and the slides that it tells."""

    lecture: str  # the stem of its file, "04_mlm_masking"
    title: str  # its heading
    cell: str  # the id of the cell that begins it
    slides: tuple[str, ...]


def aligned_sections(paths: Iterable[Path] | None = None) -> list[Section]:
    """The sections of these lectures, or of all, that tell slides, in teaching order.

    Raises CourseError, naming lecture and cell, for metadata that are no list of different slides of the decks, or
    stand on a cell that begins no section.
    """
    paths = all_notebooks() if paths is None else paths
    return [section for path in paths for section in sections_of(load(path), path.stem)]


def sections_of(notebook: "NotebookNode", lecture: str) -> list[Section]:
    """The sections of one notebook that tell slides. Raises CourseError as `aligned_sections` does."""
    titles: dict[str, str] = {}
    for id, _, title in headings(notebook):
        titles.setdefault(id, title)  # of several headings in one cell, the first
    found = []
    for cell in notebook.cells:
        course = cell.metadata.get("course", {})
        if not isinstance(course, dict) or "slides" not in course:
            continue
        try:
            if cell.id not in titles:
                raise ValueError("course.slides must stand on a Markdown cell with a heading, and it has none")
            found.append(Section(lecture, titles[cell.id], cell.id, check_slides(course["slides"])))
        except ValueError as error:
            raise CourseError(f"{lecture}, cell {cell.id}: {error}") from None
    return found


def by_slide(sections: Iterable[Section]) -> dict[str, list[Section]]:
    """For each slide of the decks, in their order, the sections that tell it.

    >>> by_slide([Section("04_mlm_masking", "The objective", "objective-idea", ("C08",))])["C08"][0].title
    'The objective'
    """
    sections = list(sections)
    return {slide: [section for section in sections if slide in section.slides] for slide in SLIDES}


def misaligned(told: dict[str, list[Section]], excused: dict[str, str]) -> list[str]:
    """What is wrong with the alignment, a line each: a slide that is neither told nor excused, or that is both."""
    lines = []
    for slide, sections in told.items():
        if not sections and slide not in excused:
            lines.append(
                f"{slide} is in no lecture, and not excused: name it in the metadata of the section it belongs to"
            )
        elif sections and slide in excused:
            where = ", ".join(f"{section.lecture} ({section.cell})" for section in sections)
            lines.append(f"{slide} is told in {where}: delete its row in data/slides/excused.csv")
    return lines
