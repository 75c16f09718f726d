"""Answers that people wrote without knowing the cases: is each judged as its writer expects, and which mistake is named?

    python -m tests.exercises.answer_files FOLDER [ids …] [--seeds 5] [--csv FILE]

FOLDER has a file `<exercise id>.py` for each exercise, for instance `autoregressive.loss.py`. Its sections begin with a
line of one of these forms, and what follows is the whole code of the answer cell. It defines the name that the lecture's
check asks for (`my_loss`); the lecture's imports are there.

    ### ANSWER wrong: what it does
    ### ANSWER right: what is unusual
    ### ANSWER open: what the statement does not decide

A row for each answer says: the exercise, what was wanted, what `check` found (with the cases of seed 0), on how many of
the grading seeds it passed, and the misconceptions that `check` named (with "?" where they are likely, not certain).
Answers run in this process, without walls: only for files whose writers you know.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from lib.bench.classroom import Filled, Lecture
from lib.exercises import all_exercises
from lib.exercises.engine.checking import AnswerKey, Assessment, conclude, run_all
from lib.grading.worker import cells, execution
from lib.lectures.notebooks import all_notebooks

SECTION = re.compile(r"### ANSWER (wrong|right|open): *(.*)")
SEEDS = tuple(7919 * number + 1 for number in range(1, 101))


@dataclass(frozen=True)
class Written:
    """One answer of a file."""

    exercise: str
    wanted: str  # "wrong", "right" or "open"
    what: str
    source: str


@dataclass(frozen=True)
class Row:
    """What became of one answer."""

    exercise: str
    wanted: str
    check: str  # "right", or the kind of the first verdict that is not: "value", "raised", "gradient", …
    passed: str  # "0/5": on how many of the grading seeds
    named: str
    what: str

    @property
    def as_wanted(self) -> bool:
        """Whether check and every seed agree with the writer, or, about an open answer, with each other."""
        passed, seeds = map(int, self.passed.split("/"))
        right, wrong = self.check == "right" and passed == seeds, self.check != "right" and passed == 0
        return {"right": right, "wrong": wrong, "open": right or wrong}[self.wanted]


def read_answers(path: Path) -> list[Written]:
    """The answers of one file. Raises ValueError for a name that is no exercise, or for no section.

    What stands before the first section is ignored.
    """
    if path.stem not in all_exercises():
        raise ValueError(f"{path.name}: there is no exercise {path.stem!r}")
    found: list[tuple[str, str, list[str]]] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if begun := SECTION.fullmatch(line.rstrip()):
            found.append((*begun.groups(), []))
        elif line.startswith("### ANSWER"):
            raise ValueError(
                f"{path.name}: a section begins with '### ANSWER wrong: …', 'right: …' or 'open: …', got {line!r}"
            )
        elif found:
            found[-1][2].append(line)
    if not found:
        raise ValueError(f"{path.name}: no line '### ANSWER wrong: …' or '### ANSWER right: …'")
    return [Written(path.stem, wanted, what, "\n".join(lines).strip() + "\n") for wanted, what, lines in found]


@cache
def _lectures() -> dict[str, Lecture]:
    return {id: lecture for lecture in map(Lecture, all_notebooks()) for id in lecture.answers}


def define(written: Written) -> Any:
    """What the answer's cell binds to the name that is asked for, in the lecture's student edition.

    Raises ValueError if it does not bind it: the code is not valid Python, fails, or defines something else.
    """
    lecture = _lectures()[written.exercise]
    notebook = lecture.notebook({written.exercise: Filled(written.source)})
    given = [
        {"number": number, "source": "".join(cell["source"]), "exercise": _answers(cell)}
        for number, cell in enumerate(notebook["cells"], 1)
        if cell["cell_type"] == "code"
    ]
    name, reading, namespace = lecture.answers[written.exercise], cells.parse_cells(given), {}
    answer = cells.find_answer(reading, written.exercise, name)
    if answer is None or not answer.written:
        raise ValueError(f"{written.exercise}: {written.what!r} does not define {name}: {reading.problems}")
    left = execution.run_cells(reading, namespace, answer=answer, before=lambda cell: None, skip=[])
    if name not in namespace:
        raise ValueError(f"{written.exercise}: {written.what!r} fails before it defines {name}: {left}")
    return namespace[name]


def _answers(cell: dict[str, Any]) -> str:
    solves = cell["metadata"].get("nbgrader", {}).get("solution")
    return cell["metadata"].get("course", {}).get("exercise", "") if solves else ""


def rows_of(path: Path, seeds: int = 5) -> Iterator[Row]:
    """A row for each answer of a file. Raises ValueError as `read_answers` does, or for a number of seeds beyond 100."""
    if not 0 <= seeds <= len(SEEDS):
        raise ValueError(f"seeds must be 0 to {len(SEEDS)}, got {seeds}")
    answers = read_answers(path)
    exercise = all_exercises()[path.stem]
    keys = [AnswerKey(exercise, seed) for seed in (0, *SEEDS[:seeds])]
    for written in answers:
        try:
            answer = define(written)
        except ValueError:
            yield Row(written.exercise, written.wanted, "not defined", f"0/{seeds}", "", written.what)
            continue
        found = [conclude(key, run_all(exercise, answer, key.cases)) for key in keys]
        passed = f"{sum(each.passed for each in found[1:])}/{seeds}"
        yield Row(written.exercise, written.wanted, _kind(found[0]), passed, _named(found[0]), written.what)


def _kind(found: Assessment) -> str:
    return next((verdict.kind for verdict in found.verdicts if not verdict.right), "right")


def _named(found: Assessment) -> str:
    sure = "" if found.diagnosis.certain else "?"
    return ", ".join(f"{each.name}{sure}" for each in found.diagnosis.misconceptions)


def summary(rows: Sequence[Row]) -> list[str]:
    """How many answers are judged as their writers expect, and how many of the wrong ones are named."""
    wrong, right, left = ([row for row in rows if row.wanted == each] for each in ("wrong", "right", "open"))
    named = sum(bool(row.named) for row in wrong)
    return [
        f"wrong: {sum(row.as_wanted for row in wrong)} of {len(wrong)} fail under check and every seed, {named} are named",
        f"right: {sum(row.as_wanted for row in right)} of {len(right)} pass under check and every seed",
        f"open: {sum(row.as_wanted for row in left)} of {len(left)} are judged alike by check and every seed",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the rows of all files of a folder, "!" before what is not as wanted; return 1 if there is such a row."""
    parser = argparse.ArgumentParser(description="Judge files of answers as check and the grader would.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("ids", nargs="*", help="exercises; all that have a file where none is named")
    parser.add_argument("--seeds", type=int, default=5, help="of the grading (default: 5)")
    parser.add_argument("--csv", type=Path, help="write the rows to this file too")
    given = parser.parse_args(argv)
    paths = [given.folder / f"{id}.py" for id in given.ids] or sorted(given.folder.glob("*.py"))
    rows: list[Row] = []
    for path in paths:
        for row in rows_of(path, given.seeds):
            mark = " " if row.as_wanted else "!"
            print(
                f"{mark} {row.exercise:<32} {row.wanted:<6} {row.check:<12} {row.passed:<5} {row.named:<28} {row.what}"
            )
            sys.stdout.flush()
            rows.append(row)
    print(*summary(rows), sep="\n")
    if given.csv:
        with given.csv.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([[field.name for field in fields(Row)], *map(astuple, rows)])
    return 0 if all(row.as_wanted for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
