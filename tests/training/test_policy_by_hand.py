"""Iterations of REINFORCE and PPO as one would write them on paper: 2 prompts, 3 answers to each, plain loops in float64.

Nothing of `lib` is called here but the two networks themselves, one answer at a time and without padding. What a wrong
loop would still pass (that something moved, that the reward rose) is not asked.
"""

import math
from copy import deepcopy

import pytest
import torch

from lib.models import Decoder, TransformerConfig, ValueModel
from lib.training.policy import PolicySettings, ppo, reinforce

PROMPTS = torch.tensor([[0, 1], [2, 0], [1, 1]])
END, LONGEST = 4, 4
WORTH = [0.4, -1.3, 2.1, 0.6, -0.2]  # of each token of an answer
SETTINGS = {"prompts": 2, "samples": 3, "max_new_tokens": LONGEST, "beta": 0.3, "seed": 3}


def decoder(seed, dropout=0.0):
    config = TransformerConfig(
        architecture="decoder", vocab_size=5, d_model=8, num_layers=1, num_heads=2, d_ff=16, max_positions=8,
        init_std=0.4, dropout=dropout,
    )  # fmt: skip
    return Decoder(config, generator=torch.Generator().manual_seed(seed)).double().train()


def score_that_keeps(seen):
    """The worth of an answer's tokens, added up; each batch of answers is kept as (prompt, answer) pairs."""

    def score(rollout):
        rows = []
        for ids in rollout.input_ids.tolist():
            answer = ids[2:]
            if END in answer:
                answer = answer[: answer.index(END) + 1]
            rows.append((ids[:2], answer))
        seen.append(rows)
        return torch.tensor([sum(WORTH[token] for token in answer) for _, answer in rows], dtype=torch.float64)

    return score


def log_probs_by_hand(model, prompt, answer):
    """log π of each token of one answer: what the model says after everything before it."""
    logits = model(torch.tensor([prompt + answer]))[0]
    found = []
    for k, token in enumerate(answer):
        before = logits[len(prompt) + k - 1]
        found.append(before[token] - before.exp().sum().log())
    return found


def values_by_hand(model, prompt, answer):
    return list(model(torch.tensor([prompt + answer]))[0, len(prompt) :])


def numbers(tensors):
    return [tensor.item() for tensor in tensors]


class AdamByHand:
    """Kingma and Ba 2015, algorithm 1, after the gradients of everything have been shortened to a common norm."""

    def __init__(self, parameters, rate, limit):
        self.parameters, self.rate, self.limit = list(parameters), rate, limit
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.norms = []

    def step(self, loss):
        gradients = torch.autograd.grad(loss, self.parameters)
        norm = math.sqrt(sum(g.square().sum().item() for g in gradients))
        self.norms.append(norm)
        t = len(self.norms)
        for p, g, m, v in zip(self.parameters, gradients, self.first, self.second):
            g = g * min(1.0, self.limit / (norm + 1e-6))
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g**2)
            p.data -= self.rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)


def assert_same(ours, theirs):
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def assert_worth_a_test(seen, adam):
    """Two prompts in each batch, answers of different lengths, and gradients on both sides of the limit.

    Adam does not see a factor that is the same in all of its steps, such as 1/6 before a loss, or what clipping leaves.
    """
    for rows in seen:
        prompts = [prompt for prompt, _ in rows]
        assert prompts[0] == prompts[1] == prompts[2] != prompts[3] == prompts[4] == prompts[5]
        assert len({len(answer) for _, answer in rows}) > 1
    assert 1.2 * min(adam.norms) < adam.limit < max(adam.norms) / 1.2


def check_history(history, iteration, rows, own, reference):
    scores = [sum(WORTH[token] for token in answer) for _, answer in rows]
    gaps = [sum(own[i]) - sum(reference[i]) for i in range(6)]  # nats per answer, not per token
    assert history.score[iteration] == pytest.approx(sum(scores) / 6, abs=1e-9)
    assert history.kl[iteration] == pytest.approx(sum(gaps) / 6, abs=1e-9)
    assert history.length[iteration] == pytest.approx(sum(len(answer) for _, answer in rows) / 6)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_reinforce(dropout):
    ours, reference, seen = decoder(0, dropout), decoder(1, dropout), []
    theirs, judge = deepcopy(ours).eval(), deepcopy(reference).eval()
    settings = PolicySettings(iterations=2, learning_rate=0.02, max_grad_norm=20.0, **SETTINGS)
    history = reinforce(ours, reference, score_that_keeps(seen), PROMPTS, settings, eos_id=END, show_progress=False)

    adam = AdamByHand(theirs.parameters(), rate=0.02, limit=20.0)
    for iteration, rows in enumerate(seen):
        log_probs = [log_probs_by_hand(theirs, *row) for row in rows]
        own = [numbers(row) for row in log_probs]
        reference_log_probs = [numbers(log_probs_by_hand(judge, *row)) for row in rows]
        check_history(history, iteration, rows, own, reference_log_probs)
        returns = []
        for i, (_, answer) in enumerate(rows):
            score = sum(WORTH[token] for token in answer)
            returns.append(score - 0.3 * (sum(own[i]) - sum(reference_log_probs[i])))
        loss = 0.0
        for i in range(6):
            group = [0, 1, 2] if i < 3 else [3, 4, 5]  # the answers to the same prompt
            others = [returns[j] for j in group if j != i]
            advantage = returns[i] - (others[0] + others[1]) / 2
            loss = loss - advantage * sum(log_probs[i]) / 6
        adam.step(loss)
    assert len(seen) == 2 and history.clipped == []
    assert_worth_a_test(seen, adam)
    assert_same(ours, theirs)


