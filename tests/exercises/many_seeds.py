"""Every known answer to every exercise, under many seeds; by hand: python -m tests.exercises.many_seeds [ids …]

The seed of a grader is drawn once and then meets a whole class. What one seed in a thousand gets wrong is
found here, and its seed goes into `FOUND` of test_every_exercise.py.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from lib.bench.classroom import Lecture
from lib.exercises import all_exercises
from lib.exercises.engine.checking import AnswerKey, conclude, run_all
from lib.exercises.engine.exercise import Exercise
from lib.grading.worker import cells, execution
from lib.lectures.notebooks import all_notebooks
from lib.progress import progress


@cache
def solutions() -> dict[str, Any]:
    """What the solution cell of each exercise defines, with the helpers of its lecture."""
    found = {}
    for lecture in map(Lecture, all_notebooks()):
        given = [
            {"number": number, "source": cell.source, "exercise": _answered(cell)}
            for number, cell in enumerate(lecture.solutions.cells, 1)
            if cell.cell_type == "code"
        ]
        for id, name in lecture.answers.items():
            reading, namespace = cells.parse_cells(given), {}
            answer = cells.find_answer(reading, id, name)
            execution.run_cells(reading, namespace, answer=answer, before=lambda cell: None, skip=[])
            found[id] = namespace[name]
    return found


def _answered(cell: Any) -> str:
    solves = cell.metadata.get("nbgrader", {}).get("solution")
    return cell.metadata.get("course", {}).get("exercise", "") if solves else ""


def complaints(exercise: Exercise, seed: int) -> Iterator[str]:
    """Which right answers fail under this seed, and which mistakes go unnoticed or by another's name."""
    key = AnswerKey(exercise, seed)
    right = {"the reference": exercise.reference, "the solution": solutions()[exercise.id]}
    right |= {f"accepted {number}": answer for number, answer in enumerate(exercise.accepts)}
    for name, answer in right.items():
        found = conclude(key, run_all(exercise, answer, key.cases))
        if not found.passed:
            yield f"{name} fails: {next(verdict.reason for verdict in found.verdicts if not verdict.right)}"
    for mistake in exercise.misconceptions:
        found = conclude(key, key.outcomes_of(mistake))
        if found.passed:
            yield f"{mistake.name} goes unnoticed"
        elif found.misconception is not mistake:
            yield f"{mistake.name} is taken for {found.misconception and found.misconception.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Try every known answer under many seeds.")
    parser.add_argument("ids", nargs="*", default=sorted(all_exercises()), help="exercises; all where none is named")
    parser.add_argument("--seconds", type=float, default=25, help="for each exercise")
    parser.add_argument("--begin", type=int, default=0, help="which seeds are drawn")
    given = parser.parse_args()
    known = all_exercises()
    if unknown := set(given.ids) - set(known):
        parser.error(f"no such exercise: {', '.join(sorted(unknown))}")
    draw = random.Random(given.begin)
    for id in progress(given.ids, description="exercises"):
        end, seeds, seen = time.monotonic() + given.seconds, 0, Counter()
        while time.monotonic() < end:
            seed, seeds = draw.getrandbits(63), seeds + 1
            for complaint in complaints(known[id], seed):
                name = complaint.split(":")[0]
                if not seen[name]:
                    print(f"{id}, seed {seed}: {complaint}", flush=True)
                seen[name] += 1
        print(f"{id}: {seeds} seeds, {dict(seen) or 'all as it should be'}", flush=True)


if __name__ == "__main__":
    main()
