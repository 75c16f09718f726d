"""The secret key of a grader: whoever knows it knows the cases, so it stays in one file of one person."""

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
    """Where the key lies unless `--key` says otherwise: in the folder of the person's settings."""
    settings = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(settings) if Path(settings).is_absolute() else Path.home() / ".config"
    return folder / "llm-course" / "grading.key"


def load_key(path: Path) -> bytes:
    """The 32 bytes of the key in a file, which is made, for its owner alone, where there is none.

    Raises CourseError for a file that others may read, that holds something else, or that cannot be made.
    """
    try:
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it holds something else"
        raise CourseError(f"{path} cannot serve as the key of the grader: {what}") from None
    if mode & 0o077:
        raise CourseError(
            f"{path} may be read by others, and whoever has the key knows the cases: chmod 600 it"
        )
    if not re.fullmatch(rf"[0-9a-f]{{{2 * BYTES}}}", text):
        raise CourseError(f"{path} cannot serve as the key of the grader: it holds something else")
    return bytes.fromhex(text)


def _make(path: Path) -> None:
    """Write a new key beside `path` and link it there: of two graders that begin together, one makes it."""
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
    """What tells two keys apart and reveals neither.

    >>> fingerprint(bytes(32)) == fingerprint(bytes(32)) != fingerprint(bytes(31) + b"1")
    True
    """
    return hmac.new(key, b"course grade: which key", hashlib.sha256).hexdigest()[:16]
