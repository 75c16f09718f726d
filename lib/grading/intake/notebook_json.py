"""The cells of a notebook file, from bytes that anybody may have written; nothing of them is executed."""

import json
import re
from typing import Any

CELL_LIMIT = 5000  # cells of a notebook
SOURCE_LIMIT = 10**6  # characters of all its code
BYTES_LIMIT = 3 * 10**6 // 2  # of the same in UTF-8; escaped as JSON they fit into one request of the grader
WRITTEN_LIMIT = 10**5  # characters of one written answer

_ID = re.compile(r"[a-z][a-z0-9_]{0,60}\.[a-z][a-z0-9_]{0,60}")
_LOOKS_LIKE = {
    b"<": "a web page",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
}


class Unreadable(Exception):
    """Says why bytes are no notebook that can be read, in words for the student."""


def read_cells(content: bytes) -> list[Any]:
    """The list of cells as it stands in the file: each entry can be anything that JSON has.

    Raises Unreadable where there is none.

    >>> read_cells(b'{"nbformat": 4, "cells": [7]}')
    [7]
    """
    notebook = _parse_json(_decode(content))
    if not isinstance(notebook, dict):
        raise Unreadable("it is JSON, but no notebook")
    cells, version = notebook.get("cells"), notebook.get("nbformat")
    if "worksheets" in notebook or (type(version) is int and version < 4):
        raise Unreadable("it is of notebook format 3 or older: open it in Jupyter and save it again")
    if not isinstance(cells, list):
        raise Unreadable("it is JSON, but no notebook: it has no list of cells")
    if len(cells) > CELL_LIMIT:
        raise Unreadable(f"it has {len(cells)} cells, more than {CELL_LIMIT}")
    return cells


def _decode(content: bytes) -> str:
    if not content.strip():
        raise Unreadable("the file is empty")
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{")):
        raise Unreadable("it is UTF-16 text, and a notebook is UTF-8: open it in Jupyter and save it again")
    for start, what in _LOOKS_LIKE.items():
        if content.lstrip().startswith(start):
            raise Unreadable(f"it is {what}, and no notebook: hand in the .ipynb file")
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
        broken = "it breaks off: the file is not complete" if _at_end(error) else "it is not JSON"
        raise Unreadable(f"{broken} ({error.msg}, line {error.lineno})") from None
    except ValueError:  # json says so of nothing else
        raise Unreadable(
            "it is JSON, but no notebook: a number in it has more digits than Python reads"
        ) from None
    except (RecursionError, MemoryError):
        raise Unreadable("it is JSON, but no notebook: lists in lists without end") from None


def _at_end(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip())


class Cells:
    """What is wanted of a list of cells: code by cell, written answers by exercise; notes on what is odd.

    Raises Unreadable where the code is too much to be sent to where answers run.
    """

    def __init__(self, cells: list[Any]) -> None:
        self.code: list[
            dict[str, Any]
        ] = []  # {"number": from 1 among all cells, "source", "exercise": id or ""}
        self.written: dict[str, str] = {}
        self.notes: list[str] = []
        self._budget = SOURCE_LIMIT
        for number, cell in enumerate(cells, start=1):
            self._read(number, cell)
        size = sum(len(cell["source"].encode(errors="surrogatepass")) for cell in self.code)
        if size > BYTES_LIMIT:
            raise Unreadable(f"its cells hold {size:,} bytes of code, more than {BYTES_LIMIT:,}")

    def _read(self, number: int, cell: Any) -> None:
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        source = _text(cell.get("source", "")) if isinstance(cell, dict) else None
        if not isinstance(kind, str) or source is None:
            self.notes.append(f"cell {number} was left out: it is no cell of a notebook")
            return
        metadata = _dict(cell.get("metadata"))
        marks = _dict(metadata.get("nbgrader"))
        exercise = marked_exercise(metadata)
        if marks.get("grade") is True and marks.get("solution") is True and exercise:
            self._keep_written(number, exercise, source)
        if kind == "code":
            is_check = marks.get("grade") is True and marks.get("solution") is not True
            self._keep_code(number, source, "" if is_check else exercise)

    def _keep_code(self, number: int, source: str, exercise: str) -> None:
        if len(source) > self._budget:
            self.notes.append(f"cell {number} was left out: more than {SOURCE_LIMIT // 10**6} MB of code")
            return
        self._budget -= len(source)
        self.code.append({"number": number, "source": source, "exercise": exercise})

    def _keep_written(self, number: int, exercise: str, text: str) -> None:
        if exercise in self.written:
            self.notes.append(f"cell {number} was left out: there is another one for {exercise}")
            return
        if len(text) > WRITTEN_LIMIT:
            self.notes.append(f"cell {number}: only the first {WRITTEN_LIMIT} characters are kept")
        self.written[exercise] = text[:WRITTEN_LIMIT]


def marked_exercise(metadata: Any) -> str:
    """The exercise id in the metadata of a cell; "" where there is none that could be one."""
    id = _dict(_dict(metadata).get("course")).get("exercise")
    return id if isinstance(id, str) and _ID.fullmatch(id) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(source: Any) -> str | None:
    """A source, given as one string or as a list of them; half characters, which UTF-8 cannot hold, go."""
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    return source.encode("utf-8", "replace").decode() if isinstance(source, str) else None
