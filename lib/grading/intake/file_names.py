"""Student and notebook from the name of a submitted file; safe folder names for students."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lib import NOTEBOOKS
from lib.errors import CourseError
from lib.grading.assignment.roster import folder_name
from lib.lectures.companions import FOLDERS
from lib.lectures.renamed import all_names
from lib.lectures.work_folder import MANIFEST

_COPY = re.compile(
    r"(\s*\(\d{1,4}\)|[\s_-]*copy\s*\d{0,4}(\s*\(\d{1,4}\))?|-\d{1,3}|\.new-[0-9a-f]{8})$", re.IGNORECASE
)
_PARTING = " \t_-.+"
_KEPT = 40  # characters kept of a name that is not allowed for a folder
_SILENT = (".DS_Store", "__MACOSX", ".ipynb_checkpoints", MANIFEST, f"{MANIFEST}.lock")
_KINDS = {
    "a Python script": ".py",
    "a PDF document": ".pdf",
    "a web page": ".html .htm",
    "a text file": ".txt .md .rst .csv .json",
    "an office document": ".doc .docx .odt .rtf .pages .xls .xlsx .ppt .pptx",
    "a picture": ".png .jpg .jpeg .gif .svg .webp .heic",
    "an archive of another kind than zip": ".7z .rar .tar .gz .tgz .bz2 .xz .zst",
}
_KIND_OF = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes.split()}


def composed(name: str) -> str:
    """`name` in Unicode's composed form, as systems differ in how they store an é."""
    return unicodedata.normalize("NFC", name)


def readable(name: str) -> str:
    """`name` in one line without unprintable characters, for display only."""
    return "".join(c if c.isprintable() else "\ufffd" for c in composed(name))


def is_silent(name: str) -> bool:
    """Whether a system, Jupyter or this course writes a file or folder of that name by itself."""
    return name in _SILENT or name.startswith("._")


def is_companion(parts: Sequence[str]) -> bool:
    """Whether a path ends like a drawing or an explorable of the lectures, which releases and editions carry along.

    >>> is_companion(["ada", "a1", "essay.svg"])
    False
    """
    return len(parts) > 1 and parts[-2] in FOLDERS and (NOTEBOOKS / parts[-2] / parts[-1]).is_file()


def is_hidden(name: str) -> bool:
    """Whether the name begins with exactly one dot, as for files of programs. Two dots probably come from a person."""
    return name.startswith(".") and not name.startswith("..")


def kind_of(name: str) -> str:
    """What a file is that is not called like a notebook, and what to do, in words.

    >>> kind_of("essay.PDF")
    'it is a PDF document, not a notebook: hand in the .ipynb file'
    """
    kind = _KIND_OF.get(PurePosixPath(name).suffix.casefold(), "")
    what = f"it is {kind}, not a notebook" if kind else "it is not called .ipynb, as a notebook is"
    return f"{what}: hand in the .ipynb file"


def which_notebook(name: str, notebooks: Iterable[str]) -> str:
    """The released notebook whose name, present or former, is contained in a file's name, the longest; "" if none or
    several.

    >>> which_notebook("ada_12345_04_mlm_masking (1).ipynb", ["04_mlm_masking.ipynb", "05_loss.ipynb"])
    '04_mlm_masking.ipynb'
    >>> which_notebook("ada_03_mlm_masking.ipynb", ["04_mlm_masking.ipynb", "05_loss.ipynb"])
    '04_mlm_masking.ipynb'
    """
    text = composed(name).casefold()
    found = {notebook: stem for notebook in notebooks if (stem := _longest_in(text, notebook))}
    longest = max(found, key=lambda notebook: len(found[notebook]), default="")
    return longest if all(stem in found[longest] for stem in found.values()) else ""


def _longest_in(text: str, notebook: str) -> str:
    """The longest of a notebook's names, casefolded, that `text` contains; "" if none."""
    stems = (stem.casefold() for stem in all_names(_stem(notebook)))
    return max((stem for stem in stems if stem in text), key=len, default="")


def is_exact(name: str, notebook: str) -> bool:
    """Whether a file has exactly its released name, not that of a copy."""
    return composed(name) == composed(notebook)


def student_of(name: str, notebook: str) -> str:
    """The student in the name of a file outside the students' folders; the whole stem if nothing else is left.

    >>> student_of("ada_12345_04_mlm_masking (1).ipynb", "04_mlm_masking.ipynb")
    'ada_12345'
    """
    stem = _stem(name)
    named = _longest_in(stem.casefold(), notebook) if notebook else ""
    at = re.search(re.escape(named), stem, re.IGNORECASE) if named else None
    if not at:
        return _without_copy(stem) or stem
    before, after = stem[: at.start()], stem[at.end() :]
    parts = [before.strip(_PARTING), _without_copy(after).strip(_PARTING)]
    return "_".join(part for part in parts if part) or stem


def _without_copy(stem: str) -> str:
    while found := _COPY.search(stem):
        stem = stem[: found.start()]
    return stem


def _stem(name: str) -> str:
    """`name` without .ipynb, or without another suffix of a file and .ipynb before that."""
    name = composed(name)
    if not name.casefold().endswith(".ipynb"):
        name = name.removesuffix(PurePosixPath(name).suffix)
    return name[:-6] if name.casefold().endswith(".ipynb") else name


def safe_students(names: Iterable[str]) -> dict[str, str]:
    """A valid folder name for each of `names`: the name itself (composed) if it is valid, else a changed one.

    Two names get the same result only if they are equal in Unicode. A changed name depends only on the original,
    unless somebody else already has that name.

    >>> safe_students(["ada", "../ada"])
    {'../ada': 'ada-60088279', 'ada': 'ada'}
    """
    names = sorted(set(names))
    safe = {name: _legal(name) for name in names}
    taken = {fit.casefold() for fit in safe.values()}
    for name in names:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        words = "".join(c if _is_plain(c) else "_" for c in composed(name))[:_KEPT].strip("_-. ") or "student"
        length = 8
        while not safe[name]:
            candidate = f"{words}-{digest[:length]}"
            if candidate.casefold() not in taken:
                safe[name] = candidate
                taken.add(candidate.casefold())
            length += 4
    return safe


def _is_plain(character: str) -> bool:
    return character in "._-+@ " or unicodedata.category(character)[0] in "LMN"


def _legal(name: str) -> str:
    try:
        return folder_name(name, "")
    except CourseError:
        return ""
