"""All public functions of `lib` that take a `seed`, or settings with one: the same seed, the same result, bit by bit.

They are found as those with a `generator` are, see test_generators. Each needs a line in CALLS below.
"""

import functools

import numpy as np
import pytest
import torch

from lib.evaluation import bradley_terry  # noqa: F401 (imported by lib.worlds otherwise while a test counts draws)
from lib.exercises.engine.exercise import case
from lib.exercises.engine.registry import get
from lib.models import RewardModel, load_small
from lib.text import train_bpe, train_wordpiece
from lib.training import FitSettings
from lib.training.policy import PolicySettings
from lib.training.recipes import Recipe
from lib.worlds.fine_tuning import drawn
from lib.worlds.review_world import review_world, small_decoder
from lib.worlds.swapped import swap_finder
from lib.worlds.swapped_runs import Way
from lib.worlds.wikipedia_questions import QuestionAnswer, as_demonstrations
from tests.test_generators import check, decoder, found, imported, seeded
from tests.training.test_masking_design import TEXTS, TINY
from tests.worlds.tiny_world import EOS_ID, LONGEST, tiny_world

QUIET = {"show_progress": False}
ASKED = [QuestionAnswer(f"What is {word}?", f"{word} is an art.", word) for word in ("Chess", "Dance", "Rugby")]


@functools.cache
def reviews():
    world = review_world(8)
    return world, small_decoder(world.tokenizer.vocab_size).eval()


def wordpieces():
    return train_wordpiece(TEXTS["train"], 60)


def pairs():
    return tiny_world().pairs(20, generator=seeded())


def bootstrapped(f, seed):
    return f(lambda x: x.mean(), [np.arange(9.0)], samples=20, seed=seed)


def fitted_surface(f, seed):
    N, D, loss = imported("lib.bench.accounting", "synthetic_runs")(12, 0)
    return vars(f(N, D, loss, starts=4, seed=seed)) | {"law": repr(f(N, D, loss, starts=4, seed=seed).law)}


def outcomes(assessment):
    return [vars(outcome) for outcome in assessment.outcomes]


def cases(exercise):
    return [(c.what, c.args, c.kwargs) for c in exercise]


def random_answer(*args):
    return torch.rand(3)


def policy_run(f, seed, **more):
    world = tiny_world()
    policy = world.start()
    models = (policy, world.value_model()) if more else (policy,)
    settings = PolicySettings(iterations=2, prompts=4, samples=3, max_new_tokens=LONGEST, epochs=1, seed=seed)
    history = f(*models, world.reference, world.score, torch.arange(3)[:, None], settings, eos_id=EOS_ID, **QUIET)
    return history, policy


def fitted(f, seed):
    model = decoder(dropout=0.2)
    losses = f(model, lambda m, ids: m(ids).square().mean(), lambda g: torch.randint(5, 29, (2, 6), generator=g),
               FitSettings(steps=2, seed=seed), **QUIET).loss  # fmt: skip
    return losses, model


def built(f, seed):
    recipe = Recipe("tiny", "gpt", FitSettings(steps=1, seed=seed), d_model=16, num_layers=1, num_heads=2, length=4)
    return f(recipe, train_bpe(["a text of some words"] * 9, 300), ["some words"] * 9, ["a text"] * 9).model


def fine_tuned(f, seed):
    demonstrations = as_demonstrations(ASKED, load_small("gpt-wiki-small").tokenizer)
    model, _ = f(decoder(vocab_size=4096, max_positions=64), demonstrations, steps=2, seed=seed, **QUIET)
    return model


def four():
    return drawn(16, 0).take(slice(4))


