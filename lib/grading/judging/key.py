"""The grader's secret key. Whoever has it can compute the cases, so it is kept in a file of one person."""

import hashlib
import hmac
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path

from lib.errors import CourseError

BYTES = 32


def default_path() -> Path:
    """The path of the key unless `--key` gives another: in the folder of the user's settings."""
    settings = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(settings) if Path(settings).is_absolute() else Path.home() / ".config"
    return folder / "llm-course" / "grading.key"


def load_key(path: Path) -> bytes:
    """The 32 bytes of the key in a file. If there is no file, it is created, readable only by its owner.

    Raises CourseError for a file that others may read, that contains something else, or that cannot be created.
    """
    try:
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it contains something else"
        raise CourseError(f"{path} cannot be used as the grader's key: {what}") from None
    if mode & 0o077:
        raise CourseError(
            f"{path} is readable by others, and whoever has the key can compute the cases: run chmod 600 on it"
        )
    if not re.fullmatch(rf"[0-9a-f]{{{2 * BYTES}}}", text):
        raise CourseError(f"{path} cannot be used as the grader's key: it contains something else")
    return bytes.fromhex(text)


def _make(path: Path) -> None:
    """Write a new key next to `path` and link it there, so that of two graders that start together one creates it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(BYTES) + "\n")
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(beside)


def fingerprint(key: bytes) -> str:
    """A short hash that distinguishes keys without revealing them.

    >>> fingerprint(bytes(32)) == fingerprint(bytes(32)) != fingerprint(bytes(31) + b"1")
    True
    """
    return hmac.new(key, b"course grade: which key", hashlib.sha256).hexdigest()[:16]
