"""Notebooks as files: listing, selecting, reading, writing and parameterising them."""

import ast
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lib import NOTEBOOKS
from lib.errors import CourseError, UsageError
from lib.lectures.renamed import RENAMED
from lib.names import nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

# nbformat loads jsonschema, and that a grammar of addresses in all scripts (IRIs), for more than a second of each
# process: no notebook has such a field. Where the module is missing, jsonschema does without it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: an import fails


def all_notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """The lectures in teaching order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def select(names: list[str], folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks with these names, or all if `names` is empty.

    A name is a number (`04`, or `4`), a stem (`04_mlm_masking`) or the path of any notebook file.
    Raises UsageError for a name that fits none, with its present name or the nearest that exists.
    """
    known = {path.stem: path for path in all_notebooks(folder)}
    if not names and not known:
        raise UsageError(f"there is no notebook in {folder}")
    chosen = [_find(name, known) for name in names] if names else list(known.values())
    return list(dict.fromkeys(chosen))  # without repetitions


def _find(name: str, known: dict[str, Path]) -> Path:
    if Path(name).suffix == ".ipynb" and Path(name).is_file():
        return Path(name).resolve()
    stem = Path(name).name.removesuffix(".ipynb")
    if stem in known:
        return known[stem]
    numbered = [path for key, path in known.items() if stem.isdigit() and key.startswith(f"{int(stem):02d}_")]
    if len(numbered) == 1:
        return numbered[0]
    if RENAMED.get(stem) in known:
        raise UsageError(f"notebook {stem!r} is called {RENAMED[stem]} now")
    raise UsageError(f"unknown notebook {name!r}: {nearest(stem, list(known))}")


def parse(text: str, name: str) -> "NotebookNode":
    """A notebook from its JSON text, validated; `name` is for the message.

    Cell ids are not changed, even if two are the same. Raises CourseError for text that is not JSON,
    not a notebook, or a notebook with a cell that has no id (older than format 4.5).
    """
    import nbformat

    try:
        content = json.loads(text)
    except ValueError as error:
        raise CourseError(f"{name} is not a notebook: not JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list) or content.get("nbformat") != 4:
        raise CourseError(f"{name} is not a notebook: JSON, but not of notebook format 4")
    for number, cell in enumerate(content["cells"]):
        if "id" not in cell:
            raise CourseError(f"{name}: cell {number} has no id (notebook format 4.5 has them)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about ids that it repairs in `content`, which is discarded
            nbformat.validate(content)
    except nbformat.ValidationError as error:
        raise CourseError(f"{name} is not a valid notebook: {str(error).splitlines()[0]}") from None
    return nbformat.v4.reads_json(text)


def load(path: Path) -> "NotebookNode":
    """The notebook in a file. Raises CourseError if it cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path.name} cannot be read: {error}") from None


def text_of(notebook: "NotebookNode") -> str:
    """The canonical text of a notebook, as Jupyter itself would save it."""
    import nbformat

    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def tags(cell: "NotebookNode") -> list[str]:
    """The tags of a cell; an empty list for a cell without tags."""
    return cell.metadata.get("tags", [])


def parameters(notebook: "NotebookNode") -> dict[str, object]:
    """Names and defaults in the `parameters` cell; a default that is not a literal is given as its source."""
    return {name: default for name, (default, _) in _defaults(notebook).items()}


def _defaults(notebook: "NotebookNode") -> dict[str, tuple[object, bool]]:
    """The default of each parameter, and whether it is a literal."""
    defaults = {}
    for cell in notebook.cells:
        if "parameters" not in tags(cell):
            continue
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                defaults[statement.targets[0].id] = _literal(ast.unparse(statement.value))
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                defaults[statement.target.id] = _literal(ast.unparse(statement.value))
    return defaults


def given_parameters(pairs: list[list[str]], notebook: "NotebookNode", name: str) -> dict[str, object]:
    """The values of `-p NAME VALUE`, each of the type of the notebook's default.

    Where the default is text, the value is taken as it was typed; where the default is None or computed, as a literal if
    it is one. Raises UsageError for an unknown name, with the known ones, and for a value of another type.
    """
    known = _defaults(notebook)
    given = {}
    for key, text in pairs:
        if key not in known:
            listed = _listed(parameters(notebook))
            raise UsageError(f"{name} has no parameter {key!r}: {nearest(key, list(known))}; it has {listed}")
        default, is_literal = known[key]
        given[key] = _typed(text, default, f"{name}: parameter {key}") if is_literal else _value(text)
    return given


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    tuple: "a tuple",
    dict: "a dict",
}


def _typed(text: str, default: object, where: str) -> object:
    """`text` as a value of the type of `default`. Raises UsageError, beginning with `where`, if it is none."""
    kind = type(default)
    if kind is str:
        return text
    value = _value(text)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(value, list | tuple) and kind in (list, tuple):
        return list(value) if kind is list else tuple(value)
    if default is not None and type(value) is not kind:
        raise UsageError(f"{where} is {_KINDS.get(kind, f'a {kind.__name__}')} (default {default!r}), got {text!r}")
    return value


def _value(text: str) -> object:
    words = {"true": True, "false": False, "none": None}
    return words[text.lower()] if text.lower() in words else _literal(text)[0]


def _literal(text: str) -> tuple[object, bool]:
    """The value of a literal and True; of other text the text itself and False."""
    try:
        return ast.literal_eval(text), True
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text, False


def _listed(known: dict[str, object]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in known.items()) or "no parameters"
