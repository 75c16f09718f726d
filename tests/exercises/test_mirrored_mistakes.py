"""Mistakes that are mirror images of each other, written here once more from their hints alone.

Two entries whose answers are exchanged agree with themselves, and would tell a student the reverse of what is wrong.
"""

import math
from functools import cache

import pytest
import torch

from lib.exercises import get
from lib.exercises.engine.checking import AnswerKey, conclude, run_all


def gae(rewards, values, mask, back, ahead):
    """GAE as a loop: each step back multiplies by `back`, the next value by `ahead`."""
    advantages = torch.zeros_like(rewards)
    for row in range(len(rewards)):
        running, following = 0.0, 0.0
        for t in reversed(range(rewards.shape[1])):
            if mask[row, t]:
                running = rewards[row, t] + ahead * following - values[row, t] + back * running
                advantages[row, t], following = running, values[row, t]
    return advantages, (advantages + values) * mask


def attend(q, k, v, mask, scale):
    return torch.softmax((q @ k.mT / scale).masked_fill(~mask, -math.inf), dim=-1) @ v


def next_token_nats(logits, ids, mask, counts):
    nats = -torch.log_softmax(logits, dim=-1)[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    counted = counts(mask.bool()[:, :-1], mask.bool()[:, 1:])
    return nats[counted].mean()


def merged(one, other, rescale_sums=True, rescale_values=True):
    top = max(one[0], other[0])
    parts = [(math.exp(m - top), s, v) for m, s, v in (one, other)]
    sums = sum((f if rescale_sums else 1) * s for f, s, _ in parts)
    return top, sums, sum((f if rescale_values else 1) * v for f, _, v in parts)


def cache_bytes(layers, heads, kv_heads, d_model, batch_size, length, window, more=0, copies=None):
    tokens = (length if window is None else min(length, window + (more > 0))) + min(more, 0)
    kept = 2 * 2 * kv_heads * (d_model // heads)
    return kept * (tokens * batch_size * layers if copies is None else copies(tokens, batch_size, layers))


def states(parameters, weight_bytes, optimizer, master, moments):
    return parameters * (2 * weight_bytes + 4 * moments[optimizer] + 4 * master)


def tuned(x, y, weight, A, alpha, rate, steps, order="both", train="AB"):
    A, B = A.clone(), torch.zeros(weight.shape[0], A.shape[0], dtype=weight.dtype)
    scale = alpha / len(A)

    def of_A(B, error):
        return rate * scale * B.T @ error.T @ x * ("A" in train)

    def of_B(A, error):
        return rate * scale * error.T @ (x @ A.T) * ("B" in train)

    for _ in range(steps):
        error = 2 * (x @ (weight + scale * B @ A).T - y) / y.numel()  # of the same loss for both
        if order == "B first":
            B = B - of_B(A, error)
            A = A - of_A(B, error)
        elif order == "A first":
            A = A - of_A(B, error)
            B = B - of_B(A, error)
        else:
            A, B = A - of_A(B, error), B - of_B(A, error)
    return weight + scale * B @ A


BY_HAND = {
    ("ppo.gae", "lambda_forgotten"): lambda r, v, m, gamma, lam: gae(r, v, m, gamma, gamma),
    ("ppo.gae", "gamma_forgotten"): lambda r, v, m, gamma, lam: gae(r, v, m, lam, gamma),
    ("ppo.gae", "next_value_not_discounted"): lambda r, v, m, gamma, lam: gae(r, v, m, gamma * lam, 1),
    ("ppo.gae", "next_value_forgotten"): lambda r, v, m, gamma, lam: gae(r, v, m, gamma * lam, 0),
    ("ppo.gae", "one_step_only"): lambda r, v, m, gamma, lam: gae(r, v, m, 0, gamma),
    ("attention.attention", "divided_by_root_of_d_v"): lambda q, k, v, mask: attend(q, k, v, mask, v.shape[-1] ** 0.5),
    ("attention.attention", "divided_by_root_of_keys"): lambda q, k, v, mask: attend(q, k, v, mask, len(k) ** 0.5),
    ("attention.attention", "divided_by_root_of_queries"): lambda q, k, v, mask: attend(q, k, v, mask, len(q) ** 0.5),
    ("attention.attention", "divided_by_k"): lambda q, k, v, mask: attend(q, k, v, mask, k.shape[-1]),
    ("attention.attention", "not_scaled"): lambda q, k, v, mask: attend(q, k, v, mask, 1),
    ("autoregressive.loss", "only_the_target_real"): lambda z, ids, m: next_token_nats(z, ids, m, lambda a, b: b),
    ("autoregressive.loss", "only_the_left_one_real"): lambda z, ids, m: next_token_nats(z, ids, m, lambda a, b: a),
    ("autoregressive.loss", "padding_counts"): lambda z, ids, m: next_token_nats(z, ids, m, lambda a, b: a | True),
    ("online.merge", "values_not_rescaled"): lambda one, other: merged(one, other, rescale_values=False),
    ("online.merge", "sums_not_rescaled"): lambda one, other: merged(one, other, rescale_sums=False),
    ("cache.kv_cache_bytes", "window_and_one"): lambda *given: cache_bytes(*given, more=1),
    ("cache.kv_cache_bytes", "newest_token_missing"): lambda *given: cache_bytes(*given, more=-1),
    ("cache.kv_cache_bytes", "batch_forgotten"): lambda *given: cache_bytes(
        *given, copies=lambda t, b, layers: t * layers
    ),
    ("cache.kv_cache_bytes", "one_layer"): lambda *given: cache_bytes(*given, copies=lambda t, b, layers: t * b),
    ("memory.training_bytes", "sgd_as_adam"): lambda *given: states(*given, {"adam": 2, "momentum": 1, "sgd": 2}),
    ("memory.training_bytes", "momentum_as_adam"): lambda *given: states(*given, {"adam": 2, "momentum": 2, "sgd": 0}),
    ("memory.training_bytes", "second_moment_only"): lambda *given: states(
        *given, {"adam": 1, "momentum": 1, "sgd": 0}
    ),
    ("memory.training_bytes", "adam_for_all"): lambda *given: states(*given, {"adam": 2, "momentum": 2, "sgd": 2}),
    ("lora.tune", "A_not_trained"): lambda *given: tuned(*given, train="B"),
    ("lora.tune", "B_not_trained"): lambda *given: tuned(*given, train="A"),
    ("lora.tune", "one_after_another"): lambda *given: tuned(*given, order="B first"),
    ("lora.tune", "A_first"): lambda *given: tuned(*given, order="A first"),
    ("lora.forward", "rank_from_the_inputs"): lambda x, w, A, B, a: x @ w.T + a / w.shape[1] * (x @ A.T @ B.T),
    ("lora.forward", "rank_from_the_outputs"): lambda x, w, A, B, a: x @ w.T + a / w.shape[0] * (x @ A.T @ B.T),
    ("lora.forward", "alpha_alone"): lambda x, w, A, B, a: x @ w.T + a * (x @ A.T @ B.T),
    ("lora.forward", "alpha_ignored"): lambda x, w, A, B, a: x @ w.T + x @ A.T @ B.T / len(A),
    ("lora.forward", "no_scale"): lambda x, w, A, B, a: x @ w.T + x @ A.T @ B.T,
    ("lora.forward", "update_only"): lambda x, w, A, B, a: a / len(A) * (x @ A.T @ B.T),
    ("lora.forward", "base_only"): lambda x, w, A, B, a: x @ w.T,
    ("judge.debiased_preference", "one_order_only"): lambda judge, a, b: judge(a, b),
    ("judge.debiased_preference", "swapped_order_only"): lambda judge, a, b: 1 - judge(b, a),
    ("judge.debiased_preference", "second_beats_first"): lambda judge, a, b: (judge(b, a) + 1 - judge(a, b)) / 2,
    ("judge.debiased_preference", "not_swapped_back"): lambda judge, a, b: (judge(b, a) + judge(a, b)) / 2,
    ("chain.terms", "first_word_missing"): lambda words: [
        (["[BOS]", *words[:t]], words[t]) for t in range(1, len(words))
    ],
    ("chain.terms", "last_word_missing"): lambda words: [
        (["[BOS]", *words[:t]], words[t]) for t in range(len(words) - 1)
    ],
    ("peft.soft_prompt", "appended"): lambda prompt, e, mask: (
        torch.cat([e, prompt.expand(len(e), -1, -1)], dim=1),
        torch.cat([mask, torch.ones(len(e), len(prompt), dtype=mask.dtype)], dim=1),
    ),
    ("peft.soft_prompt", "mask_appended"): lambda prompt, e, mask: (
        torch.cat([prompt.expand(len(e), -1, -1), e], dim=1),
        torch.cat([mask, torch.ones(len(e), len(prompt), dtype=mask.dtype)], dim=1),
    ),
    ("dpo.optimal_policy", "normalised_over_prompts"): lambda p, r, beta: torch.softmax(p.log() + r / beta, dim=0),
    ("dpo.optimal_policy", "multiplies_by_beta"): lambda p, r, beta: torch.softmax(p.log() + r * beta, dim=-1),
    ("dpo.optimal_policy", "reference_forgotten"): lambda p, r, beta: torch.softmax(r / beta, dim=-1),
    ("baseline.leave_one_out", "includes_itself"): lambda r: r - r.mean(dim=1, keepdim=True),
    ("baseline.leave_one_out", "divides_by_n"): lambda r: r - (r.sum(1, keepdim=True) - r) / r.shape[1],
    ("quantization.int8_product", "only_x"): lambda x, s, w, t: x.float() @ w.float().T * s,
    ("quantization.int8_product", "only_w"): lambda x, s, w, t: x.float() @ w.float().T * t.T,
    ("softmax.softmax", "shift_by_the_largest_of_all_rows"): lambda z: (
        (e := torch.exp(z - z.max())) / e.sum(-1, keepdim=True)
    ),
    ("softmax.softmax", "over_the_batch"): lambda z: torch.softmax(z, dim=0),
    ("writing.draw", "from_the_other_end"): lambda probabilities, u: next(
        i for i in reversed(range(len(probabilities))) if sum(probabilities[i:]) > u or i == 0
    ),
}


@cache
def key(id):
    return AnswerKey(get(id))


@pytest.mark.parametrize(("id", "name"), BY_HAND)
def test_the_hint_is_of_the_mistake_that_was_made(id, name):
    found = conclude(key(id), run_all(get(id), BY_HAND[id, name], key(id).cases))
    assert [each.name for each in found.diagnosis.misconceptions] == [name]
