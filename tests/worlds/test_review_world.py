"""The three steps of RLHF, and what lecture 13 claims of them, for seeds that the lecture does not show."""

from copy import deepcopy

import pytest
import torch

from lib.evaluation import judge_probability, swap_test
from lib.generation import Rollout
from lib.models import ValueModel
from lib.objectives import entropy, masked_reduce
from lib.training import FitSettings, fit
from lib.training.policy import PolicySettings, ppo, reinforce
from lib.training.preferences import PreferencePairs, batches_of, pair_accuracy, preference_loss, same_answers
from lib.worlds.review_world import _joined, compare_answers, review_world, small_decoder, train_reward_model, train_sft
from lib.worlds.reviews import is_review
from lib.worlds.sentiment import opinion, sentiment
from tests.nightly import by_day

PPO_STEPS, REINFORCE_STEPS = 50, 75  # those of the lecture


def settings(beta, iterations, rate, seed):
    """The lecture's, but for what is varied."""
    return PolicySettings(
        iterations=iterations,
        prompts=8,
        samples=4,
        max_new_tokens=16,
        epochs=2,
        learning_rate=rate,
        beta=beta,
        seed=seed,
    )


@pytest.mark.parametrize("seed", by_day(0, range(1, 6)))
def test_the_leash_holds_and_without_it_the_reward_is_hacked(unchecked, seed):
    generator = torch.Generator().manual_seed(seed)
    world = review_world(2000, seed=seed)
    sft = train_sft(world, steps=250, seed=seed, show_progress=False)
    answers = world.answers(sft, 300, generator=generator)
    human = world.score(opinion)
    before = human(answers).mean()
    assert sum(map(is_review, world.texts(answers, prompts=True))) > 0.7 * 300

    pairs = compare_answers(world, sft, opinion, 300, generator=generator)
    unseen = compare_answers(world, sft, opinion, 300, generator=generator)
    model = train_reward_model(sft, pairs, seed=seed, show_progress=False)
    by_judge = compare_answers(world, sft, sentiment, 300, generator=generator)
    judged = train_reward_model(sft, by_judge, seed=seed, show_progress=False)
    accuracy = pair_accuracy(model, unseen)
    assert accuracy > 0.55 and pair_accuracy(judged, unseen) > max(0.52, accuracy - 0.1)
    check_the_judge(world, world.answers(sft, 400, samples=2, generator=torch.Generator().manual_seed(seed)))

    def proxy(batch):
        return model(batch.input_ids, batch.attention_mask)

    def ends(policy):
        with torch.no_grad():
            own = world.answers(policy, 300, generator=generator)
            spread = entropy(policy(own.input_ids, own.attention_mask))[:, :-1]
            return proxy(own).mean(), human(own).mean(), masked_reduce(spread, own.response_mask[:, 1:], "token_mean")

    policy = deepcopy(sft)
    ppo(policy, ValueModel(deepcopy(sft), generator=generator), sft, proxy, world.prompts,
        settings(1.0, PPO_STEPS, 2e-3, seed), eos_id=world.eos_id, show_progress=False)  # fmt: skip
    assert ends(policy)[1] > before + 0.1

    policy = deepcopy(sft)
    fit(policy, preference_loss(sft, beta=0.3), batches_of(pairs, 32),
        FitSettings(steps=80, learning_rate=3e-4, seed=seed), show_progress=False)  # fmt: skip
    assert ends(policy)[1] > before

    paid_before = proxy(answers).mean()
    held, free = deepcopy(sft), deepcopy(sft)
    for policy, beta in ((held, 1.0), (free, 0.0)):
        reinforce(policy, sft, proxy, world.prompts, settings(beta, REINFORCE_STEPS, 4e-3, seed),
                  eos_id=world.eos_id, show_progress=False)  # fmt: skip
    with_price, without = ends(held), ends(free)
    assert with_price[1] > before + 0.1
    assert without[0] > paid_before + 0.5 and without[1] < before - 0.3 and without[2] < with_price[2]


