"""The recipes of the cases: a grader can build every one of them without loading a single exercise."""

import subprocess
import sys

import pytest
import torch

from lib.evaluation import judge_probability
from lib.exercises import Made, all_exercises
from lib.exercises.engine import made, registry
from lib.exercises.engine.running import copy_inputs, describe_inputs

EXERCISES = all_exercises()
WITHOUT_EXERCISES = """
import sys
from lib.exercises.engine import made, running
assert not [name for name in sys.modules if name in {modules!r}]
"""


def recipes_in(value):
    if type(value) is Made:
        yield value
        value = value.args
    if type(value) is dict:
        value = list(value.values())
    if type(value) in (list, tuple):
        for entry in value:
            yield from recipes_in(entry)


def recipes(exercise, seed):
    return [recipe for case in exercise.build_cases(seed) for recipe in recipes_in((case.args, case.kwargs))]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("id", [id for id, exercise in EXERCISES.items() if not exercise.asks_for_value])
def test_recipes_are_functions_of_one_module_and_plain_data(id, seed):
    for recipe in recipes(EXERCISES[id], seed):
        assert getattr(made, recipe.make.__name__) is recipe.make
        assert recipe.make.__module__ == made.__name__ and not recipe.make.__name__.startswith("_")
        assert not list(recipes_in(recipe.args)), "a recipe in a recipe"
        copy_inputs(recipe.args)  # refuses what is not plain data


def test_every_recipe_of_the_module_is_used():
    used = {recipe.make for exercise in EXERCISES.values() for recipe in recipes(exercise, seed=0)}
    mine = [value for value in vars(made).values() if getattr(value, "__module__", "") == made.__name__]
    public = {value for value in mine if not value.__name__.startswith("_")}
    assert public and public == used


def test_recipes_are_built_without_loading_an_exercise():
    program = WITHOUT_EXERCISES.format(modules=set(registry.modules().values()))
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_recipe_may_not_be_given_an_object():
    with pytest.raises(TypeError, match="plain data, generators or Made recipes, got a object"):
        copy_inputs(Made(made.reads_by_pattern, (object(),)))


def test_positions_read_what_the_pattern_says():
    pattern = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 0]])
    for cancelling in (False, True):
        f = made.reads_by_pattern(pattern.tolist(), cancelling)
        slopes = torch.autograd.functional.jacobian(f, torch.ones(3, 2))  # (T, 2, T, 2)
        assert torch.equal((slopes != 0).any(dim=3).any(dim=1), pattern.bool())
        assert bool((slopes.sum(dim=(1, 3)) == 0).all()) is cancelling


def test_both_language_models_are_the_same_model():
    next_probs, log_prob = made.next_probs_of_prefix(4, seed=7), made.log_prob_of_sequence(4, seed=7)
    ids = [2, 0, 0, 3]
    steps = [torch.tensor(next_probs(ids[:t]))[token].log() for t, token in enumerate(ids)]
    assert log_prob(ids) == pytest.approx(sum(steps).item(), rel=1e-6)
    assert next_probs([0, 1]) != next_probs([1, 0])


def test_the_judge_is_the_one_of_lib():
    a, b = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    ours = made.judge_with_bias(0.7, 2.0)(a, b)
    torch.testing.assert_close(ours, judge_probability(a, b, position_bias=0.7, temperature=2.0))


def test_an_optimizer_has_taken_its_steps():
    optimizer = made.used_optimizer("SGD", torch.bfloat16, 2, {"momentum": 0.9})
    frozen = [p for group in optimizer.param_groups for p in group["params"] if not p.requires_grad]
    assert len(frozen) == 1 and frozen[0] not in optimizer.state and len(optimizer.state) == 4
    assert all(p.dtype is torch.bfloat16 for group in optimizer.param_groups for p in group["params"])
    assert not made.used_optimizer("Adam", torch.float32, 0, {}).state
    kept = [entry["momentum_buffer"] for entry in made.optimizer_with_none().state.values()]
    assert [None if value is None else value.dim() for value in kept] == [2, None, 2, None]


def test_an_optimizer_in_groups_keeps_what_was_freed_or_frozen_since():
    optimizer = made.optimizer_in_groups()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    assert [p.requires_grad for p in parameters] == [False, False, True, True, True, True]
    assert all(p.grad is None and optimizer.state[p]["exp_avg"].shape == p.shape for p in parameters)
    assert [next(iter(optimizer.state[p].values())) is None for p in parameters] == [False, True] * 3


def test_a_policy_has_a_log_probability_for_every_token():
    assert made.token_policy(2, 4, seed=1)(torch.zeros(3, dtype=torch.float64)).shape == (2, 4)


def test_a_recipe_is_told_to_the_student_by_its_name():
    exercise = EXERCISES["judge.debiased_preference"]
    lines = describe_inputs(exercise.reference, exercise.build_cases()[0])
    assert lines[0] == "judge = judge_with_bias(1, 1)"


def test_what_is_read_faintly_or_in_the_second_output_alone():
    slopes = torch.autograd.functional.jacobian(made.reads_faintly(), torch.ones(3, 2))
    assert torch.allclose(slopes[2, :, 0], 1e-3 * torch.eye(2)) and torch.allclose(slopes[2, :, 2], torch.eye(2))
    assert not slopes[1, :, 2].any() and torch.allclose(slopes[0, :, 0], 1.001 * torch.eye(2))
    slopes = torch.autograd.functional.jacobian(made.reads_in_second_output(), torch.ones(3, 2))
    assert not slopes[:, 0].any() and [int(slopes[t, 1].any(dim=1).nonzero()) for t in range(3)] == [2, 0, 1]
    slopes = torch.autograd.functional.jacobian(made.reads_one_number(1, 0), torch.ones(3, 2))
    assert slopes.nonzero().tolist() == [[0, 1, 2, 0], [1, 1, 0, 0], [2, 1, 1, 0]]


def test_a_model_that_counts_its_calls_begins_anew_when_it_is_made():
    rows = [made.next_probs_of_prefix(4, seed)([1, 3]) for seed in (6, 7)]
    for _ in range(2):
        next_probs = made.next_probs_of_calls(4, 5)
        assert [next_probs([1, 3]) for _ in range(2)] == rows


def test_a_model_that_counts_its_calls_refuses_one_too_many():
    next_probs = made.next_probs_of_calls(4, 5, 1)
    assert next_probs([1, 3]) == made.next_probs_of_prefix(4, 6)([1, 3])
    with pytest.raises(RuntimeError, match="called 2 times, but only 1 new tokens may be written"):
        next_probs([1, 3])


def test_steps_go_up_by_one_and_begin_anywhere():
    next_probs = made.next_probs_of_steps(4)
    assert next_probs([]) == [0.25] * 4 and next_probs([1, 3]) == [0.5, 0, 0, 0.5]


def test_an_answer_is_likely_by_its_own_features():
    theta = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    log_probs = made.token_policy(2, 3, seed=1)(theta)
    features = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_hand = [[-(1 + (-(f * theta).sum()).exp()).log().item() for f in row] for row in features]
    assert log_probs.tolist() == [pytest.approx(row) for row in by_hand]
