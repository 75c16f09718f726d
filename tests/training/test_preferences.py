"""Batches of prompts with answers, pairs of them, and the losses that `fit` is given."""

import math
from copy import deepcopy

import pytest
import torch

from lib.generation import Rollout
from lib.models import Decoder, RewardModel, TransformerConfig
from lib.training import FitSettings, fit
from lib.training.preferences import (
    PreferencePairs,
    batches_of,
    demonstration_loss,
    join_answers,
    log_probs_of,
    pair_accuracy,
    preference_loss,
    reward_model_loss,
    same_answers,
    share_right,
    take,
)


@pytest.fixture
def model():
    config = TransformerConfig(
        architecture="decoder",
        vocab_size=9,
        d_model=8,
        num_layers=1,
        num_heads=2,
        d_ff=16,
        max_positions=8,
        init_std=0.5,
    )
    return Decoder(config, generator=torch.Generator().manual_seed(2)).double()


@pytest.fixture
def pairs():
    return PreferencePairs(
        join_answers([[5, 6], [5]], [[7], [8, 1]], pad_id=0), join_answers([[5, 6], [5]], [[2, 3], [4]], pad_id=0)
    )


def log_prob(model, prompt, answer):
    """log π(y | x), token by token."""
    ids = [*prompt, *answer]
    logits = model(torch.tensor([ids])).log_softmax(-1)[0]
    return sum(logits[t - 1, ids[t]] for t in range(len(prompt), len(ids)))


def test_joined_answers_and_their_masks():
    joined = join_answers([[5, 6], [5]], [[7], [8, 1, 2]], pad_id=0)
    assert joined.input_ids.tolist() == [[5, 6, 7, 0], [5, 8, 1, 2]]
    assert joined.attention_mask.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert joined.response_mask.int().tolist() == [[0, 0, 1, 0], [0, 1, 1, 1]]
    assert take(joined, torch.tensor([1])).input_ids.tolist() == [[5, 8, 1, 2]]


def test_losses_are_those_of_the_bare_rows(model, pairs):
    """Padding beside a row changes nothing: each loss equals the one made of one row after the other."""
    chosen = [log_prob(model, [5, 6], [7]), log_prob(model, [5], [8, 1])]
    rejected = [log_prob(model, [5, 6], [2, 3]), log_prob(model, [5], [4])]
    assert torch.allclose(demonstration_loss(model, pairs.chosen), -sum(chosen) / 3)
    reference = deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    moved = [log_prob(model, [5, 6], [7]) - chosen[0] - (log_prob(model, [5, 6], [2, 3]) - rejected[0]),
             log_prob(model, [5], [8, 1]) - chosen[1] - (log_prob(model, [5], [4]) - rejected[1])]  # fmt: skip
    expected = -torch.nn.functional.logsigmoid(0.3 * torch.stack(moved)).mean()
    loss = preference_loss(reference, beta=0.3)(model, pairs)
    assert torch.allclose(loss, expected)
    loss.backward()
    assert all(parameter.grad is None for parameter in reference.parameters())


def test_dpo_metrics_in_the_history(model, pairs):
    reference = deepcopy(model)
    policy, values = deepcopy(model), {}

    def measured(policy, pairs):
        """By hand, before each update: log-ratios of the two answers of each pair."""
        with torch.no_grad():
            ratios = [
                [log_prob(policy, *row) - log_prob(reference, *row) for row in rows]
                for rows in ((([5, 6], [7]), ([5], [8, 1])), (([5, 6], [2, 3]), ([5], [4])))
            ]
        values.setdefault("margins", []).append(0.3 * (sum(ratios[0]) - sum(ratios[1])).item() / 2)
        values.setdefault("accuracies", []).append(sum(c > r for c, r in zip(*ratios)).item() / 2)
        return preference_loss(reference, beta=0.3, metrics=True)(policy, pairs)

    settings = FitSettings(steps=4, learning_rate=0.01)
    history = fit(policy, measured, lambda generator: pairs, settings, show_progress=False)
    assert history.metrics["rewards/margins"] == pytest.approx(values["margins"], abs=1e-9)
    assert history.metrics["rewards/accuracies"] == pytest.approx(values["accuracies"])
    assert history.metrics["rewards/margins"][0] == 0 < history.metrics["rewards/margins"][-1]
    plain = fit(deepcopy(model), preference_loss(reference, beta=0.3), lambda g: pairs, settings, show_progress=False)
    assert plain.loss == history.loss and plain.metrics == {}