def check_the_judge(world, drawn):
    """A bias for the first place costs agreement with the human, and averaging both orders brings it back."""
    texts, liked = world.texts(drawn), world.score(opinion)(drawn)
    first, second, truth = texts[0::2], texts[1::2], liked[0::2] - liked[1::2]

    def biased(one, other):
        return judge_probability(sentiment(one), sentiment(other), position_bias=3.0, temperature=0.25)

    def agrees(p):
        return ((p > 0.5) == (truth > 0))[truth != 0].float().mean()

    assert agrees(swap_test(biased, first, second).debiased) > agrees(biased(first, second)) + 0.1


def test_comparisons_follow_the_taste():
    world = review_world(64)
    policy = small_decoder(world.tokenizer.vocab_size)

    def number_of_letters(texts):
        return torch.tensor([float(len(text)) for text in texts])

    pairs = compare_answers(
        world, policy, number_of_letters, 40, sharpness=100, generator=torch.Generator().manual_seed(0)
    )
    assert len(pairs) == 40
    longer = world.score(number_of_letters)(pairs.chosen) >= world.score(number_of_letters)(pairs.rejected)
    assert longer.all()
    prompts = [side.input_ids[:, : world.prompts.shape[1]] for side in (pairs.chosen, pairs.rejected)]
    assert torch.equal(*prompts)  # two answers to the same prompt


def test_a_policy_that_always_says_the_same_cannot_be_compared(monkeypatch):
    world = review_world(8)
    policy = small_decoder(world.tokenizer.vocab_size)
    with torch.no_grad():
        policy.output_weight.zero_()
    with pytest.raises(ValueError, match="the same answer"):
        monkeypatch.setattr("lib.worlds.review_world.MAX_TOKENS", 1)
        monkeypatch.setattr("lib.worlds.review_world.same_answers", lambda one, _: torch.ones(len(one.input_ids)) > 0)
        compare_answers(world, policy, opinion, 3)


@pytest.mark.parametrize("change, message", [({"number": 0}, "number"), ({"sharpness": 0.0}, "sharpness")])
def test_bad_comparisons(change, message):
    world = review_world(8)
    arguments = {"number": 2, "sharpness": 1.0} | change
    with pytest.raises(ValueError, match=message):
        compare_answers(world, small_decoder(world.tokenizer.vocab_size), opinion, **arguments)


