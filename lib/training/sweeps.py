"""A sweep: many independent runs over any `Executor`, one row of a CSV file per finished run, resumable run by run.

A point is a frozen dataclass of plain values that says everything about one run; its fields are the first columns of
the file, and identify the row. The file is rewritten beside its place and renamed for every row, under a lock: at any
moment it holds the finished runs and nothing else, also when two sweeps write into it.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lib.files import atomic_write, file_lock
from lib.progress import progress


class SweepError(RuntimeError):
    """Some runs of a sweep failed; the others are in the file, and a second sweep runs only what is missing."""


def sweep(
    points: Sequence[Any],
    run: Callable[[Any], Mapping[str, Any]],
    file: Path | str,
    executor: Executor,
    *,
    description: str = "sweep",
    show_progress: bool = True,
) -> list[dict[str, str]]:
    """Run every point that has no row in `file` yet, append a row as each one ends, and return the rows of
    all points, in their order.

    `run(point)` returns what was measured, as plain values; on an executor of processes or on a cluster both must be
    importable there. A run that raises costs its own row alone.

    Raises SweepError at the end if runs failed, ValueError for points that are given twice, or a file that is not of
    this sweep.

    >>> import tempfile
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Point:
    ...     x: int
    >>> file = Path(tempfile.mkdtemp()) / "squares.csv"
    >>> with ThreadPoolExecutor(1) as one:
    ...     sweep([Point(2), Point(3)], lambda p: {"square": p.x**2}, file, one, show_progress=False)
    [{'x': '2', 'square': '4'}, {'x': '3', 'square': '9'}]
    """
    file, wanted = Path(file), {_key(asdict(point)): point for point in points}
    if not wanted or len(wanted) < len(points):
        raise ValueError(
            f"points must be different runs, at least one; got {len(points)}, of which {len(wanted)} differ"
        )
    fields = tuple(asdict(points[0]))
    done = {_key(row, fields) for row in read_rows(file, fields)} & set(wanted)
    missing = {executor.submit(run, point): point for key, point in wanted.items() if key not in done}
    failures = []
    with progress(description=description, total=len(wanted), disable=not show_progress) as bar:
        bar.update(len(done))
        for future in as_completed(missing):
            point = missing[future]
            if error := future.exception():
                failures.append(f"{point}: {type(error).__name__}: {error}")
            else:
                append_row(file, {**asdict(point), **future.result()}, fields)
            bar.update()
    if failures:
        raise SweepError(f"{len(failures)} of {len(wanted)} runs failed; the first: {failures[0]}")
    rows = {_key(row, fields): row for row in read_rows(file, fields)}
    return [rows[key] for key in wanted]


def has_row(file: Path | str, values: Iterable[Any], key: Sequence[str]) -> bool:
    """Whether the table in `file` has a row with these `values` in the columns `key`.

    Raises ValueError if the table lacks one of the columns.
    """
    return tuple(map(str, values)) in {_key(row, key) for row in read_rows(file, key)}


def append_row(file: Path | str, row: Mapping[str, Any], key: Sequence[str]) -> None:
    """Add `row` to the table in `file`, whole or not at all; a row with the same `key` is already there and stays.

    Raises ValueError if the table has other columns.
    """
    file = Path(file)
    with file_lock(file):
        rows = read_rows(file, key)
        if rows and list(rows[0]) != list(row):
            raise ValueError(f"{file.name} has the columns {', '.join(rows[0])}; this run gives {', '.join(row)}")
        if _key(row, key) in {_key(other, key) for other in rows}:
            return
        with atomic_write(file) as out:
            writer = csv.DictWriter(out, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows([*rows, row])


def read_rows(file: Path | str, key: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a sweep's file as text, none if there is no file; a last line that was cut off does not count.

    Raises ValueError for a file without the columns of `key`, a damaged line within it, or a run that is there twice.
    """
    file = Path(file)
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):  # some other program stopped in the middle of this line
        lines.pop()
    rows = list(csv.DictReader(lines))
    if lines and not set(key) <= set(next(csv.reader(lines[:1]))):
        raise ValueError(f"{file.name} is not a table of this sweep: it lacks one of the columns {', '.join(key)}")
    seen = set()
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"line {number} of {file.name} is incomplete; remove it, and the run is done again")
        if _key(row, key) in seen:
            raise ValueError(f"line {number} of {file.name} is a run that is already in it; remove one of the two")
        seen.add(_key(row, key))
    return rows


def _key(row: Mapping[str, Any], fields: Iterable[str] | None = None) -> tuple[str, ...]:
    """What tells one run from another, as it stands in the file."""
    return tuple(str(row[name]) for name in (fields if fields is not None else row))
