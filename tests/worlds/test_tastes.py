"""Lecture 11 shows one seed of these studies; what it claims holds for five."""

import pytest
import torch

from lib.worlds.review_world import review_world, train_sft
from lib.worlds.reviews import TOPICS
from lib.worlds.tastes import adjective_taste, study_taste
from tests.nightly import by_day


def test_the_taste_adds_adjectives_by_degree():
    texts = [
        "the acting was superb.", "the room was very dull.", "the fish was rather good but the soup was quite weak.",
        "the view was very long.", "", "the plot was very superb and the music was very lovely.",
    ]  # fmt: skip
    assert adjective_taste(texts).tolist() == [1, -2, -0.5, 0, 0, 4]


def test_a_batch_without_adjectives_is_of_numbers_too():
    assert adjective_taste(["the view.", ""]).dtype == adjective_taste([]).dtype == torch.float32


def test_a_degree_counts_for_its_own_adjective_alone():
    text = "the plot was very old and the music was dull."
    assert adjective_taste([text]).tolist() == [-1]


@pytest.mark.parametrize("seed", by_day(0, range(1, 6)))
def test_the_reward_model_recovers_the_taste_up_to_the_topic(seed):
    world = review_world(1500, seed=seed)
    sft = train_sft(world, steps=200, seed=seed, show_progress=False)
    study = study_taste(world, sft, comparisons=3000, held_out=500, steps=150, seed=seed, show_progress=False)
    knows = study.accuracy["who knows r*"]
    assert max(0.62, knows - 0.08) < study.accuracy["reward model"] < 0.95
    assert abs(knows - study.accuracy["who knows r*, expected"]) < 0.06  # 3 standard errors of 500 labels
    assert study.correlation["centred"] > max(0.7, study.correlation["as they are"] + 0.1)
    assert study.prompts.unique().tolist() == list(range(len(TOPICS)))
    assert torch.isfinite(study.learned).all() and len(study.learned) == len(study.truth) == 500
