"""`course release`: the student editions of an assignment, with its exercises, points and seeds.

    DIR/manifest.json, DIR/README.md, DIR/03_mlm_masking.ipynb …            without a roster
    DIR/manifest.json, DIR/ada/README.md, DIR/ada/03_mlm_masking.ipynb …    with one

The same command gives the same bytes, and may be repeated after an interruption; whatever else is there is
kept, and named.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from lib import __version__
from lib.course.errors import CourseError, UsageError
from lib.course.graded import Graded, choose, definition_hash, graded_cells, prepare, read_points, total
from lib.course.notebooks import load, select
from lib.course.roster import read_roster, student_seed
from lib.files import atomic_path

FORMAT = 1
MANIFEST = "manifest.json"

EXAMPLES = """examples:
  course release 03 11 --out assignment1
  course release 03 --out a1 --exercises mlm.loss mlm.mask_tokens --points mlm.loss=5
  course release 03 11 --out a1 --seed 7 --roster roster.csv   a folder, with its own seed, for each student

Exercises that are not chosen stay as practice, with their checks, for 0 points."""

README = """# Assignment

| notebook | exercise | slides | points |
|---|---|---|---|
{rows}

{total} points in all. Exercises of 0 points are practice. Work in the notebooks of this folder; in the folder
of the course (version {version}; its README says how to get it), these two commands set it up and open them:

```
make .venv/.ready
.venv/bin/jupyter lab PATH/TO/THIS/FOLDER
```

Write each answer yourself: functions of the course's library that are an answer are closed to it when it is
graded, though the check passes them. Leave the cells that begin with `check(` as they are. Run All and save; what a grader will find in them, the
last cell of each notebook tells, and so does this command. Then hand in the notebooks.

```
.venv/bin/course validate PATH/TO/THIS/FOLDER/*.ipynb
```
"""


def graded_notebooks(
    paths: list[Path], exercises: list[str] | None, points: dict[str, int | float]
) -> list[Graded]:
    """The chosen notebooks, ready to be written. Raises CourseError for notebooks or choices at fault."""
    sources = {path.name: load(path) for path in paths}
    if len(sources) < len(paths):
        raise UsageError("two of the notebooks have the same file name")
    usual: dict[str, int | float] = {}
    for name, notebook in sources.items():
        for id, cell in graded_cells(notebook, name).items():
            if id in usual:
                raise CourseError(f"{name}: {id} is an exercise of another chosen notebook too")
            usual[id] = cell.metadata["nbgrader"].get("points", 0)
    chosen = choose(usual, exercises, points)
    return [prepare(notebook, name, chosen) for name, notebook in sources.items()]


def files(notebooks: list[Graded], students: list[str], seed: int) -> Iterator[tuple[str, bytes]]:
    """Every file of a release: its path in the release, and its bytes; the manifest comes last."""
    readme = _readme(notebooks)
    hashes: dict[str, dict[str, str]] = {}
    for student in students or [""]:
        folder, own = (f"{student}/", student_seed(seed, student)) if student else ("", seed)
        yield f"{folder}README.md", readme
        hashes[student] = {}
        for notebook in notebooks:
            content = notebook.text(own).encode()
            hashes[student][notebook.name] = hashlib.sha256(content).hexdigest()
            yield f"{folder}{notebook.name}", content
    manifest = _manifest(notebooks, hashes, seed)
    yield MANIFEST, (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()


def _manifest(notebooks: list[Graded], hashes: dict[str, dict[str, str]], seed: int) -> dict:
    """What the release is; with a roster, the hashes of each student's copies stand with the student."""
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
    """What a manifest says of each exercise of one notebook."""
    return [_exercise(notebook, id) for id in notebook.points]


def _exercise(notebook: Graded, id: str) -> dict:
    """One exercise in the manifest; for a written answer the cell says what the registry says of others."""
    from lib.exercises import get

    about = notebook.written.get(id)
    if about:
        more = {"definition": about.definition, "manual": True}
    else:
        try:
            about = get(id)
        except KeyError as error:
            raise CourseError(f"a check cell names it, but {error}") from None
        more = {"definition": definition_hash(about)}
    points = notebook.points[id]
    return {"id": id, "title": about.title, "slides": list(about.slides), "points": points} | more


def _readme(notebooks: list[Graded]) -> bytes:
    rows, points = [], {}
    for notebook in notebooks:
        points |= notebook.points
        for each in (_exercise(notebook, id) for id in notebook.points):
            name = f"{each['title']} (`{each['id']}`)".strip()
            name += ", read by a person" if each.get("manual") else ""
            rows.append(f"| `{notebook.name}` | {name} | {', '.join(each['slides'])} | {each['points']} |")
    return README.format(rows="\n".join(rows), total=total(points), version=__version__).encode()


def write_release(out: Path, notebooks: list[Graded], students: list[str], seed: int) -> int:
    """Write a release into the folder `out` and return how many files are new.

    Everything is compared before the first file is written. Raises CourseError, naming the file, where
    another stands in its place, and nothing is overwritten.
    """
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file; --out names a folder for the release")
    missing = {name for name, content in files(notebooks, students, seed) if _is_missing(out, name, content)}
    for name, content in files(notebooks, students, seed):
        if name in missing:
            with atomic_path(out / name) as beside:
                beside.write_bytes(content)
                _is_missing(out, name, content)  # someone may have put a file there since
    return len(missing)


def _is_missing(out: Path, name: str, content: bytes) -> bool:
    """Whether the file is yet to be written; CourseError where something else is in its place."""
    path = out / name
    if path.parent.exists() and not path.parent.is_dir():
        raise CourseError(f"{path.parent} is a file where a folder of this release belongs")
    if path.is_symlink() or path.resolve() != out.resolve() / name:
        raise CourseError(f"{path} is a link that leads elsewhere; nothing is written through it")
    if not path.exists():
        return True
    if path.is_dir() or path.read_bytes() != content:
        raise CourseError(f"{path} is there and not of this release; it is kept: choose another --out")
    return False


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course release` to the command line."""
    parser = subparsers.add_parser(
        "release",
        help="write an assignment: student editions with chosen exercises, points and seeds",
        description="Write the student editions of an assignment, a manifest and a README.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="03 or 03_mlm_masking")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--exercises", nargs="+", action="extend", metavar="ID", help="graded; default: all")
    parser.add_argument("--points", nargs="+", action="extend", default=[], metavar="ID=POINTS")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the release; default: 0")
    parser.add_argument("--roster", type=Path, metavar="CSV", help="with a column 'student'")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `course release` and return its exit code."""
    if arguments.seed < 0:
        raise UsageError(f"--seed must not be negative, got {arguments.seed}")
    points = read_points(arguments.points)
    paths = select(arguments.notebooks)
    out = arguments.out.expanduser()
    if out.resolve() in {path.resolve().parent for path in paths}:
        raise UsageError(f"{out} holds the notebooks with solutions; choose another folder with --out")
    students = read_roster(arguments.roster) if arguments.roster else []
    notebooks = graded_notebooks(paths, arguments.exercises, points)
    new = write_release(out, notebooks, students, arguments.seed)
    copies = f", {len(students)} students" if students else ""
    worth = total({id: worth for notebook in notebooks for id, worth in notebook.points.items()})
    print(f"{out}: {len(notebooks)} notebooks{copies}, {worth} points, {new} files written")
    return 0
