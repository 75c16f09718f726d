"""Slide, lecture, section: every slide of the decks is told in a lecture, or excused with a reason; none is both."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib.errors import CourseError
from lib.lectures.alignment import Section, aligned_sections, by_slide, misaligned, sections_of
from lib.slides.decks import SLIDES, excused_slides
from tests.lectures.sample import save


def made(
    metadata, source="Before.\n\n```\n# no heading\n```\n## The objective\n\nWords.\n### More", cell=new_markdown_cell
):
    """A notebook with one cell that has this metadata."""
    return new_notebook(cells=[new_markdown_cell("# A title", id="title"), cell(source, id="part", metadata=metadata)])


def test_every_slide_is_told_or_excused_and_none_is_both():
    assert misaligned(by_slide(aligned_sections()), excused_slides()) == []


def test_the_lectures_say_which_slides_they_tell():
    told = by_slide(aligned_sections())
    assert "04_mlm_masking" in {section.lecture for section in told["C07"]}
    assert {section.lecture for section in told["W28"]} >= {"14_lora_and_peft", "15_memory_footprint"}
    assert all(section.title and section.title[0] != "#" for sections in told.values() for section in sections)
    lectures = [section.lecture for section in aligned_sections()]
    assert lectures == sorted(lectures)


def test_a_section_is_read_from_the_metadata_of_its_cell():
    found = sections_of(made({"course": {"slides": ["C08", "W11"], "exercise": "mlm.loss"}}), "04_x")
    assert found == [Section("04_x", "The objective", "part", ("C08", "W11"))]
    assert sections_of(made({"course": {"exercise": "mlm.loss"}}), "04_x") == sections_of(made({}), "04_x") == []


@pytest.mark.parametrize("slides, complaint", [
    (["C53"], "slide must be one of C01-C52, .* got 'C53'"), (["c08"], "got 'c08'"), ([], "must be a list like"),
    ("C08", "must be a list like .* got 'C08'"), ([8], "must be a list like"), (None, "got None"),
    (["C08", "C08"], "must name each slide once, got C08 twice"),
])  # fmt: skip
def test_what_is_no_list_of_slides_is_named_by_lecture_and_cell(slides, complaint):
    with pytest.raises(CourseError, match=f"^04_x, cell part: .*{complaint}"):
        sections_of(made({"course": {"slides": slides}}), "04_x")


@pytest.mark.parametrize("source, cell", [
    ("No heading, #1 or not.", new_markdown_cell), ("```\n# code\n```", new_markdown_cell), ("# code", new_code_cell),
])  # fmt: skip
def test_only_a_cell_that_begins_a_section_names_slides(source, cell):
    with pytest.raises(CourseError, match="cell part: course.slides must stand on a Markdown cell with a heading"):
        sections_of(made({"course": {"slides": ["C08"]}}, source, cell), "04_x")


def test_files_are_read_in_their_order(tmp_path):
    for name, slides in (("05_b", ["C10"]), ("04_a", ["C08", "C09"])):
        save(tmp_path / f"{name}.ipynb", made({"course": {"slides": slides}}))
    found = aligned_sections(sorted(tmp_path.glob("*.ipynb")))
    assert [(section.lecture, section.slides) for section in found] == [("04_a", ("C08", "C09")), ("05_b", ("C10",))]
    told = by_slide(found)
    assert tuple(told) == SLIDES and told["C10"] == [found[1]] and told["C11"] == []


def test_a_gap_and_an_excuse_that_is_no_longer_needed_are_named():
    told = by_slide([Section("04_x", "A", "one", ("C08",)), Section("05_y", "B", "two", ("C08",))])
    excused = {slide: "not yet written" for slide in SLIDES if slide != "W31"}
    first, last = misaligned(told, excused)
    assert first == "C08 is told in 04_x (one), 05_y (two): delete its row in data/slides/excused.csv"
    assert last.startswith("W31 is in no lecture, and not excused")
