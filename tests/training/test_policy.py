"""The loops of REINFORCE and PPO, one batch at a time. An iteration is held against a hand-written one in
test_policy_by_hand, what they reach against the optimum in test_tiny_world."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from lib.models import Decoder, ValueModel
from lib.training.policy import PolicySettings, ppo, reinforce, sample_batch
from tests.worlds.tiny_world import CONFIG, EOS_ID, LONGEST, tiny_world

ONE = PolicySettings(iterations=1, prompts=1, samples=6, max_new_tokens=LONGEST, learning_rate=1e-3, beta=0.5, epochs=1)


@pytest.fixture
def world():
    return tiny_world(seed=4)


def train(world, settings, how="reinforce", score=None, gold_score=None):
    policy = world.start()
    arguments = (world.reference, score or world.score, world.prompts, settings)
    if how == "ppo":
        history = ppo(
            policy, world.value_model(), *arguments, eos_id=EOS_ID, gold_score=gold_score, show_progress=False
        )
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
     {"beta": -0.1}, {"beta": float("inf")}, {"epsilon": 0.0}, {"epsilon": float("nan")}, {"epsilon_high": 0.0}, {"dual_clip": 1},
     {"max_grad_norm": 0.0}, {"value_weight": 0.0}, {"lam": 1.5}, {"lam": -0.1}, {"learning_rate": float("inf")},
     {"value_weight": float("inf")}, {"max_grad_norm": float("nan")}, {"epsilon_high": float("nan")}, {"dual_clip": 0.5},
     {"dual_clip": float("inf")}],
)  # fmt: skip
def test_bad_settings(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        PolicySettings(**change)


@pytest.mark.parametrize(
    "change",
    [{"epsilon": 10}, {"epsilon": float("inf")}, {"epsilon_high": float("inf")}, {"max_grad_norm": float("inf")}, {"beta": 0.0},
     {"lam": 0.0}, {"lam": 1.0}, {"dual_clip": 1.01},
     {"samples": 1, "prompts": 1, "iterations": 1, "max_new_tokens": 1, "epochs": 1}],
)  # fmt: skip
def test_settings_at_the_edge_of_their_range(change):
    assert vars(PolicySettings(**change)).items() >= change.items()  # with an epsilon of 10 nothing is clipped below 0


@pytest.mark.parametrize("name", ["iterations", "prompts", "samples", "max_new_tokens", "epochs"])
def test_counts_are_whole(name, unchecked):
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got 2.0"):
        PolicySettings(**{name: 2.0})


def test_a_lone_answer_has_no_baseline(world):
    with pytest.raises(ValueError, match="at least 2 answers"):
        train(world, replace(ONE, samples=1))


# --- dropout ---


@pytest.fixture
def forgetful():
    """A policy that drops half of its units in train mode, and its own copy as the reference."""
    policy = Decoder(replace(CONFIG, dropout=0.5), generator=torch.Generator().manual_seed(0)).train()
    return policy, deepcopy(policy)


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_with_dropout_a_policy_is_no_distance_from_its_own_copy(world, forgetful, how):
    """In train mode it would be several nats: two of its selves with other units dropped."""
    policy, reference = forgetful
    value = ValueModel(deepcopy(policy)).train()
    value.backbone.eval()  # each module keeps its own mode
    modes = [m.training for model in (policy, reference, value) for m in model.modules()]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    arguments = (reference, world.score, world.prompts, replace(ONE, learning_rate=1e-12, iterations=2))
    if how == "ppo":
        history = ppo(policy, value, *arguments, eos_id=EOS_ID, show_progress=False)
        assert history.clipped == [0, 0]
    else:
        history = reinforce(policy, *arguments, eos_id=EOS_ID, show_progress=False)
    assert history.kl == pytest.approx([0, 0], abs=1e-6)
    assert modes == [m.training for model in (policy, reference, value) for m in model.modules()]
    assert torch.equal(state, torch.get_rng_state())  # no unit was drawn


def test_every_model_is_as_it_was_after_an_error(world, forgetful):
    def score(answers):
        raise KeyError("no score today")

    policy, reference = forgetful
    with pytest.raises(KeyError, match="no score today"):
        reinforce(policy, reference, score, world.prompts, ONE, show_progress=False)
    assert policy.training and reference.training


# --- one batch ---


def test_a_batch_holds_answers_and_what_they_earned(world, generator):
    prompts = torch.tensor([[0], [1], [2]])
    settings = replace(ONE, prompts=4, samples=3)
    batch = sample_batch(world.start(), tiny_world(seed=9).reference, world.score, prompts, settings,
                         eos_id=EOS_ID, generator=generator)  # fmt: skip
    asked = batch.answers.input_ids[:, 0].view(4, 3)
    assert (asked == asked[:, :1]).all() and len(asked[:, 0].unique()) > 1  # those to one prompt side by side
    assert torch.equal(batch.score, world.score(batch.answers))
    assert torch.equal(batch.mask, batch.answers.response_mask)
    for name in ("log_probs", "reference_log_probs", "rewards"):
        assert (getattr(batch, name)[~batch.mask] == 0).all()
    assert batch.kl.abs().min() > 0
    torch.testing.assert_close(batch.rewards.sum(dim=1), batch.score - 0.5 * batch.kl)


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_each_batch_draws_its_own_prompts(world, how):
    asked = []

    def score(answers):
        asked.append(answers.input_ids[::2, 0].tolist())
        return world.score(answers)

    arguments = (world.reference, score, torch.arange(4)[:, None], replace(ONE, iterations=3, prompts=8, samples=2))
    policy = world.start()
    if how == "ppo":
        ppo(policy, world.value_model(), *arguments, show_progress=False)
    else:
        reinforce(policy, *arguments, show_progress=False)
    assert len({tuple(prompts) for prompts in asked}) == 3
    assert set(sum(asked, [])) == {0, 1, 2, 3}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number(world, bad):
    with pytest.raises(ValueError, match=r"score must give finite rewards, got \[.*(nan|inf)"):
        train(world, ONE, score=lambda answers: world.score(answers).index_fill(0, torch.tensor([1]), bad))


def test_bad_prompts_and_scores(world, unchecked):
    with pytest.raises(ValueError, match=r"prompts must be \(P, T\), at least one token, got shape \(0, 3\)"):
        reinforce(world.start(), world.reference, world.score, torch.zeros(0, 3).long(), ONE, show_progress=False)
    for shape in ((3,), (1, 1, 1), (2, 0)):
        with pytest.raises(ValueError, match=r"prompts must be \(P, T\), at least one token, got shape"):
            sample_batch(world.start(), world.reference, world.score, torch.zeros(shape).long(), ONE)
    with pytest.raises(ValueError, match=r"reward must have shape .*\(6,\), got \(6, 1\)"):
        train(world, ONE, score=lambda answers: world.score(answers)[:, None])


# --- what is trained ---


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_a_reference_that_would_be_trained_too(world, how):
    policy = world.start()
    arguments = (policy, world.score, world.prompts, ONE)
    with pytest.raises(ValueError, match="reference must be a frozen copy"):
        ppo(policy, world.value_model(), *arguments) if how == "ppo" else reinforce(policy, *arguments)
    one_shared = world.start()
    one_shared.stack = policy.stack if how == "ppo" else one_shared.stack
    one_shared.tokens = policy.tokens if how != "ppo" else one_shared.tokens
    before = deepcopy(one_shared.state_dict())
    with pytest.raises(ValueError, match="reference must be a frozen copy"):
        if how == "ppo":
            ppo(one_shared, world.value_model(), *arguments)
        else:
            reinforce(one_shared, *arguments)
    with pytest.raises(ValueError, match="reference must be a frozen copy"):
        ppo(world.start(), ValueModel(policy), *arguments)
    assert all(torch.equal(tensor, before[name]) for name, tensor in one_shared.state_dict().items())


def test_nothing_to_train(world):
    policy, value = world.start(), world.value_model()
    arguments = (world.reference, world.score, world.prompts, ONE)
    with pytest.raises(ValueError, match="value has no parameter that requires a gradient"):
        ppo(policy, value.requires_grad_(False), *arguments)
    with pytest.raises(ValueError, match="policy has no parameter that requires a gradient"):
        reinforce(policy.requires_grad_(False), *arguments)


@pytest.mark.filterwarnings("error")  # torch warns of a parameter that is listed twice
def test_a_value_model_may_stand_on_the_policys_own_layers(world):
    policy = world.start()
    value = ValueModel(policy)
    ppo(policy, value, world.reference, world.score, world.prompts, ONE, show_progress=False)
    assert not torch.equal(policy.output_weight, world.reference.output_weight)


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_a_gradient_that_is_not_finite_leaves_the_policy_alone(world, how):
    """Scores of 3e38 are finite in float32, what is made of them is not."""
    policy, value = world.start(), world.value_model()
    arguments = (world.reference, lambda a: 3e38 * world.score(a).sign(), world.prompts, ONE)
    with pytest.raises(FloatingPointError, match="the gradient's norm is .* were not updated with it"):
        ppo(policy, value, *arguments) if how == "ppo" else reinforce(policy, *arguments)
    for after, before in ((policy, world.reference), (value, world.value_model())):
        assert all(torch.equal(a, b) for a, b in zip(after.parameters(), before.parameters()))


def test_nothing_that_is_measured_has_a_graph(world, generator):
    weight, grads = torch.ones(1, requires_grad=True), []

    def score(answers):
        grads.append(torch.is_grad_enabled())
        return world.score(answers) * weight

    batch = sample_batch(world.start(), world.reference, score, world.prompts, ONE, generator=generator)
    assert not any(
        getattr(batch, name).requires_grad for name in ("score", "log_probs", "reference_log_probs", "rewards")
    )
    train(world, ONE, gold_score=score)
    assert grads == [False, False]


def test_prompts_and_answers_are_drawn_with_the_generator_alone(world):
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        batch = sample_batch(world.start(), world.reference, world.score, torch.arange(3)[:, None],
                             replace(ONE, prompts=20), generator=torch.Generator().manual_seed(5))  # fmt: skip
        drawn.append(batch.answers.input_ids)
    assert torch.equal(*drawn) and drawn[0][:, 0].unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_without_a_price_the_penalty_is_nothing(world, how):
    """β = 0, and a reference that would have cost much."""
    far, histories = tiny_world(seed=9).reference, []
    for reference in (world.reference, far):
        policy, arguments = world.start(), (reference, world.score, world.prompts, replace(ONE, beta=0.0))
        if how == "ppo":
            ppo(policy, world.value_model(), *arguments, eos_id=EOS_ID, show_progress=False)
        else:
            reinforce(policy, *arguments, eos_id=EOS_ID, show_progress=False)
        histories.append(torch.cat([p.detach().flatten() for p in policy.parameters()]))
    assert torch.equal(*histories)


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_the_end_token_is_handed_on(world, how):
    """An answer that has ended earns nothing behind its end: without it every answer would have all its tokens."""
    lengths = []

    def score(answers):
        lengths.extend(answers.response_mask.sum(dim=1).tolist())
        return world.score(answers)

    train(world, replace(ONE, samples=40), how, score)
    assert set(lengths) == {1, 2, 3}


@pytest.mark.parametrize("how", ["reinforce", "ppo"])
def test_a_gold_score_is_measured_and_not_learned_from(world, how):
    plain, watched = (train(world, replace(ONE, iterations=2), how, gold_score=gold)
                      for gold in (None, lambda answers: -9 * world.score(answers)))  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(plain[0].parameters(), watched[0].parameters()))
    assert plain[1].gold_score == [] and plain[1].score == watched[1].score and len(watched[1].gold_score) == 2
