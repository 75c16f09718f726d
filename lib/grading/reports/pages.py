"""The page of one student: the exercises, their results, and the input on which an answer failed.

A page is one file without scripts and external content, and a policy in its head forbids both, in case escaping
should ever fail. `render` cleans, shortens and escapes everything that comes from a student, wherever a template
shows it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.grading.assignment.graded import total

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from lib.grading.assignment.item import Item
    from lib.grading.results.gradebook import Gradebook

TEMPLATES = Path(__file__).parent / "templates"

LONGEST = 4000  # characters of one piece of text
MAX_NOTES = 20

# Control characters, lone surrogates, marks that change the direction of text, and noncharacters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)

SIGNS = {
    "right": "✓",
    "wrong": "✗",
    "not written": "○",
    "missing": "?",
    "time up": "∞",
    "crashed": "!",
    "unreadable": "!",
    "not submitted": "–",
    "manual": "✎",
}
"""A sign for each status, so that a column can be skimmed; in the order of tables."""

_SENTENCES = {
    "not written": "The stub is still there: there is no answer yet.",
    "missing": "No answer to this exercise was found in the notebook.",
    "time up": "Your answer did not finish within the time limit.",
    "awaited": "A person reads this answer. Its points are still to come.",
    "manual": "A person has read this answer.",
    "crashed": "The process in which your answer ran ended unexpectedly, perhaps out of memory.",
}


_NOTHING = {"cell": None, "answer": "", "reason": "", "hint": "", "passed": 0, "cases": 0, "failed": None}


@dataclass(frozen=True)
class ExerciseRow:
    """One exercise on a student's page."""

    item: "Item"
    anchor: str
    status: str
    sign: str
    points: str  # as shown
    entry: dict
    sentence: str  # the meaning of the status, for the student; empty if the entry gives a reason

    @property
    def explained(self) -> bool:
        """Whether the page has details of it besides its status; problems of the whole file are reported once."""
        return self.status not in ("right", "unreadable", "not submitted")


@dataclass(frozen=True)
class Part:
    """One notebook on a student's page."""

    notebook: str
    result: dict | None
    points: int | float
    out_of: int | float
    rows: tuple[ExerciseRow, ...]
    notes: tuple[str, ...]


def student_page(book: "Gradebook", student: str) -> str:
    """The page of `student` as HTML, without data of other students; the same gradebook gives the same text.

    Raises ValueError if the student is not in the gradebook.
    """
    if student not in book.students:
        raise ValueError(f"student must be one of the gradebook's, got {student!r}")
    awaited = [item for item in book.items if book.awaits(student, item)]
    return render(
        "student.html",
        student=student,
        points=book.total(student),
        out_of=book.out_of,
        awaited=total({item.exercise: item.points for item in awaited}),
        parts=tuple(_parts(book, student)),
    )


def _parts(book: "Gradebook", student: str) -> Iterator[Part]:
    for notebook in dict.fromkeys(item.notebook for item in book.items):
        items = [item for item in book.items if item.notebook == notebook]
        result = book.results.get((student, notebook))
        yield Part(
            notebook,
            result,
            total({item.exercise: book.points(student, item) for item in items}),
            total({item.exercise: item.points for item in items}),
            tuple(_row(book, student, item) for item in items),
            _few((result or {}).get("notes", ())),
        )


def _row(book: "Gradebook", student: str, item: "Item") -> ExerciseRow:
    status = book.status(student, item)
    entry = _NOTHING | (book.entry(student, item) or {})
    awaited = book.awaits(student, item)
    given = "not yet" if awaited else f"{book.points(student, item):g}"
    return ExerciseRow(
        item,
        "exercise-" + re.sub(r"[^a-z0-9_]", "-", item.exercise),
        status,
        SIGNS.get(status, "•"),
        f"{given} of {item.points:g}",
        entry,
        "" if entry["reason"] else _SENTENCES.get("awaited" if awaited else status, ""),
    )


def _few(notes: Any) -> tuple[str, ...]:
    """The first notes, and the number of further ones."""
    more = len(notes) - MAX_NOTES
    return (*notes[:MAX_NOTES], *([f"… and {more} more"] if more > 0 else []))


def render(template: str, **values: Any) -> str:
    """A rendered template of this package. Every value is escaped, so that it can only be text."""
    return _environment().get_template(template).render(signs=SIGNS, **values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cut": cut, "share": share, "marked": marked}
    return environment


def _shown(value: Any) -> Any:
    """The text that a template shows for a value; only our own pictures are marked as safe and stay unchanged."""
    if hasattr(value, "__html__"):
        return value
    return cut(value) if isinstance(value, str) else value


def cut(text: str, limit: int = LONGEST) -> str:
    r"""`text` with invisible characters made visible, and without its middle if it is longer than `limit`.

    >>> cut("a\x00b"), cut("0123456789" * 5, 30)
    ('a␀b', '0123456789 [… 37 left out …] 789')
    """
    text = text.replace("\r\n", "\n")
    if len(text) > limit:
        head, tail = limit // 3, limit // 10
        text = f"{text[:head]} [… {len(text) - head - tail:,} left out …] {text[-tail:]}"
    return _UNSEEN.sub(_visible, text)


def _visible(found: re.Match) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"


def marked(hint: str) -> "Markup":
    """A hint with *emphasis* and `code` as HTML; everything else is text.

    >>> marked("the *mean* of `x` * 2 < 3")
    Markup('the <em>mean</em> of <code>x</code> * 2 &lt; 3')
    """
    from markupsafe import Markup, escape

    text = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(cut(hint))))
    return Markup(re.sub(r"(?<![\w*])\*(\w[^*<\n]*)(?<! )\*(?![\w*])", r"<em>\1</em>", text))


def share(part: float | None) -> str:
    """A share in per cent; a dash for None.

    >>> share(0.125), share(None)
    ('12 %', '–')
    """
    return "–" if part is None else f"{100 * part:.0f} %"
