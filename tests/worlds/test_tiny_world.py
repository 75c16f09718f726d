"""Every method is held against the policy it should reach, which in a world of 40 answers is known."""

import pytest
import torch

from lib.generation import Rollout, rollout
from lib.objectives import regularised_objective
from lib.training import FitSettings, fit
from lib.training.policy import PolicySettings, ppo, reinforce
from lib.training.preferences import batches_of, preference_loss
from tests.nightly import by_day
from tests.worlds.tiny_world import EOS_ID, LONGEST, tiny_world

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


def test_regret_is_beta_times_the_divergence_from_the_best():
    world = tiny_world(seed=2)
    for beta in (0.5, 2):
        policy, best = world.policy(world.reference), world.optimum(beta=beta)
        divergence = (policy * (policy / best).log()).sum().item()
        assert world.regret(world.reference, beta=beta) == pytest.approx(beta * divergence, rel=1e-4)
    torch.testing.assert_close(world.policy(world.reference), world.reference_policy)


def test_a_pair_has_two_answers_chosen_by_their_rewards(generator):
    """The pairs of the two likeliest answers: who wins by Bradley and Terry, whichever was drawn first."""
    world = tiny_world(seed=1)
    pairs = world.pairs(20_000, generator=generator)
    won, lost = world.index_of(pairs.chosen), world.index_of(pairs.rejected)
    assert not (won == lost).any() and len(won) == 20_000
    a, b = world.reference_policy.topk(2).indices.tolist()
    ahead, behind = ((won == a) & (lost == b)).sum().item(), ((won == b) & (lost == a)).sum().item()
    p, n = torch.sigmoid(world.rewards[a] - world.rewards[b]).item(), ahead + behind
    assert n > 100 and abs(ahead / n - p) < 4.5 * (p * (1 - p) / n) ** 0.5
    pi = world.reference_policy.double()
    drawn = sum((pi[x] * pi[y] / (1 - pi[x])).item() for x, y in ((a, b), (b, a)))  # the second without the first
    assert abs(n / 20_000 - drawn) < 4.5 * (drawn * (1 - drawn) / 20_000) ** 0.5


def test_what_is_trained_is_a_copy():
    world = tiny_world()
    policy, value = world.start(), world.value_model(seed=3)
    with torch.no_grad():
        for parameter in (*policy.parameters(), *value.parameters()):
            parameter.add_(1)
    assert torch.equal(world.reference.tokens.weight, tiny_world().reference.tokens.weight)
    assert not torch.equal(world.rewards, tiny_world(seed=1).rewards)
    assert not world.policy(policy).requires_grad and not torch.equal(world.policy(policy), world.reference_policy)
    first, again, other = (world.value_model(seed=seed).output.weight for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_an_answer_is_known_whatever_it_is_padded_with():
    world = tiny_world()
    end = EOS_ID
    wide = Rollout(
        torch.tensor([[0, 1, end, end], [0, 2, 1, end]]), torch.ones(2, 4).bool(),
        torch.tensor([[False, True, True, False], [False, True, True, True]]),
    )  # fmt: skip
    narrow = Rollout(wide.input_ids[:1, :3], wide.attention_mask[:1, :3], wide.response_mask[:1, :3])
    assert world.index_of(narrow).tolist() == world.index_of(wide)[:1].tolist()
    assert world.score(wide).tolist() == world.rewards[world.index_of(wide)].tolist()
    assert world.index_of(wide)[0] != world.index_of(wide)[1]
