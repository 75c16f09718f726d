"""Writing a release: the student editions of an assignment, with its exercises, points and seeds.

    DIR/manifest.json, DIR/README.md, DIR/04_mlm_masking.ipynb …            without a roster
    DIR/manifest.json, DIR/ada/README.md, DIR/ada/04_mlm_masking.ipynb …    with one

The drawings and explorables of a notebook lie beside it, in figures/ and explorables/.

The same command gives the same bytes, and can be repeated after an interruption. Other files in the folder are
kept and reported.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from lib import __version__
from lib.errors import CourseError, UsageError
from lib.files import atomic_path
from lib.grading.assignment.graded import Graded, choose, definition_hash, graded_cells, prepare, total
from lib.grading.assignment.roster import student_seed
from lib.lectures.companions import missing
from lib.lectures.notebooks import load

FORMAT = 1
MANIFEST = "manifest.json"
README = """# Assignment

| notebook | exercise | slides | points |
|---|---|---|---|
{rows}

{total} points in all. Exercises with 0 points are practice. Work in the notebooks of this folder. In the folder
of the course (version {version}; its README says how to get it), these two commands set it up and open JupyterLab:

```
make .venv/.ready
.venv/bin/jupyter lab PATH/TO/THIS/FOLDER
```

Write each answer yourself. The check accepts an answer that calls the course library's own solution, but during
grading that function is not available. Do not change the cells that begin with `check(`. At the end choose Run All
and save. The last cell of each notebook, or this command, shows what the grader will find. Then hand in the
notebooks.

```
.venv/bin/course validate PATH/TO/THIS/FOLDER/*.ipynb
```
"""


def graded_notebooks(paths: list[Path], exercises: list[str] | None, points: dict[str, int | float]) -> list[Graded]:
    """The chosen notebooks, ready to be written. Raises CourseError for faulty notebooks, UsageError for choices."""
    sources = {path.name: load(path) for path in paths}
    if len(sources) < len(paths):
        raise UsageError("two of the notebooks have the same file name")
    usual: dict[str, int | float] = {}
    for name, notebook in sources.items():
        for id, cell in graded_cells(notebook, name).items():
            if id in usual:
                raise CourseError(f"{name}: {id} is also an exercise of another chosen notebook")
            usual[id] = cell.metadata["nbgrader"].get("points", 0)
    chosen = choose(usual, exercises, points)
    return [prepare(sources[path.name], path.name, chosen, path.parent) for path in paths]


def files(notebooks: list[Graded], students: list[str], seed: int) -> Iterator[tuple[str, bytes]]:
    """Every file of a release, as its path in the release and its bytes; the manifest comes last."""
    readme, shown = _readme(notebooks), _shown(notebooks)
    hashes: dict[str, dict[str, str]] = {}
    for student in students or [""]:
        folder, own = (f"{student}/", student_seed(seed, student)) if student else ("", seed)
        yield f"{folder}README.md", readme
        hashes[student] = {}
        for notebook in notebooks:
            content = notebook.text(own).encode()
            hashes[student][notebook.name] = hashlib.sha256(content).hexdigest()
            yield f"{folder}{notebook.name}", content
        yield from ((f"{folder}{name}", content) for name, content in shown.items())
    manifest = _manifest(notebooks, hashes, seed)
    yield MANIFEST, (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()


def _shown(notebooks: list[Graded]) -> dict[str, bytes]:
    """The drawings and explorables of a release, once each. Raises CourseError for a missing one, and for two that
    have one name."""
    shown: dict[str, bytes] = {}
    for notebook in notebooks:
        if absent := [name for name, content in notebook.shows.items() if content is None]:
            raise CourseError(missing(notebook.name, absent))
        for name, content in notebook.shows.items():
            if content is not None and shown.setdefault(name, content) != content:
                raise CourseError(f"{notebook.name} shows another {name} than the other notebooks")
    return shown


def _manifest(notebooks: list[Graded], hashes: dict[str, dict[str, str]], seed: int) -> dict:
    """The manifest of the release; with a roster, it has the hashes of the copies under each student."""
    common = hashes.get("")
    manifest = {"format": FORMAT, "course": __version__, "seed": seed, "notebooks": {}}
    for notebook in notebooks:
        entry = {"exercises": exercises_of(notebook)}
        manifest["notebooks"][notebook.name] = ({"sha256": common[notebook.name]} if common else {}) | entry
    if not common:
        manifest["students"] = {
            student: {"seed": student_seed(seed, student), "sha256": own} for student, own in hashes.items()
        }
    return manifest


def exercises_of(notebook: Graded) -> list[dict]:
    """The manifest's entry for each exercise of one notebook."""
    return [_exercise(notebook, id) for id in notebook.points]


def _exercise(notebook: Graded, id: str) -> dict:
    """One exercise in the manifest; a written answer is described by its cell, others by the registry."""
    from lib.exercises import get

    about = notebook.written.get(id)
    if about:
        more = {"definition": about.definition, "manual": True}
    else:
        try:
            about = get(id)
        except KeyError as error:
            raise CourseError(f"a check cell names an unknown exercise: {error}") from None
        more = {"definition": definition_hash(about)}
    points = notebook.points[id]
    return {"id": id, "title": about.title, "slides": list(about.slides), "points": points} | more


def _readme(notebooks: list[Graded]) -> bytes:
    rows, points = [], {}
    for notebook in notebooks:
        points |= notebook.points
        for each in (_exercise(notebook, id) for id in notebook.points):
            name = f"{each['title']} (`{each['id']}`)".strip()
            name += ", graded by a person" if each.get("manual") else ""
            rows.append(f"| `{notebook.name}` | {name} | {', '.join(each['slides'])} | {each['points']} |")
    return README.format(rows="\n".join(rows), total=total(points), version=__version__).encode()


def write_release(out: Path, notebooks: list[Graded], students: list[str], seed: int) -> int:
    """Write a release into the folder `out` and return how many files are new.

    All files are compared before the first one is written. Raises CourseError, with the file, if a different file is
    in its place; nothing is overwritten.
    """
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file; --out must name a folder for the release")
    missing = {name for name, content in files(notebooks, students, seed) if _is_missing(out, name, content)}
    for name, content in files(notebooks, students, seed):
        if name in missing:
            with atomic_path(out / name) as beside:
                beside.write_bytes(content)
                _is_missing(out, name, content)  # a file may have appeared there in the meantime
    return len(missing)


def _is_missing(out: Path, name: str, content: bytes) -> bool:
    """Whether the file has yet to be written. Raises CourseError if something else is in its place."""
    path = out / name
    if path.parent.exists() and not path.parent.is_dir():
        raise CourseError(f"{path.parent} is a file, but this release needs a folder there")
    if path.is_symlink() or path.resolve() != out.resolve() / name:
        raise CourseError(f"{path} is a link to another place; nothing is written through it")
    if not path.exists():
        return True
    if path.is_dir() or path.read_bytes() != content:
        raise CourseError(f"{path} exists and does not belong to this release; it is kept: choose another --out")
    return False
