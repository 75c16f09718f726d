"""Reads the cells of a notebook file from untrusted bytes; nothing is executed."""

import json
import re
from collections.abc import Collection
from typing import Any

from lib.lectures.edition import PROMPT, STUB, STUB_VALUE

CELL_LIMIT = 5000  # cells of a notebook
SOURCE_LIMIT = 10**6  # characters of all its code
BYTES_LIMIT = 3 * 10**6 // 2  # of all its code in UTF-8; escaped as JSON it fits into one request of the grader
WRITTEN_LIMIT = 10**5  # characters of one written answer

_MARKS = (STUB, STUB_VALUE, PROMPT)  # of what is still to be written
_CONFLICT = re.compile(r"^<{7}(?: .*)?$[\s\S]*?^={7}$[\s\S]*?^>{7}(?: .*)?$", re.MULTILINE)
_DEFINITION = re.compile(r"^(?:async )?def \w+\(.*:[ \t]*(?:#.*)?$", re.MULTILINE)
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)

CONFLICT = "it has the conflict markers of a merge (<<<<<<<, line {line}): keep one side and remove the markers"
AS_TEXT = "the answer is in a {kind} cell, which is not run: change it into a code cell"

_ID = re.compile(r"[a-z][a-z0-9_]{0,60}\.[a-z][a-z0-9_]{0,60}")
_LOOKS_LIKE = {
    b"<": "a web page",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
}


class Unreadable(Exception):
    """The bytes are not a readable notebook; the message tells the student why."""


def read_cells(content: bytes) -> list[Any]:
    """The list of cells in the file; each entry can be any JSON value.

    Raises Unreadable if there is no such list.

    >>> read_cells(b'{"nbformat": 4, "cells": [7]}')
    [7]
    """
    notebook = _parse_json(_decode(content))
    if not isinstance(notebook, dict):
        raise Unreadable("it is JSON, but not a notebook")
    cells, version = notebook.get("cells"), notebook.get("nbformat")
    if "worksheets" in notebook or (type(version) is int and version < 4):
        raise Unreadable("it is of notebook format 3 or older: open it in Jupyter and save it again")
    if not isinstance(cells, list):
        raise Unreadable("it is JSON, but not a notebook: it has no list of cells")
    if len(cells) > CELL_LIMIT:
        raise Unreadable(f"it has {len(cells)} cells, more than {CELL_LIMIT}")
    return cells


