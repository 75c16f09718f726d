"""Every method is held against the policy it should reach, which in a world of 40 answers is known."""

import pytest
import torch

from lib.generation import rollout
from lib.objectives import regularised_objective
from lib.training import FitSettings, fit
from lib.training.policy import PolicySettings, ppo, reinforce
from lib.training.preferences import batches_of, preference_loss
from lib.worlds.tiny_world import EOS_ID, LONGEST, tiny_world
from tests.nightly import by_day

BETA = 0.5
SETTINGS = {
    "iterations": 80,
    "prompts": 1,
    "samples": 128,
    "max_new_tokens": LONGEST,
    "learning_rate": 1e-2,
    "beta": BETA,
}


def share_left(world, model):
    """The regret of a model, as a share of the reference's."""
    return world.regret(model, beta=BETA) / world.regret(world.reference, beta=BETA)


def test_the_world_knows_all_its_answers(generator):
    world = tiny_world(seed=3)
    answers = rollout(world.reference, world.prompts, LONGEST, samples=500, eos_id=EOS_ID, generator=generator)
    found = world.index_of(answers)
    for row, index in enumerate(found.tolist()):
        written = answers.input_ids[row][answers.response_mask[row]].tolist()
        assert written == world.answers.input_ids[index][world.answers.response_mask[index]].tolist()
    frequencies = torch.bincount(found, minlength=len(world.rewards)) / len(found)
    spread = (world.reference_policy * (1 - world.reference_policy) / len(found)).sqrt()
    assert ((frequencies - world.reference_policy).abs() <= 4.5 * spread).all()
    assert torch.equal(world.score(answers), world.rewards[found])


def test_the_optimum_cannot_be_beaten(generator):
    world = tiny_world(seed=1)
    best = world.optimum(beta=BETA)

    def worth(policy):
        return regularised_objective(policy, world.reference_policy, world.rewards, beta=BETA)

    for _ in range(20):
        other = (best.log() + 0.3 * torch.randn(best.shape, generator=generator)).softmax(dim=0)
        assert worth(other) < worth(best)
    log_partition = (world.reference_policy * (world.rewards / BETA).exp()).sum().log()
    assert worth(best).item() == pytest.approx(BETA * log_partition.item(), abs=1e-5)


@pytest.mark.parametrize("seed", by_day(1, range(5)))
def test_reinforce_and_ppo_approach_the_optimum(unchecked, seed):
    world = tiny_world(seed=seed)
    settings = PolicySettings(**SETTINGS, seed=seed, epochs=2)
    policy = world.start()
    reinforce(policy, world.reference, world.score, world.prompts, settings, eos_id=EOS_ID, show_progress=False)
    assert share_left(world, policy) < 0.05
    policy = world.start()
    ppo(
        policy, world.value_model(seed=seed), world.reference, world.score, world.prompts, settings,
        eos_id=EOS_ID, show_progress=False,
    )  # fmt: skip
    assert share_left(world, policy) < 0.1


@pytest.mark.parametrize("seed", by_day(0, range(5)))
def test_dpo_comes_nearer_with_more_pairs(unchecked, seed):
    world = tiny_world(seed=seed)
    left = []
    for number in (300, 30_000):
        pairs = world.pairs(number, generator=torch.Generator().manual_seed(seed))
        policy = world.start()
        settings = FitSettings(steps=200, learning_rate=1e-2, weight_decay=0.0, seed=seed)
        fit(policy, preference_loss(world.reference, beta=BETA), batches_of(pairs, 256), settings, show_progress=False)
        left.append(share_left(world, policy))
    assert left[1] < left[0] and left[1] < 0.2


def test_bad_number():
    with pytest.raises(ValueError, match="number must be at least 1"):
        tiny_world().pairs(0)
