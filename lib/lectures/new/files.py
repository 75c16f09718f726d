"""Files that belong together, written all or not at all."""

from collections.abc import Mapping
from pathlib import Path

from lib.errors import CourseError
from lib.files import atomic_path


def write_all(new: Mapping[Path, str], changed: tuple[Path, str, str] | None = None) -> None:
    """Write the files `new`, none of which is there yet; then replace one, given as (path, its text now, its new text).

    Raises CourseError where a new file is there, the other was saved meanwhile, or one cannot be written; then
    everything is as it was.
    """
    made: list[Path] = []
    path = Path()
    try:
        for path, text in new.items():
            made += _make_folders(path.parent)
            _put(path, text, before=None)
            made.append(path)
        if changed:
            path, before, text = changed
            _put(path, text, before)
    except BaseException as error:
        for each in reversed(made):
            each.rmdir() if each.is_dir() else each.unlink()
        if isinstance(error, OSError):
            raise CourseError(f"{path} cannot be written ({error.strerror}); nothing was changed") from None
        raise


def _make_folders(folder: Path) -> list[Path]:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _put(path: Path, text: str, before: str | None) -> None:
    """Write one file; `before` is the text that it has, None where there is to be none."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
        now = path.read_text(encoding="utf-8") if path.exists() else None
        if now != before:
            what = "is there, and nothing is overwritten" if before is None else "was saved meanwhile: run this again"
            raise CourseError(f"{path} {what}; nothing was changed")