CALLS = {  # "module.function" -> its result for a seed
    "accounting.synthetic_runs": lambda f, s: list(f(5, s)),
    "bandit.train_bandit": lambda f, s: f(torch.arange(3.0), steps=3, samples=4, learning_rate=0.1, seed=s),
    "checking.AnswerKey": lambda f, s: [vars(outcome) for outcome in f(get("dpo.dpo_loss"), s).expected],
    "checking.assess": lambda f, s: outcomes(f(get("dpo.dpo_loss"), get("dpo.dpo_loss").reference, s)),
    "exercise.Exercise.build_cases": lambda f, s: cases(f(get("dpo.dpo_loss"), s)),
    "fine_tuning.classifier": lambda f, s: f("full", seed=s),
    "fine_tuning.drawn": lambda f, s: f(16, s),
    "fine_tuning.read_with": lambda f, s: f(
        "last two layers", four(), 1e-3, epochs=1, warm_up=0.0, seed=s, held_out=four()
    ),
    "fine_tuning.train_classifier": lambda f, s: f("last two layers", four(), 1e-3, seed=s),
    "made.encodes_pairs": lambda f, s: f(s)("ab"),
    "made.draws_in_turn": lambda f, s: list(map(f(s), [[0.2, 0.3, 0.5]] * 20)),
    "made.log_prob_of_sequence": lambda f, s: f(4, s)([1, 2]),
    "made.log_probs_in_window": lambda f, s: f(4, 3, s)(torch.tensor([1, 2])),
    "made.next_probs_of_calls": lambda f, s: f(4, s)([1, 2]),
    "made.next_probs_of_prefix": lambda f, s: f(4, s)([1, 2]),
    "made.token_policy": lambda f, s: f(2, 3, s)(torch.ones(3, dtype=torch.float64)),
    "masking_design.design_run": lambda f, s: {
        n: v for n, v in f("15 / 15", s, wordpieces(), TEXTS, TINY).items() if n != "seconds"
    },
    "resampling.bootstrap": bootstrapped,
    "resampling.share_by_group": lambda f, s: f(range(9), [9] * 9, range(9), samples=20, seed=s),
    "review_world.review_world": lambda f, s: f(9, seed=s).demonstrations,
    "review_world.small_decoder": lambda f, s: f(20, seed=s),
    "review_world.train_reward_model": lambda f, s: f(decoder(vocab_size=4), pairs(), steps=2, seed=s, **QUIET),
    "review_world.train_sft": lambda f, s: f(reviews()[0], steps=2, seed=s, **QUIET),
    "roster.student_seed": lambda f, s: f(s, "ada"),
    "running.run_answer": lambda f, s: vars(f(random_answer, case("nothing"), seed=s)),
    "surface.fit_loss_surface": fitted_surface,
    "swapped.swap_finder": lambda f, s: f("lora", 2, "q", seed=s),
    "swapped.train_swap_finder": lambda f, s: f(swap_finder("head"), 0.01, s, steps=2),
    "swapped_runs.run": lambda f, s: {n: v for n, v in f(Way("lora", 2, "q", 2), 0.01, s).items() if n != "seconds"},
    "wikipedia_questions.fine_tune": fine_tuned,
}
BY_SETTINGS = {  # whose settings hold the seed; `train_point` is in tests/training/test_scaling
    ("lib.training.fit", "fit"): fitted,
    ("lib.training.policy", "ppo"): lambda f, s: policy_run(f, s, value=True),
    ("lib.training.policy", "reinforce"): policy_run,
    ("lib.training.recipes", "build"): built,
    ("lib.worlds.bandit", "learning_curves"): lambda f, s: f(torch.arange(3.0), seeds=range(s, s + 2), steps=2),
}
ELSEWHERE = {  # where it is held
    "cases.CaseSource.key": "the secret cases of a seed: tests/grading/judging",
    "classroom.make_class": "a benchmark's own class; its ratios are of one seed",
    "fine_tuning_runs.run": "hands it to drawn and read_with: tests/worlds/test_fine_tuning.py",
    "fine_tuning_runs.name_of": "writes the seed into a name: tests/worlds/test_fine_tuning.py",
    "graded.Graded.text": "writes the seed into a text: tests/grading/assignment",
    "release.files": "as Graded.text",
    "release.write_release": "as Graded.text",
    "seeded.SeededCells.run": "hands it to a lecture: tests/course/test_seeds.py",
}
FOUND = found("seed")


def test_every_function_with_a_seed_is_called_here():
    known = CALLS.keys() | ELSEWHERE.keys()
    assert sorted(FOUND.keys() - known) == [], "these need a line in CALLS"
    assert sorted(known - FOUND.keys()) == [], "these are no more"


@pytest.mark.parametrize("key", sorted(CALLS))
def test_randomness_comes_from_the_seed_alone(key):
    check(key, imported(*FOUND[key]), CALLS[key], lambda seed: seed)


@pytest.mark.parametrize("place", BY_SETTINGS, ids="{0[1]}".format)
def test_randomness_comes_from_the_seed_in_the_settings_alone(place):
    check(place[1], imported(*place), BY_SETTINGS[place], lambda seed: seed)


def test_a_reward_model_begins_with_a_head_of_its_seed():
    """Without a step the two models of one seed differ from those of another: the head is drawn, too."""
    world, sft = reviews()
    heads = [RewardModel(sft, generator=seeded(seed)).output.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
