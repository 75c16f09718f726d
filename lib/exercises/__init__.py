"""Exercises whose checks recognise common mistakes: `check` an answer, ask for a `hint`.

And predictions: `predict` a result before you see it, then `compare`.

`engine/` builds, runs, compares and diagnoses. The modules of `lectureNN/` define the exercises of lecture NN as
`EXERCISES`.
"""

from lib.exercises.engine.checking import WrongAnswer, assess, check, hint
from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Case, Exercise, Made, Misconception, case
from lib.exercises.engine.predicting import compare, predict
from lib.exercises.engine.registry import all_exercises, get

__all__ = [
    "Case", "Exercise", "Made", "Misconception", "Tolerance", "WrongAnswer",
    "all_exercises", "assess", "case", "check", "compare", "get", "hint", "predict",
]  # fmt: skip