OPTIONS = {"epsilon_high": 0.3, "dual_clip": 1.05, "unbiased_whitening": True}


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["plain", "options"])
def test_ppo(options, dropout):
    ours, reference, seen = decoder(0, dropout), decoder(1, dropout), []
    our_value = ValueModel(decoder(2, dropout), generator=torch.Generator().manual_seed(5)).double().train()
    theirs, their_value, judge = (deepcopy(model).eval() for model in (ours, our_value, reference))
    settings = PolicySettings(
        iterations=2, learning_rate=0.02, max_grad_norm=5.0, epochs=3, epsilon=0.1, lam=0.8, value_weight=0.7,
        **SETTINGS, **options,
    )  # fmt: skip
    arguments = (ours, our_value, reference, score_that_keeps(seen), PROMPTS, settings)
    history = ppo(*arguments, eos_id=END, show_progress=False)

    adam = AdamByHand([*theirs.parameters(), *their_value.parameters()], rate=0.02, limit=5.0)
    branches = set()
    for iteration, rows in enumerate(seen):
        own, reference_log_probs = ([numbers(log_probs_by_hand(m, *row)) for row in rows] for m in (theirs, judge))
        old_values = [numbers(values_by_hand(their_value, *row)) for row in rows]
        check_history(history, iteration, rows, own, reference_log_probs)
        estimates = [
            estimate_by_hand(row[1], *known) for row, *known in zip(rows, own, reference_log_probs, old_values)
        ]
        advantages = whitened_by_hand([gains for gains, _ in estimates], unbiased=bool(options))
        for _ in range(3):
            loss, outside, number = 0.0, 0, sum(len(answer) for _, answer in rows)
            for i, row in enumerate(rows):
                new, values = log_probs_by_hand(theirs, *row), values_by_hand(their_value, *row)
                for t in range(len(row[1])):
                    ratio = (new[t] - own[i][t]).exp()
                    gain, branch = gain_by_hand(ratio, advantages[i][t], options)
                    miss = values[t] - estimates[i][1][t]
                    loss = loss - (gain - 0.7 * 0.5 * miss**2) / number  # each token weighs the same
                    outside += not 0.9 <= ratio.item() <= 1 + options.get("epsilon_high", 0.1)
                    branches.add(branch)
            adam.step(loss)
        assert history.clipped[iteration] == pytest.approx(outside / number)
    assert len(seen) == 2
    assert branches == {"ratio", "above", "below", *(["floor"] if options else [])}
    assert_worth_a_test(seen, adam)
    assert_same(ours, theirs)
    assert_same(our_value, their_value)


def estimate_by_hand(answer, own, reference, old_values):
    """Advantages and returns of one answer's tokens: the KL penalty on each, the score on the last, then GAE."""
    T = len(answer)
    rewards = [-0.3 * (own[t] - reference[t]) for t in range(T)]
    rewards[-1] += sum(WORTH[token] for token in answer)
    following = [*old_values[1:], 0.0]
    errors = [rewards[t] + following[t] - old_values[t] for t in range(T)]
    advantages = [sum(0.8 ** (k - t) * errors[k] for k in range(t, T)) for t in range(T)]
    return advantages, [advantages[t] + old_values[t] for t in range(T)]


def whitened_by_hand(table, unbiased):
    """Mean 0 and variance 1 over all tokens of all answers."""
    everything = [x for row in table for x in row]
    mean = sum(everything) / len(everything)
    variance = sum((x - mean) ** 2 for x in everything) / (len(everything) - unbiased)
    return [[(x - mean) / math.sqrt(variance + 1e-8) for x in row] for row in table]


def gain_by_hand(ratio, advantage, options):
    """Schulman's clip in words: no reason to go further than its ends, every reason to come back from beyond them."""
    low, high, floor = 0.9, 1 + options.get("epsilon_high", 0.1), options.get("dual_clip", math.inf)
    if advantage >= 0:
        return (high * advantage, "above") if ratio.item() > high else (ratio * advantage, "ratio")
    if ratio.item() < low:
        return low * advantage, "below"
    return (floor * advantage, "floor") if ratio.item() > floor else (ratio * advantage, "ratio")
