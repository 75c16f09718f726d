"""Finds exercises: `lib/exercises/lectureNN/<module>.py` defines `EXERCISES`, whose ids begin with its name."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path

import lib.exercises
from lib.exercises.engine.exercise import Exercise
from lib.names import nearest

RETIRED: tuple[str, ...] = (
    "softmax.argmax_onehot", "start.slide_count", "start.classify_era", "growth.months_between",
    "growth.doubling_time", "masking.whole_words", "masking.expected_counts", "counting.mixture_epochs",
    "ppo.kl_penalised_reward", "ppo.clip_loss", "lora.merged", "lora.trained", "peft.checkpoint",
    "peft.answer_labels", "memory.which_recipes", "budget.gpus_needed", "reinforce.policy_gradient",
    "credit.surrogate", "ranking.pairs_from_ranking", "reward.loss_gradient", "reward.centre_rewards",
    "quantization.outlier_columns", "scaling.data_multiplier", "online.log_sum_exp", "credit.rewards_to_go",
    "sft.expected_cost", "wall.parse_groups",
)  # fmt: skip
"""Ids of exercises that the course once had. An id never changes and is never given again; CHANGELOG.md says when one
goes, and why."""


@cache
def modules() -> dict[str, str]:
    """The modules of all lectures by name, in alphabetical order: {"mlm": "lib.exercises.lecture04.mlm", …}.

    Raises ValueError if two lectures have a module with the same name, because ids begin with it.
    """
    found: dict[str, str] = {}
    for lecture in pkgutil.iter_modules(lib.exercises.__path__, "lib.exercises."):
        if lecture.name.startswith("lib.exercises.lecture"):
            folder = [str(Path(lib.exercises.__path__[0]) / lecture.name.rpartition(".")[2])]
            for info in pkgutil.iter_modules(folder):
                if info.name in found:
                    raise ValueError(f"{lecture.name}.{info.name}: {found[info.name]} has this name already")
                found[info.name] = f"{lecture.name}.{info.name}"
    return dict(sorted(found.items()))


@cache
def exercises_of(module: str) -> dict[str, Exercise]:
    """The exercises of one module by id, in the order of the notebook; the module is imported on first use.

    A module without `EXERCISES` only supports another module and has no exercises.
    Raises ValueError if an id does not begin with the module's name, or is repeated.
    """
    found: dict[str, Exercise] = {}
    for exercise in getattr(importlib.import_module(modules()[module]), "EXERCISES", ()):
        if exercise.id.split(".")[0] != module:
            raise ValueError(f"{modules()[module]}: the id {exercise.id!r} must begin with '{module}.'")
        if exercise.id in found:
            raise ValueError(f"{modules()[module]}: the id {exercise.id!r} is used twice")
        found[exercise.id] = exercise
    return found


def all_exercises() -> dict[str, Exercise]:
    """Every exercise of the course by id."""
    return {id: exercise for module in modules() for id, exercise in exercises_of(module).items()}


def get(id: str) -> Exercise:
    """The exercise with this id; only its own module is imported.

    Raises TypeError unless `id` is a string, and KeyError if there is no such exercise (with the nearest id) or it is retired.
    """
    if not isinstance(id, str):
        raise TypeError(f"id must be the exercise's id, like 'mlm.mask_tokens', got a {type(id).__name__}")
    module = id.split(".")[0]
    if module in modules() and id in exercises_of(module):
        return exercises_of(module)[id]
    raise UnknownExercise(id, list(all_exercises()))


class UnknownExercise(KeyError):
    """There is no exercise with this id; the message names the nearest ones, or says that it is retired."""

    def __init__(self, id: str, known: list[str]) -> None:
        super().__init__(id)
        self.message = f"there is no exercise {id!r}; {nearest(id, known, most=3)}"
        if id in RETIRED:
            self.message = f"the exercise {id!r} is retired: CHANGELOG.md says when, and why"

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return self.message
