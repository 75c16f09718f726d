"""Exercises whose checks know the mistakes: `check` an answer, ask for a `hint`.

One module per notebook holds its exercises in a tuple `EXERCISES`; everything else here is the engine.
"""

from lib.exercises.compare import Tolerance
from lib.exercises.engine import WrongAnswer, assess, check, hint
from lib.exercises.exercise import Case, Exercise, Made, Misconception, case
from lib.exercises.registry import all_exercises, get

__all__ = [
    "Case", "Exercise", "Made", "Misconception", "Tolerance", "WrongAnswer",
    "all_exercises", "assess", "case", "check", "get", "hint",
]  # fmt: skip
