"""The fourteen tables of the decks as data frames, checked cell by cell against `schema.TABLES`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lib import DATA
from lib.files import read_csv
from lib.names import nearest
from lib.slides.decks import DIRECTORY
from lib.slides.schema import TABLES, Column
from lib.slides.sizes import parse_range

if TYPE_CHECKING:
    import pandas

EXAMPLES = DATA / "examples.jsonl"


def load_table(name: str, *, directory: Path = DIRECTORY) -> pandas.DataFrame:
    """One table of the decks; its columns, with units and slides, are listed in `schema.TABLES[name]`.

    Text and sizes are strings ("117M" as printed; see `parse_size`), whole numbers int64, numbers float64,
    months datetime64, flags bool; NaN occurs only where the slide has an empty cell. Raises ValueError for an
    unknown name (with the nearest known one), and for a damaged file (with line and column).

    >>> load_table("gpt3_data").weight_pct.sum().item()
    101
    """
    import pandas  # imported here, so that the command line starts without it

    if name not in TABLES:
        raise ValueError(f"name must be a table of the decks, got {name!r}; {nearest(name, TABLES)}")
    columns = TABLES[name].columns
    path = Path(directory) / f"{name}.csv"
    rows = [
        [_read(cell, column, f"{path.name}, line {line}") for cell, column in zip(row, columns)]
        for line, row in read_csv(path, [column.name for column in columns])
    ]
    return pandas.DataFrame(rows, columns=[column.name for column in columns])


def example(name: str, *, path: Path = EXAMPLES) -> dict:
    """One of the decks' short example texts: its slides, a description, and its `text` (or list of `texts`).

    Raises ValueError for an unknown name (with the nearest known one) or a damaged file.

    >>> example("E3")["text"]
    'The cat sat on the mat'
    """
    examples = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            examples[record["id"]] = record
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name}, line {number}: expected a JSON object with an id ({error!r})") from None
    if name not in examples:
        raise ValueError(f"name must be one of the decks' examples, got {name!r}; {nearest(name, examples)}")
    return examples[name]


def _read(cell: str, column: Column, where: str) -> object:
    if not cell:
        if column.optional:
            return None
        raise ValueError(f"{where}: {column.name} is empty, expected a {column.kind}")
    try:
        return _READERS[column.kind](cell)
    except (ValueError, KeyError):
        raise ValueError(f"{where}: {column.name} must be a {column.kind}, got {cell!r}") from None


def _read_size(cell: str) -> str:
    parse_range(cell)
    return cell


def _read_number(cell: str) -> float:
    if not cell.lstrip("-")[:1].isdigit():  # float() would accept "nan" and "inf", which no slide prints
        raise ValueError
    return float(cell)


_READERS = {
    "text": str,
    "size": _read_size,
    "whole": int,
    "number": _read_number,
    "month": lambda cell: datetime.strptime(cell, "%Y-%m"),
    "flag": lambda cell: {"yes": True, "no": False}[cell],
}
