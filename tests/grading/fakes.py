"""Submissions, and stand-ins for the work of grading one: what a result says is written in the submission."""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from lib.grading.judging.entry import FORMAT, entry

NOTEBOOK = "00_start_here.ipynb"
IDS = ["start.token_count", "writing.probabilities", "writing.draw", "writing.loop"]


def submit(folder: Path, student: str, notebook: str = NOTEBOOK, /, default="right", **statuses) -> Path:
    """Hand in a notebook that says how its exercises went: `default`, or the status of a name in the id."""
    asked = {id: statuses.get(id.split(".")[1], default) for id in IDS}
    return write(folder / student / notebook, json.dumps(asked))


def write(path: Path, source: str) -> Path:
    import nbformat

    cell = nbformat.v4.new_code_cell(source, id="only")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    return path


def said(task) -> dict:
    return json.loads("".join(json.loads(task.content)["cells"][0]["source"]))


def work(task) -> dict:
    """The result that the submission asks for."""
    problem = task.found.problem
    statuses = {} if problem else said(task)
    exercises = [entry(id, statuses.get(id, "unreadable" if problem else "missing")) for id in task.ids]
    return {
        "format": FORMAT, "student": task.found.student, "notebook": task.found.notebook, "file": task.found.file,
        "sha256": "", "problem": problem, "notes": [], "exercises": exercises, "plan": task.plan,
    }  # fmt: skip


def slow(task) -> dict:
    time.sleep(0.25)
    return work(task)


def held(task) -> dict:
    """Of those who are called "student …" nothing comes before a test has stopped it all."""
    if task.found.student.startswith("student"):
        time.sleep(600)
    return work(task)


def deadly(task) -> dict:
    """Ends its process for whoever asks for that; "once" leaves a file behind, so as to do it only once."""
    asked = said(task)
    if "once" in asked and not Path(asked["once"]).exists():
        Path(asked["once"]).touch()
        os._exit(1)
    if "always" in asked:
        os._exit(1)
    return slow(task)


def main() -> int:
    """The command line, with work that is `held`."""
    from lib.course import cli, grade

    grade.run = partial(grade.run, work=held)
    return cli.main(sys.argv[1:])