def test_the_reward_model_reads_the_last_real_token(model, pairs):
    reward = RewardModel(model, generator=torch.Generator().manual_seed(0)).double()
    bare = [reward(torch.tensor([ids])) for ids in ([5, 6, 7], [5, 8, 1], [5, 6, 2, 3], [5, 4])]
    gaps = torch.cat((bare[0] - bare[2], bare[1] - bare[3]))
    assert torch.allclose(reward_model_loss(reward, pairs), -torch.nn.functional.logsigmoid(gaps).mean())
    assert pair_accuracy(reward, pairs) == (gaps > 0).double().mean()
    with torch.no_grad():
        reward.output.weight.zero_()
    assert pair_accuracy(reward, pairs) == 0.5  # all ties


def test_batches_are_drawn_from_the_data(pairs, generator):
    for _ in range(5):
        batch = batches_of(pairs, 3)(generator)
        assert len(batch) == 3
        for row in batch.chosen.input_ids.tolist():
            assert row in pairs.chosen.input_ids.tolist()
    rows = batches_of(pairs.chosen, 64)(generator).input_ids
    assert {tuple(row) for row in rows.tolist()} == {tuple(row) for row in pairs.chosen.input_ids.tolist()}


def test_log_probs_of_a_batch(model, pairs):
    values = log_probs_of(model, pairs.rejected)
    assert torch.allclose((values * pairs.rejected.response_mask).sum(1)[0], log_prob(model, [5, 6], [2, 3]))


def test_log_probs_of_an_answer_with_a_gap(model, pairs):
    """A tool's tokens are read, but they are no choice of the policy."""
    whole = join_answers([[5]], [[8, 1, 2, 7]], pad_id=0)
    gap = torch.tensor([[False, True, False, False, True]])
    found, every = log_probs_of(model, whole._replace(response_mask=gap)), log_probs_of(model, whole)
    torch.testing.assert_close(found, every * gap)
    assert (every[:, 1:] != 0).all()


def test_the_reference_and_an_accuracy_are_measured_without_dropout(pairs):
    config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1, num_heads=2, d_ff=16,
                               max_positions=8, init_std=0.5, dropout=0.5)  # fmt: skip
    reference = Decoder(config, generator=torch.Generator().manual_seed(2)).train()
    policy = deepcopy(reference).eval()
    assert preference_loss(reference, beta=3.0)(policy, pairs).item() == pytest.approx(math.log(2))  # no margin yet
    judge = RewardModel(deepcopy(reference), generator=torch.Generator().manual_seed(2)).train()
    many = pairs.take(torch.tensor([0, 1] * 200))
    assert pair_accuracy(judge, many) == pair_accuracy(deepcopy(judge).eval(), many)
    assert reference.training and judge.training


@pytest.mark.parametrize(
    "prompts, answers, message",
    [
        ([], [], r"prompts must not be empty, got \[\]"),
        ([[1]], [[2], [3]], "answers must have the length of prompts, 1, got 2"),
        ([[1], []], [[2], [3]], "the prompt of row 1 is empty"),
        ([[1], [1]], [[2], []], "the answer of row 1 is empty"),
        ([[1], [1]], [[2]], "answers must have the length of prompts, 2, got 1"),
        ([[]], [[]], "the prompt of row 0 is empty"),
    ],
)
def test_bad_rows(prompts, answers, message):
    with pytest.raises(ValueError, match=message):
        join_answers(prompts, answers, pad_id=0)


@pytest.mark.parametrize(("prompt", "answer"), [([1.5], [2]), ([1], [2, 2.5])])
def test_ids_are_not_rounded(unchecked, prompt, answer):
    with pytest.raises(TypeError, match="prompts_and_answers must be an integer tensor, got torch.float32"):
        join_answers([prompt], [answer], pad_id=0)


def test_bad_pairs(model, pairs):
    with pytest.raises(ValueError, match="the two answers of pair 1 are the same"):
        PreferencePairs(pairs.chosen, take(pairs.rejected, torch.tensor([0, 0]))._replace(**_row_of(pairs)))
    with pytest.raises(ValueError, match="rejected must have the length of chosen, 2, got 1"):
        PreferencePairs(pairs.chosen, take(pairs.rejected, torch.tensor([0])))
    none = torch.tensor([], dtype=torch.long)
    with pytest.raises(ValueError, match="chosen must not be empty"):
        PreferencePairs(take(pairs.chosen, none), take(pairs.rejected, none))
    silent = pairs.rejected._replace(response_mask=torch.zeros_like(pairs.rejected.response_mask))
    with pytest.raises(ValueError, match="the rejected answer of pair 0 is empty"):
        PreferencePairs(pairs.chosen, silent)
    half = pairs.chosen._replace(response_mask=pairs.chosen.response_mask & torch.tensor([[True], [False]]))
    with pytest.raises(ValueError, match="the chosen answer of pair 1 is empty"):
        PreferencePairs(half, pairs.rejected)
    with pytest.raises(ValueError, match="batch_size"):
        batches_of(pairs, 0)
    with pytest.raises(ValueError, match="beta must be a finite number above 0"):
        preference_loss(model, beta=0)(model, pairs)


