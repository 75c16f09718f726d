"""The loops of REINFORCE and PPO, one batch at a time; what they reach is held against the optimum in test_tiny_world."""

from dataclasses import replace

import pytest
import torch

from lib.objectives import kl_penalised_reward, reinforce_loss, rloo
from lib.training.policy import PolicySettings, ppo, reinforce
from lib.training.preferences import log_probs_of
from lib.training.tiny_world import EOS_ID, LONGEST, tiny_world

ONE = PolicySettings(iterations=1, prompts=1, samples=6, max_new_tokens=LONGEST, learning_rate=1e-3, beta=0.5, epochs=1)


@pytest.fixture
def world():
    return tiny_world(seed=4)


def train(world, settings, how="reinforce", score=None, gold_score=None):
    policy = world.start()
    arguments = (world.reference, score or world.score, world.prompts, settings)
    if how == "ppo":
        history = ppo(policy, world.value_model(), *arguments, eos_id=EOS_ID, gold_score=gold_score, show_progress=False)
    else:
        history = reinforce(policy, *arguments, eos_id=EOS_ID, gold_score=gold_score, show_progress=False)
    return policy, history


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_a_run_repeats_itself(world, how):
    settings = replace(ONE, iterations=3)
    first, again = train(world, settings, how), train(world, settings, how)
    assert first[1] == again[1]
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), again[0].parameters()))
    assert train(world, replace(settings, seed=1), how)[1] != first[1]


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_what_is_written_down(world, how):
    seen = []

    def score(answers):
        seen.append(answers)
        return world.score(answers)

    _, history = train(world, replace(ONE, iterations=2), how, score, gold_score=lambda a: 2 * world.score(a))
    assert history.score == pytest.approx([world.score(a).mean().item() for a in seen])
    assert history.gold_score == pytest.approx([2 * value for value in history.score])
    assert history.length == pytest.approx([a.response_mask.sum(1).float().mean().item() for a in seen])
    assert history.kl[0] == 0 and history.kl[1] != 0  # it begins at the reference
    assert len(history.clipped) == (2 if how == "ppo" else 0)
    assert all(len(answers.input_ids) == 6 for answers in seen)


def test_one_step_of_reinforce_follows_its_gradient(world, monkeypatch):
    """The first update of Adam has the sign of the gradient of the loss, rebuilt here from its parts."""
    kept = {}

    def score(answers):
        kept["answers"] = answers
        return world.score(answers)

    policy, _ = train(world, ONE, score=score)
    answers, start = kept["answers"], world.start()
    log_probs = log_probs_of(start, answers)
    whole = (log_probs * answers.response_mask).sum(1).detach()
    rewards = kl_penalised_reward(world.score(answers), whole, whole, beta=0.5)
    reinforce_loss(log_probs, rloo(rewards[None])[0], answers.response_mask).backward()
    for before, after in zip(start.parameters(), policy.parameters()):
        clear = before.grad.abs() > 1e-5
        assert torch.equal((after - before.detach())[clear].sign(), -before.grad[clear].sign())


def test_a_price_keeps_the_policy_near(world):
    settings = replace(ONE, iterations=40, samples=64, learning_rate=1e-2)
    far, near = (world.policy(train(world, replace(settings, beta=beta))[0]) for beta in (0.0, 5.0))

    def distance(policy):
        return (policy * (policy / world.reference_policy).log()).sum()

    assert distance(near) < 0.2 * distance(far)


def test_ppo_with_one_epoch_has_a_ratio_of_one(world):
    _, history = train(world, replace(ONE, iterations=3), "ppo")
    assert history.clipped == [0, 0, 0]
    _, history = train(world, replace(ONE, iterations=3, epochs=20, learning_rate=0.05), "ppo")
    assert max(history.clipped) > 0.1


@pytest.mark.parametrize(
    "change",
    [{"iterations": 0}, {"prompts": 0}, {"samples": 0}, {"max_new_tokens": 0}, {"epochs": 0}, {"learning_rate": 0.0},
     {"beta": -0.1}, {"beta": float("inf")}, {"epsilon": 1.0}, {"max_grad_norm": 0.0}, {"value_weight": 0.0},
     {"lam": 1.5}],
)  # fmt: skip
def test_bad_settings(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        PolicySettings(**change)


def test_a_lone_answer_has_no_baseline(world):
    with pytest.raises(ValueError, match="at least 2 answers"):
        train(world, replace(ONE, samples=1))