def _decode(content: bytes) -> str:
    if not content.strip():
        raise Unreadable("the file is empty")
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{")):
        raise Unreadable("it is UTF-16 text, but a notebook is UTF-8: open it in Jupyter and save it again")
    for start, what in _LOOKS_LIKE.items():
        if content.lstrip().startswith(start):
            raise Unreadable(f"it is {what}, not a notebook: hand in the .ipynb file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"it is not UTF-8 text (byte {error.start + 1}): open it in Jupyter and save it again"
        ) from None


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if line := conflict_line(text):
            raise Unreadable(CONFLICT.format(line=line)) from None
        broken = "it ends too early: the file is incomplete" if _at_end(error) else "it is not JSON"
        raise Unreadable(f"{broken} ({error.msg}, line {error.lineno})") from None
    except ValueError:  # json raises this in no other case
        raise Unreadable(
            "it is JSON, but not a notebook: it contains a number with too many digits for Python"
        ) from None
    except (RecursionError, MemoryError):
        raise Unreadable("it is JSON, but not a notebook: its lists are nested too deeply") from None


def conflict_line(text: str) -> int:
    """The line of the first conflict marker that a merge left in `text`, from 1; 0 if there is none.

    >>> conflict_line("a = 1\\n<<<<<<< HEAD\\nb = 2\\n=======\\nb = 3\\n>>>>>>> theirs")
    2
    """
    found = _CONFLICT.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _at_end(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip())


def written_exercises(cells: list[Any], ids: Collection[str]) -> int:
    """How many of the exercises `ids` are written in `cells`: their cell is neither empty nor still a stub.

    In a notebook that has lost the ids in its metadata they cannot be told apart: 1 if it has code and no stub, else 0.
    """
    written, marked, stubs, code = set(), False, False, False
    for cell in cells:
        source = _text(cell.get("source", "")) if isinstance(cell, dict) else None
        if not source or not source.strip():
            continue
        metadata = _dict(cell.get("metadata"))
        stub = any(mark in source for mark in _MARKS)
        exercise = marked_exercise(metadata)
        if exercise and not _is_check(metadata):
            marked = True
            if not stub:
                written.add(exercise)
        stubs |= stub
        code |= cell.get("cell_type") == "code"
    return len(written & set(ids)) if marked else int(code and not stubs)


def _is_check(metadata: dict[str, Any]) -> bool:
    marks = _dict(metadata.get("nbgrader"))
    return marks.get("grade") is True and marks.get("solution") is not True


class Cells:
    """The code of a list of cells by cell, its written answers by exercise, and notes on irregular cells.

    `faults` says by exercise why there is no answer to be found in its cell, as far as the cell itself shows it.

    Raises Unreadable if there is too much code for one request to the worker.
    """

    def __init__(self, cells: list[Any]) -> None:
        self.code: list[dict[str, Any]] = []  # {"number": from 1 among all cells, "source", "exercise": id or ""}
        self.written: dict[str, str] = {}
        self.notes: list[str] = []
        self.faults: dict[str, str] = {}
        self.asked: set[str] = set()  # every exercise that a cell is marked with
        self._budget = SOURCE_LIMIT
        for number, cell in enumerate(cells, start=1):
            self._read(number, cell)
        size = sum(len(cell["source"].encode(errors="surrogatepass")) for cell in self.code)
        if size > BYTES_LIMIT:
            raise Unreadable(f"its cells contain {size:,} bytes of code, more than {BYTES_LIMIT:,}")

    def _read(self, number: int, cell: Any) -> None:
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        source = _text(cell.get("source", "")) if isinstance(cell, dict) else None
        if not isinstance(kind, str) or source is None:
            self.notes.append(f"cell {number} was left out: it is not a valid notebook cell")
            return
        metadata = _dict(cell.get("metadata"))
        marks = _dict(metadata.get("nbgrader"))
        exercise = marked_exercise(metadata)
        self.asked |= {exercise} - {""}
        is_written = marks.get("grade") is True and marks.get("solution") is True and bool(exercise)
        if is_written:
            self._keep_written(number, exercise, source)
        if kind == "code":
            self._keep_code(number, source, "" if _is_check(metadata) else exercise)
        elif not is_written:
            self._look_for_code(number, kind, source, exercise)

    def _look_for_code(self, number: int, kind: str, source: str, exercise: str) -> None:
        """Say of code that became text that it did."""
        if exercise:
            self._blame(number, exercise, AS_TEXT.format(kind=kind))
        elif _DEFINITION.search(_FENCED.sub("", source)):
            self.notes.append(f"cell {number} is a {kind} cell, so it is not run, but it looks like code")

    def _blame(self, number: int, exercise: str, fault: str) -> None:
        self.notes.append(f"cell {number}{f' ({exercise})' if exercise else ''}: {fault}")
        if exercise:
            self.faults.setdefault(exercise, fault)

    def _keep_code(self, number: int, source: str, exercise: str) -> None:
        if len(source) > self._budget:
            self.notes.append(f"cell {number} was left out: more than {SOURCE_LIMIT // 10**6} MB of code")
            return
        self._budget -= len(source)
        if line := conflict_line(source):
            self._blame(number, exercise, CONFLICT.format(line=line))
        self.code.append({"number": number, "source": source, "exercise": exercise})

    def _keep_written(self, number: int, exercise: str, text: str) -> None:
        before = self.written.get(exercise)
        if before is not None:  # JupyterLab copies the metadata of a cell that is split or pasted
            self.notes.append(f"cell {number} is another cell for {exercise}: they are read as one answer")
            text = before if text.strip() in before else f"{before}\n\n{text}"
        if len(text) > WRITTEN_LIMIT:
            self.notes.append(f"cell {number}: only the first {WRITTEN_LIMIT} characters are kept")
        self.written[exercise] = text[:WRITTEN_LIMIT]


def marked_exercise(metadata: Any) -> str:
    """The exercise id in the metadata of a cell; "" if there is no valid one."""
    id = _dict(_dict(metadata).get("course")).get("exercise")
    return id if isinstance(id, str) and _ID.fullmatch(id) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(source: Any) -> str | None:
    """A source, given as one string or a list of strings; lone surrogates, which UTF-8 cannot encode, are replaced."""
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else None
