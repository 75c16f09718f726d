"""Text that is slow to make and quick to read again, kept in the cache folder with a checksum.

A file begins with one line of JSON, the recipe by which the text was made and the SHA-256 of the text; the text
follows. The checksum shows that a file is damaged, the recipe that it is out of date; both are made again.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from lib.files import atomic_write, file_lock


def cached_text(path: Path, recipe: str, make: Callable[[], str]) -> str:
    """The text kept at `path`, or else what `make()` returns, which is then kept there.

    Of several processes one makes it, and the others wait. A damaged file is reported (UserWarning) and made
    again; if `make` raises, no file is left behind.

    Raises OSError if the folder of `path` cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "kept.txt"
    >>> cached_text(path, "greeting/1", lambda: "hello"), cached_text(path, "greeting/1", lambda: "never called")
    ('hello', 'hello')
    """
    text = _read(path, recipe)
    if text is not None:
        return text
    _need_folder(path.parent)
    with file_lock(path):
        text = _read(path, recipe, warn=True)  # another process may have made it while this one waited
        if text is None:
            text = make()
            _write(path, recipe, text)
    return text


def _read(path: Path, recipe: str, warn: bool = False) -> str | None:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        header = json.loads(head)
        whole = header["sha256"] == hashlib.sha256(body).hexdigest()
        same_recipe = header["recipe"] == recipe
    except (ValueError, TypeError, KeyError):
        whole = same_recipe = False
    if whole:
        return body.decode() if same_recipe else None
    if warn:
        warnings.warn(f"the cached file {path.name} is damaged; it is made again", stacklevel=4)
    return None


def _write(path: Path, recipe: str, text: str) -> None:
    body = text.encode()
    header = json.dumps({"recipe": recipe, "sha256": hashlib.sha256(body).hexdigest()})
    with atomic_write(path, "wb") as file:
        file.write(header.encode() + b"\n" + body)


def _need_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise OSError(f"cannot write into {folder}: set COURSE_CACHE to a folder that can be written")
