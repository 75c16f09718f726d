"""Lint rules of the second edition for teaching: a prediction, an open question, sources with links, slides last."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lib.lectures.companions import used_in
from lib.lectures.edition import TEXT_BEGIN, TEXT_END, is_written
from lib.lectures.lint.code import code_cells, tree_of
from lib.lectures.lint.second_edition import Findings, second_edition, visible, without_links
from lib.lectures.lint.structure import headings

if TYPE_CHECKING:
    from nbformat import NotebookNode

LAST = "From the slides"
RUBRIC = (3, 5)
"""How many lines a rubric has, one point each: at least, at most."""

_READING = re.compile(
    r"(?:^#{2,6}\s+|\*\*)Further reading\b(.*?)(?=^#|^\*\*[^*\n]+\*\*|\Z)", re.DOTALL | re.MULTILINE | re.IGNORECASE
)
_LINK = re.compile(r"\[[^\]]+\]\(\s*https?://[^)\s]+\s*\)")
_WORK = re.compile(r"\b[A-Z][\w'’-]+(?: et\s+al\.?| (?:and|&)\s+[A-Z][\w'’-]+)?,?\s+\(?(?:19|20)\d\d\b")
_MONTH = re.compile(r"(January|February|March|April|May|June|July|August|September|October|November|December)\b")
_SHOWN_FILE = re.compile(r"""(?:\]\(\s*<?|\bsrc=["'])((?![a-z]+:)[^)\s>"']*\b(?:figures|explorables)/[^)\s>"']+)""")
_SLIDE = re.compile(r"\b[CTNW]\d\d\b")


@second_edition
def prediction(notebook: "NotebookNode") -> Findings:
    """One predict("ID", ...), with the Ellipsis for the reader, and in a later cell compare("ID", result)."""
    predicts, compares = _calls(notebook, "predict"), _calls(notebook, "compare")
    if len(predicts) != 1:
        yield "-", f"{len(predicts)} calls of predict, exactly one is asked"
        return
    ((at, cell, call),) = predicts
    id = _first(call)
    if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", id):
        yield cell, f"predict needs an id like 'attention.sharper', got {ast.unparse(call)}"
        return
    if [ast.unparse(each) for each in call.args[1:]] != ["..."] or call.keywords:
        yield cell, f"{ast.unparse(call)}: the answer is ..., so that what is stored does not give it away"
    for _, where, other in compares:
        if _first(other) != id:
            yield where, f"{ast.unparse(other)}, but the prediction is {id!r}"
    if not any(later > at and _first(other) == id for later, _, other in compares):
        yield cell, f"no later cell calls compare({id!r}, …)"


def _calls(notebook: "NotebookNode", name: str) -> list[tuple[int, str, ast.Call]]:
    """The calls of a function in code cells: the number of the cell, its id, the call."""
    return [
        (number, cell.id, node)
        for number, cell in enumerate(code_cells(notebook))
        for node in ast.walk(tree_of(cell.source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def _first(call: ast.Call) -> str:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


@second_edition
def open_question(notebook: "NotebookNode") -> Findings:
    """At least one written answer: a title, a model answer, and a **Rubric** of three to five lines, one point each."""
    written = [cell for cell in notebook.cells if is_written(cell) and cell.cell_type == "markdown"]
    if not written:
        yield "-", "no open question: a Markdown cell that nbgrader grades and that holds its answer"
    for cell in written:
        if not cell.metadata.get("course", {}).get("title"):
            yield cell.id, "no title: metadata course.title (it stands in releases and on grade pages)"
        _, _, answer = cell.source.partition(TEXT_BEGIN)
        _, rubric, lines = answer.partition(TEXT_END)[0].partition("**Rubric**")
        count = len(re.findall(r"(?m)^\s*(?:[*+-]|\d+\.)\s+\S", lines))
        if not rubric or not RUBRIC[0] <= count <= RUBRIC[1]:
            yield cell.id, f"the model answer ends with **Rubric** and 3 to 5 list items, got {count}"
        elif count != cell.metadata["nbgrader"].get("points"):
            yield cell.id, f"{count} lines of the rubric for {cell.metadata['nbgrader'].get('points')} points"


@second_edition
def further_reading(notebook: "NotebookNode") -> Findings:
    """There is a "Further reading", and every work in it is linked: [Hu et al. 2021](https://…)."""
    found = False
    for cell in visible(notebook, "markdown"):
        for match in _READING.finditer(cell.source):
            found = found or bool(_LINK.search(match[1]))
            for problem in _unlinked(match[1]):
                yield cell.id, f"no link: {problem!r}"
    if not found:
        yield "-", 'no "Further reading" with a link'


def _unlinked(text: str) -> Iterator[str]:
    """The list items without a link, and the works that are named outside a link."""
    items = re.findall(r"(?ms)^\s*(?:[*+-]|\d+\.)\s+(.*?)(?=^\s*(?:[*+-]|\d+\.)\s|\n\s*\n|\Z)", text)
    bare = [item for item in items if not _LINK.search(item)]
    yield from (" ".join(item.split())[:60] for item in bare)
    rest = _LINK.sub("", text)
    for work in _WORK.finditer(rest):
        if not _MONTH.match(work[0]) and not any(work[0] in item for item in bare):
            yield " ".join(work[0].split())


@second_edition
def slide_code(notebook: "NotebookNode") -> Findings:
    """No slide (C08, W11) is named in visible Markdown before the section "From the slides"."""
    for cell in visible(notebook, "markdown"):
        before, last, _ = _split_at_last(cell.source)
        named = dict.fromkeys(code for code in _SLIDE.findall(without_links(before)) if _is_slide(code))
        if named:
            yield cell.id, f"{', '.join(named)}: slides belong into metadata course.slides and into {LAST!r}"
        if last:
            return


def _split_at_last(source: str) -> tuple[str, str, str]:
    match = re.search(rf"(?m)^##\s+{LAST}\b.*$", source)
    return (source[: match.start()], match[0], source[match.end() :]) if match else (source, "", "")


def _is_slide(code: str) -> bool:
    from lib.slides.decks import check_slide

    try:
        return bool(check_slide(code))
    except ValueError:
        return False


@second_edition
def from_the_slides(notebook: "NotebookNode") -> Findings:
    """The section "## From the slides" is there, once, and is the last section."""
    sections = [(cell, text) for cell, level, text in headings(notebook) if level <= 2]
    ours = [number for number, (_, text) in enumerate(sections) if text.startswith(LAST)]
    if len(ours) != 1:
        yield "-", f"{len(ours)} sections are called {LAST!r}, exactly one must be"
    for cell, text in sections[ours[0] + 1 :] if ours else []:
        yield cell, f"{text!r} stands after {LAST!r}, which is the last section"


@second_edition
def section_slides(notebook: "NotebookNode") -> Findings:
    """metadata course.slides stands on Markdown cells that begin a section, and lists slides of the decks, each once."""
    from lib.slides.decks import check_slides

    begin = {cell for cell, _, _ in headings(notebook)}
    for cell in notebook.cells:
        course = cell.metadata.get("course", {})
        if not isinstance(course, dict) or "slides" not in course:
            continue
        if cell.id not in begin:
            yield cell.id, "course.slides on a cell without heading: it belongs to the Markdown that begins the section"
        try:
            check_slides(course["slides"])
        except ValueError as error:
            yield cell.id, str(error)


@second_edition
def linked_file(notebook: "NotebookNode", folder: Path) -> Findings:
    """Every figure and explorable in Markdown is a file beside the notebook: figures/NAME.svg, explorables/NAME.html."""
    taken_along = used_in(notebook)
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        for target in dict.fromkeys(_SHOWN_FILE.findall(cell.source)):
            name = re.split(r"[?#]", target)[0].removeprefix("./")
            if not name.startswith(("figures/", "explorables/")):
                yield cell.id, f"{target}: figures and explorables are named from the notebook's own folder"
            elif name not in taken_along:
                yield (
                    cell.id,
                    f"{target}: call it figures/NAME.svg or explorables/NAME.html, NAME of letters, digits, - and _",
                )
            elif not (folder / name).is_file():
                yield cell.id, f"there is no file {name}"


RULES = {
    "prediction": prediction,
    "open-question": open_question,
    "further-reading": further_reading,
    "slide-code": slide_code,
    "from-the-slides": from_the_slides,
    "section-slides": section_slides,
    "linked-file": linked_file,
}
