"""Files that are whole or absent: written beside their place and renamed; read with their form checked."""

import csv
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on an error it is removed.

    For writers that want a file name (safetensors, papermill); `atomic_write` is for those that want a file.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "deep" / "note.txt"
    >>> with atomic_path(target) as beside:
    ...     _ = beside.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # a full disk does not say which file it was that had no room
        raise


@contextmanager
def atomic_write(path: Path | str, mode: str = "w") -> Iterator[IO]:
    """Open a file for writing that appears at `path` only once it is complete.

    `mode` is "w" (UTF-8 text) or "wb". Raises ValueError for any other mode: appending cannot be atomic.
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"mode must be 'w' or 'wb', got {mode!r}")
    with atomic_path(path) as beside, open(beside, mode, encoding=None if "b" in mode else "utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def check_writable(folder: Path | str) -> None:
    """Raises OSError, naming `folder`, where no file can be written into it; asked before what takes long.

    >>> check_writable("/dev/null/build")
    Traceback (most recent call last):
    NotADirectoryError: [Errno 20] Not a directory: '/dev/null/build'
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        error.filename = str(folder)
        raise


@contextmanager
def file_lock(path: Path | str) -> Iterator[None]:
    """Hold an exclusive lock on `path` + ".lock", so that processes side by side make a cache once."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_csv(path: Path, header: list[str]) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file with their line numbers, once its header and every row's length are as they
    should be.

    Raises ValueError if the file is missing, isn't UTF-8, has another header, a ragged row, or no row at all.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing; restore it from version control") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    found = rows[0][1] if rows else []
    if found != header:
        raise ValueError(f"{path.name} must begin with {','.join(header)}, got {','.join(found)}")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path.name}, line {line}: expected {len(header)} cells, got {len(row)}")
    if len(rows) == 1:
        raise ValueError(f"{path.name} has a header and no rows")
    return rows[1:]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
