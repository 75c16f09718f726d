"""The promise of every exercise: right answers pass, and each mistake is recognised and gets its own
words."""

import inspect
import itertools
from functools import cache

import pytest

from lib.exercises import all_exercises
from lib.exercises.engine.checking import AnswerKey, conclude, run_all
from lib.exercises.engine.values import from_plain
from lib.lectures.lint.exercises import MISCONCEPTIONS
from tests.exercises import known_mistakes, many_seeds

EXERCISES = all_exercises()
MISTAKES = [(id, m.name) for id, exercise in EXERCISES.items() for m in exercise.misconceptions]


@cache
def key(id):
    """What is known of an exercise with the notebook's cases, found out once for all answers. Cases that a grader draws
    are tried by night, in tests/grading."""
    return AnswerKey(EXERCISES[id], 0)


def assessed(id, answer):
    return conclude(key(id), run_all(EXERCISES[id], answer, key(id).cases))


@pytest.mark.parametrize("id", EXERCISES)
def test_has_what_an_exercise_needs(id):
    exercise = EXERCISES[id]
    assert len(exercise.misconceptions) >= MISCONCEPTIONS and exercise.hints and exercise.title
    assert 1 <= exercise.points <= 10 and 1 <= exercise.minutes <= 40
    if not exercise.asks_for_value:
        assert len(exercise.build_cases()) >= 2, "one case and its edge case at least"


@pytest.mark.parametrize("id", EXERCISES)
def test_right_answers_pass(id):
    exercise = EXERCISES[id]
    for answer in (exercise.reference, *exercise.accepts):
        found = assessed(id, answer)
        assert found.passed, [v.reason for v in found.verdicts if not v.right]


@pytest.mark.parametrize("id, name", MISTAKES)
def test_each_mistake_is_recognised_as_itself(id, name, unchecked):
    exercise = EXERCISES[id]
    mistake = next(m for m in exercise.misconceptions if m.name == name)
    found = assessed(id, mistake.answer)
    assert not found.passed, "this mistake goes unnoticed"
    taken_for = found.misconception and found.misconception.name
    assert found.misconception is mistake, f"it is taken for {taken_for!r}"


STORED = known_mistakes.stored_rows()


@pytest.mark.parametrize("id", EXERCISES)
def test_each_mistake_answers_as_when_its_hint_was_written(id, unchecked):
    """Read mistake and hint together before `python -m tests.exercises.known_mistakes` writes the rows anew."""
    found = {m.name: known_mistakes.row(key(id), m) for m in EXERCISES[id].misconceptions}
    stored = {name: each for (exercise, name), each in STORED.items() if exercise == id}
    assert list(found) == list(stored)
    assert [each for name, each in found.items() if not known_mistakes.same(each, stored[name])] == []


def test_no_row_is_of_an_exercise_that_is_gone():
    assert {exercise for exercise, _ in STORED} == set(EXERCISES)


@pytest.mark.parametrize("change, agrees", [
    ({"result": "10.000001"}, True), ({"result": "10.1"}, False), ({"hint": "00000000"}, False), ({"fails": "1 1"}, False),
])  # fmt: skip
def test_what_counts_as_the_same_row(change, agrees):
    stored = {"exercise": "a", "mistake": "b", "fails": "0 1", "result": "10", "hint": "12345678"}
    assert known_mistakes.same(stored | change, stored) is agrees


GRADIENTS = {
    "attention.attention": ("q", "k", "v"),
    "attention.multi_head": ("x", "W_q", "W_k", "W_v", "W_o"),
    "autoregressive.last_token": ("hidden",),
    "autoregressive.loss": ("logits",),
    "blocks.decoder_block": ("x", "memory"),
    "contexts.around": ("forward", "backward"),
    "dpo.dpo_loss": ("chosen", "rejected"),
    "lora.forward": ("x", "A", "B"),
    "luce.ranking_loss": ("rewards",),
    "mlm.loss": ("logits",),
    "mlm.slot_probabilities": ("E", "H"),
    "peft.soft_prompt": ("prompt",),
    "reward.bradley_terry_loss": ("chosen", "rejected"),
    "sft.sft_loss": ("logits",),
    "skipgram.loss": ("centres", "contexts", "negatives"),
    "softmax.softmax": ("z",),
}
"""With respect to what each exercise is differentiated, written down once more: an exercise that drops a name would
let answers pass that train nothing."""


def test_gradients_are_asked_with_respect_to_these_inputs():
    assert {id: tuple(exercise.gradient) for id, exercise in EXERCISES.items() if exercise.gradient} == GRADIENTS


@pytest.mark.parametrize("id, name", [(id, name) for id, names in GRADIENTS.items() for name in names])
def test_an_answer_that_is_cut_off_from_one_input_fails(id, name):
    exercise = EXERCISES[id]

    def cut(*args, **kwargs):
        given = inspect.signature(exercise.reference).bind(*args, **kwargs)
        value = given.arguments[name]
        given.arguments[name] = [part.detach() for part in value] if type(value) in (list, tuple) else value.detach()
        return exercise.reference(*given.args, **given.kwargs)

    kinds = [verdict.kind for verdict in assessed(id, cut).verdicts]
    assert "gradient" in kinds and set(kinds) <= {"gradient", "right"}


def lazy_answers(exercise, expected):
    """What somebody hands in who has understood nothing: a stub, the input as it came, one and the same
    thing."""

    def stub(*args, **kwargs):
        raise NotImplementedError("write your answer here")

    constants = [None, True, 0, 0.0, 42, ""]
    if exercise.asks_for_value:
        return [..., *constants]
    constants += [from_plain(outcome.value) for outcome in expected]
    always = [lambda *args, value=value, **kwargs: value for value in constants]
    return [stub, lambda *args, **kwargs: args[0] if args else next(iter(kwargs.values()), None), *always]


@pytest.mark.parametrize("id", EXERCISES)
def test_lazy_answers_fail(id):
    key = AnswerKey(EXERCISES[id])
    for answer in lazy_answers(key.exercise, key.expected):
        verdicts = key.verdicts(run_all(key.exercise, answer, key.cases))
        assert not all(verdict.right for verdict in verdicts)


# Seeds under which a right answer failed or a mistake was not seen, before their cases were mended.
FOUND = [
    *itertools.product(
        ["mlm.slot_probabilities", "quantization.outlier_product",
         "quantization.int8_product", "sft.sft_loss"],
        [3553260803050964941, 7960778426191620467, 2356064425258417221, 7453195843580018650],
    ),
    ("attention.attention", 2123633555255606852), ("attention.attention", 1111528934077257159),
    ("autoregressive.perplexity", 796721211803079755), ("lora.forward", 4541947343513110877),
    ("ranking.best_accuracy", 3591006804434793201),
    ("mlm.slot_probabilities", 7709841182976371485),
]  # fmt: skip


@pytest.mark.parametrize("id, seed", FOUND)
def test_no_seed_hides_a_mistake_or_refuses_a_right_answer(id, seed):
    assert list(many_seeds.complaints(EXERCISES[id], seed)) == []