def _row_of(pairs):
    """The chosen answer of pair 1 with one more column of padding: the same answer in another width."""
    ids, real, counts = (torch.nn.functional.pad(part[[0, 1]], (0, 1)) for part in pairs.chosen)
    ids[0, 2] = 3
    return {"input_ids": ids, "attention_mask": real, "response_mask": counts}


def test_rows_are_filled_with_the_padding_that_is_asked_for():
    joined = join_answers([(5, 6), [5]], [[7], (8, 1, 2)], pad_id=9)
    assert joined.input_ids.tolist() == [[5, 6, 7, 9], [5, 8, 1, 2]] and joined.input_ids.dtype == torch.int64
    assert take(joined, torch.tensor([1, 0, 1])).response_mask.int().tolist() == [
        [0, 1, 1, 1],
        [0, 0, 1, 0],
        [0, 1, 1, 1],
    ]


@pytest.mark.parametrize(
    ("chosen", "rejected", "same"),
    [
        ([[7], [8, 1]], [[7, 0], [8, 1]], [False, True]),  # the end is a token, the padding none, though both are 0
        ([[7, 0], [8]], [[7], [8]], [False, True]),
        ([[7, 1, 2], [8]], [[7], [8]], [False, True]),
        ([[7], [8]], [[6], [8, 8, 8]], [False, False]),
    ],
)
def test_which_answers_are_the_same(chosen, rejected, same):
    one, other = (join_answers([[5], [6]], answers, pad_id=0) for answers in (chosen, rejected))
    assert same_answers(one, other).tolist() == same
    assert same_answers(one, one).all()
    assert same_answers(one, join_answers([[5], [7]], chosen, pad_id=0)).tolist() == [True, False]  # another prompt


def padded_on_the_left(prompts, answers):
    """The same rows, but with their ends aligned."""
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers)]
    width = max(map(len, rows))
    real = torch.tensor([[t >= width - len(row) for t in range(width)] for row in rows])
    counts = torch.tensor([[t >= width - len(answer) for t in range(width)] for answer in answers])
    return Rollout(torch.tensor([[3] * (width - len(row)) + row for row in rows]), real, counts)


def test_padding_on_the_left_is_not_read_either(model):
    """A decoder cannot look at padding behind a token; before it, only the mask keeps it out."""
    prompts, chosen, rejected = [[5, 6, 1], [5]], [[7], [8, 1]], [[2, 3], [4]]
    left, right = (
        PreferencePairs(*(join(prompts, answers) for answers in (chosen, rejected)))
        for join in (padded_on_the_left, lambda *rows: join_answers(*rows, pad_id=0))
    )
    expected = [log_prob(model, *row) for row in zip(prompts, chosen)]
    assert not left.chosen.attention_mask.all()
    torch.testing.assert_close(log_probs_of(model, left.chosen).sum(1), torch.stack(expected))
    torch.testing.assert_close(demonstration_loss(model, left.chosen), -sum(expected) / 3)
    reference = Decoder(model.config, generator=torch.Generator().manual_seed(8)).double()
    reward = RewardModel(model, generator=torch.Generator().manual_seed(0)).double()
    for loss, judge in ((preference_loss(reference, beta=0.3), model), (reward_model_loss, reward)):
        torch.testing.assert_close(loss(judge, left), loss(judge, right))
    assert pair_accuracy(reward, left) == pair_accuracy(reward, right)


def test_the_accuracy_is_a_number_that_changes_no_gradient(model, pairs):
    reward = RewardModel(model, generator=torch.Generator().manual_seed(0)).double()
    assert type(pair_accuracy(reward, pairs)) is float
    rewards = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert share_right(rewards, torch.tensor([0.0, 2.0, 4.0, 3.0])) == 0.625
    assert share_right(rewards, rewards + 1) == 0 and share_right(rewards, rewards - 1) == 1


def test_rows_of_answers_come_with_their_own_masks(pairs, unchecked):
    data = join_answers([[k] for k in range(6)], [[k] * (k + 1) for k in range(6)], pad_id=8)
    torch.manual_seed(0)
    first = batches_of(data, 1)(torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    assert len(first.input_ids) == 1
    assert torch.equal(first.input_ids, batches_of(data, 1)(torch.Generator().manual_seed(1)).input_ids)
    batch = batches_of(data, 40)(torch.Generator().manual_seed(1))
    assert batch.input_ids[:, 0].unique().tolist() == list(range(6))
    assert torch.equal(batch.response_mask.sum(1), batch.input_ids[:, 0] + 1)
    drawn = batches_of(pairs, 40)(torch.Generator().manual_seed(1))
    assert torch.equal(drawn.chosen.input_ids[:, 1] == 6, drawn.rejected.input_ids[:, 1] == 6)  # pairs stay pairs
    with pytest.raises(TypeError, match="batch_size must be a whole number"):
        batches_of(pairs, 2.0)