def rollout_of(rows, answer):
    """Rows of ids, padded with 0, whose last `answer` tokens before the padding are the answer."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    real = torch.tensor([[t < len(row) for t in range(width)] for row in rows])
    return Rollout(ids, real, real & torch.tensor([[t >= len(row) - answer for t in range(width)] for row in rows]))


def test_pairs_of_several_draws_are_padded_to_the_longest():
    short = PreferencePairs(rollout_of([[5, 6]], 1), rollout_of([[5, 7, 8]], 2))
    long = PreferencePairs(rollout_of([[5, 6, 7, 8]], 3), rollout_of([[5, 9]], 1))
    joined = _joined([short, long], 3)
    assert joined.chosen.input_ids.tolist() == [[5, 6, 3, 3], [5, 6, 7, 8]]
    assert joined.chosen.attention_mask.int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert joined.chosen.response_mask.int().tolist() == [[0, 1, 0, 0], [0, 1, 1, 1]]
    assert joined.rejected.input_ids.tolist() == [[5, 7, 8], [5, 9, 3]]


def test_a_taste_sees_the_prompt_and_a_text_may_be_without():
    world = review_world(6, seed=1)
    seen = []
    world.score(lambda texts: seen.extend(texts) or torch.zeros(len(texts)))(world.demonstrations)
    alone = world.texts(world.demonstrations)
    assert all(text.startswith("about the ") for text in seen) and all(map(is_review, seen))
    assert all(whole.endswith(text) and text.startswith("the ") for whole, text in zip(seen, alone, strict=True))
    assert (
        review_world(6, seed=1).texts(world.demonstrations)
        == alone
        != review_world(6).texts(review_world(6).demonstrations)
    )


def test_the_worse_answer_wins_as_often_as_bradley_and_terry_say(monkeypatch):
    """A taste of two values, 0 and 1: of the pairs that differ in it, σ(0.5) = 62.2 % have the better one chosen."""
    world = review_world(8)
    policy = small_decoder(world.tokenizer.vocab_size)

    def even(texts):
        return torch.tensor([float(len(text) % 2) for text in texts])

    draw = {"sharpness": 0.5, "generator": torch.Generator().manual_seed(1)}
    pairs = compare_answers(world, policy, even, 600, **draw)
    score = world.score(even)
    better = (score(pairs.chosen) - score(pairs.rejected)).sign()
    right, wrong = (better > 0).sum().item(), (better < 0).sum().item()
    n = right + wrong
    assert n > 200 and abs(right / n - 0.6225) < 4 * (0.6225 * 0.3775 / n) ** 0.5
    assert not same_answers(pairs.chosen, pairs.rejected).any()
    with pytest.raises(ValueError, match="number must be at least 1"):
        compare_answers(world, policy, even, 0)


def test_each_prompt_is_answered_as_often_as_asked(generator):
    world = review_world(8)
    drawn = world.answers(small_decoder(world.tokenizer.vocab_size), 3, samples=2, generator=generator)
    prompts = drawn.input_ids[:, : world.prompts.shape[1]]
    assert len(prompts) == 6 and torch.equal(prompts[::2], prompts[1::2])
    assert drawn.response_mask.sum(dim=1).max() <= 16


def test_a_reward_model_is_trained_on_a_copy_of_the_policy(generator):
    """Step 3 starts from the SFT policy and is compared with it: step 2 must not have changed it."""
    world = review_world(16)
    sft = small_decoder(world.tokenizer.vocab_size).eval()
    before = deepcopy(sft.state_dict())
    pairs = compare_answers(world, sft, lambda texts: torch.tensor([float(len(text)) for text in texts]), 8,
                            generator=generator)  # fmt: skip
    model = train_reward_model(sft, pairs, steps=2, show_progress=False)
    assert all(torch.equal(value, before[name]) for name, value in sft.state_dict().items())
    assert not {p.data_ptr() for p in sft.parameters()} & {p.data_ptr() for p in model.parameters()}
    assert any(not torch.equal(own, value) for own, value in zip(model.backbone.state_dict().values(), before.values()))
    assert all(p.requires_grad and p.grad is None for p in sft.parameters()) and not model.training


@pytest.mark.parametrize("train, rate", [("sft", 3e-3), ("reward model", 1e-3)])
def test_a_seed_draws_the_first_weights_and_the_batches(train, rate, monkeypatch):
    """One without the other would still give another run for every seed."""
    world, seen = review_world(8), []
    sft = small_decoder(world.tokenizer.vocab_size)
    pairs = PreferencePairs(rollout_of([[5, 6]], 1), rollout_of([[5, 7, 8]], 2))
    monkeypatch.setattr("lib.worlds.review_world.fit", lambda *given, **named: seen.append(given))

    def trained(seed):
        if train == "sft":
            return train_sft(world, steps=30, seed=seed, show_progress=False).tokens.weight
        return train_reward_model(sft, pairs, steps=30, seed=seed, show_progress=False).output.weight

    first, again, other = trained(3), trained(3), trained(4)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert [given[3].seed for given in seen] == [3, 3, 4]
    assert {(given[3].steps, given[3].learning_rate) for given in seen} == {(30, rate)}
    batch = seen[0][2](torch.Generator().manual_seed(0))
    assert len(batch.input_ids if train == "sft" else batch) == 32


def test_a_short_run_has_a_short_warm_up():
    world = review_world(8)
    assert not train_sft(world, steps=1, show_progress=False).training
