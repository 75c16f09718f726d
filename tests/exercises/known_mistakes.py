"""What each known mistake answers, beside the hint that was written for it.

    python -m tests.exercises.known_mistakes

A mistake whose code has changed still agrees with itself: it fails, and is recognised as what it is. But its hint was
written for another answer, and a student who does what the hint describes gets none. So `known_mistakes.csv` has a row
for each, and whoever changes a mistake or its hint reads both together, then writes the rows anew by the command above.

A row says by which of the notebook's cases it fails ("1 0 1": the first and the third), one number that stands for all
that it returns there, and a checksum of the hint.
"""

import csv
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lib.exercises import all_exercises
from lib.exercises.engine.checking import AnswerKey
from lib.exercises.engine.exercise import Misconception
from lib.exercises.engine.running import Outcome
from lib.exercises.engine.values import from_plain
from lib.files import atomic_write
from lib.progress import progress

FILE = Path(__file__).with_suffix(".csv")
COLUMNS = ("exercise", "mistake", "fails", "result", "hint")


def row(key: AnswerKey, mistake: Misconception) -> dict[str, str]:
    """The row of one known mistake."""
    outcomes = key.outcomes_of(mistake)
    verdicts = key.verdicts(outcomes)
    wrong = [i for i, verdict in enumerate(verdicts) if not verdict.right]
    by_chance = key.exercise.decide is not None  # draws: only their verdicts are said
    total = 0.0 if by_chance else sum((1 + i) * _summary(outcomes[i]) for i in wrong)
    return {
        "exercise": key.exercise.id,
        "mistake": mistake.name,
        "fails": " ".join(str(int(not verdict.right)) for verdict in verdicts),
        "result": f"{total:.6g}",
        "hint": f"{zlib.crc32(mistake.hint.encode()):08x}",
    }


def same(found: dict[str, str], stored: dict[str, str]) -> bool:
    """Whether two rows agree; numbers may differ by what other machines make of the same sums."""
    exact = all(found[name] == stored[name] for name in COLUMNS if name != "result")
    return exact and math.isclose(float(found["result"]), float(stored["result"]), rel_tol=1e-3, abs_tol=1e-3)


def stored_rows() -> dict[tuple[str, str], dict[str, str]]:
    """The rows of the file, by exercise and mistake."""
    with open(FILE, newline="", encoding="utf-8") as file:
        return {(each["exercise"], each["mistake"]): each for each in csv.DictReader(file)}


def _summary(outcome: Outcome) -> float:
    """One number for all that was returned: each value counts by its place, large ones by their logarithm."""
    if outcome.status != "returned":
        return _text(f"{outcome.status} {outcome.message.split(':')[0]}")
    gradients = outcome.gradient if isinstance(outcome.gradient, (list, tuple)) else [str(outcome.gradient)]
    values = [*_numbers(from_plain(outcome.value)), *(n for g in gradients for n in _numbers(from_plain(g)))]
    weighed = sum((1 + place % 7) * value for place, value in enumerate(values))
    return weighed / max(len(values), 1) + 0.01 * len(values) + 0.1 * len(outcome.mutated)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, torch.Tensor):
        yield from (_squashed(number) for number in value.detach().double().flatten().tolist())
    elif isinstance(value, dict):
        yield from (number for pair in value.items() for part in pair for number in _numbers(part))
    elif isinstance(value, (list, tuple, set)):
        yield from (
            number
            for part in (sorted(value, key=str) if isinstance(value, set) else value)
            for number in _numbers(part)
        )
    elif isinstance(value, (int, float)):
        yield _squashed(float(value))
    else:
        yield _text(str(value))


def _squashed(number: float) -> float:
    if math.isnan(number):
        return 77.7
    return math.copysign(min(math.log1p(abs(number)), 99.0), number)


def _text(words: str) -> float:
    return zlib.crc32(words.encode()) % 1000 / 100


def main() -> int:
    """Write the rows of all known mistakes anew."""
    exercises = all_exercises()
    with atomic_write(FILE) as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for exercise in progress(exercises.values(), description="known mistakes"):
            key = AnswerKey(exercise, 0)
            writer.writerows(row(key, mistake) for mistake in exercise.misconceptions)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
