"""Exercises of notebook 12: the gradient of an expected reward, exactly and from samples."""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- reinforce.policy_gradient ----------------------------------------------------------------------------------------
def policy_gradient(logits: Tensor, rewards: Tensor) -> Tensor:
    """The gradient of J = Σ p_k R_k with respect to the logits of p: p_k (R_k − J) (slide T30)."""
    p = torch.softmax(logits, dim=0)
    return p * (rewards - (p * rewards).sum())


def _numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def _worlds(generator):
    z, r = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    return [
        case("three answers", _numbers(0.5, 0.0, -1.0), _numbers(1.0, -2.0, 3.0)),
        case("five answers", z, r),
        case("a uniform policy", _numbers(0.0, 0.0, 0.0, 0.0), _numbers(1.0, 0.0, 0.0, 3.0)),
        case("all rewards equal", z, torch.full_like(r, 2)),
        case("rewards around a hundred", z, 100 + r),
        case("logits of a thousand", _numbers(1000.0, 999.0, -1000.0), _numbers(0.0, 1.0, 2.0)),
        case("logits of minus a thousand", _numbers(-1000.0, -1001.0, -999.0), _numbers(0.0, 1.0, 3.0)),
    ]


def _by_autograd(logits, rewards):
    z = logits.clone().requires_grad_()
    return torch.autograd.grad(torch.softmax(z, dim=0) @ rewards, z)[0]


def _by_exponentials(logits, rewards):
    p = logits.exp() / logits.exp().sum()
    return p * (rewards - p @ rewards)


def _weights_forgotten(logits, rewards):
    return rewards - torch.softmax(logits, dim=0) * rewards.sum()


POLICY_GRADIENT = Exercise(
    id="reinforce.policy_gradient",
    slides=("T29", "T30"),
    points=3,
    minutes=12,
    title="The exact gradient of an expected reward",
    reference=policy_gradient,
    cases=_worlds,
    accepts=(
        _by_autograd,
        lambda z, r: (torch.diag(p := torch.softmax(z, dim=0)) - torch.outer(p, p)) @ r,
    ),
    withheld=(
        "lib.objectives.regularised.exact_policy_gradient",
        "lib.worlds.bandit.estimator_moments",
        "lib.worlds.bandit.estimate_gradients",
    ),
    misconceptions=(
        Misconception(
            "expected_reward_forgotten",
            lambda z, r: torch.softmax(z, dim=0) * r,
            "That is p_k R_k. Raising one logit lowers all other probabilities, which gives the −p_k J in p_k (R_k − "
            "J).",
        ),
        Misconception(
            "probability_forgotten",
            lambda z, r: r - torch.softmax(z, dim=0) @ r,
            "R_k − J is how good an answer is. How much its logit matters depends on its probability: the factor p_k "
            "is "
            "missing.",
        ),
        Misconception(
            "plain_mean",
            lambda z, r: torch.softmax(z, dim=0) * (r - r.mean()),
            "You compare with the plain mean of the rewards. The expected reward is Σ p_k R_k: likely answers have "
            "more "
            "weight.",
        ),
        Misconception(
            "descends",
            lambda z, r: -policy_gradient(z, r),
            "The sign is reversed: this is the gradient of −J, a loss. The exercise asks for the gradient of J.",
        ),
        Misconception(
            "with_respect_to_probabilities",
            lambda z, r: r.clone(),
            "∂J/∂p_k = R_k is the gradient for independent numbers p_k. They must sum to 1, so the parameters are the "
            "logits: "
            "apply the chain rule to the softmax.",
        ),
        Misconception(
            "logits_as_probabilities",
            lambda z, r: z * (r - z @ r),
            "Your p are the logits themselves. Probabilities come from softmax(logits).",
        ),
        Misconception(
            "diagonal_only",
            lambda z, r: (p := torch.softmax(z, dim=0)) * (1 - p) * r,
            "p_k (1 − p_k) is the derivative of an answer's own probability in its logit. The other probabilities "
            "change too: "
            "−p_k p_j for each other j.",
        ),
        Misconception(
            "overflows",
            _by_exponentials,
            "exp(1000) is ∞ and exp(−1000) is 0: ∞/∞ and 0/0 are NaN. torch.softmax subtracts the largest logit first.",
        ),
        Misconception(
            "every_answer_once",
            _weights_forgotten,
            "You differentiate Σ R_y log p_y, where all answers have equal weight. The expectation weights them by "
            "p_y.",
        ),
    ),
    hints=(
        "∂p_j/∂z_k = p_j (1[j = k] − p_k). Put it into Σ_j R_j ∂p_j/∂z_k and collect.",
        "With p = softmax(logits) and J = (p * rewards).sum(), the answer is one line: p * (rewards − J). "
        "torch.autograd.grad works too.",
    ),
)


# --- reinforce.estimate -----------------------------------------------------------------------------------------------
def estimate(logits: Tensor, answers: Tensor, rewards: Tensor) -> Tensor:
    """1/N Σ R_i ∇ log p(y_i) for sampled answers and their rewards, with respect to the logits (slide T31)."""
    return (rewards[:, None] * _scores(logits, answers)).mean(dim=0)


def _scores(logits, answers):
    return torch.eye(len(logits), dtype=logits.dtype)[answers] - torch.softmax(logits, dim=0)


def _samples(generator):
    z = torch.randn(4, generator=generator, dtype=torch.float64)
    drawn = torch.multinomial(torch.softmax(z, dim=0), 8, replacement=True, generator=generator)
    drawn[:3] = torch.tensor([0, 0, 1])  # in every draw an answer is repeated, and not all are equal
    rewards = torch.randn(8, generator=generator, dtype=torch.float64)
    return [
        case("three samples", z[:3], torch.tensor([0, 0, 2]), _numbers(1.0, 2.0, -4.0)),
        case("one sample, positive reward", z, torch.tensor([2]), _numbers(2.0)),
        case("one sample, negative reward", z, torch.tensor([2]), _numbers(-2.0)),
        case("eight samples, different rewards for the same answer", z, drawn, rewards),
        case("all rewards 0", z, drawn, torch.zeros(8).double()),
    ]


def _estimate_by_autograd(logits, answers, rewards):
    z = logits.clone().requires_grad_()
    (torch.log_softmax(z, dim=0)[answers] * rewards).mean().backward()
    return z.grad


def _probability(logits, answers, rewards):
    p = torch.softmax(logits, dim=0)[answers]
    return ((rewards * p)[:, None] * _scores(logits, answers)).mean(dim=0)


def _by_counting(logits, answers, rewards):
    earned = torch.zeros_like(logits).index_add(0, answers, rewards)
    return earned / len(answers) - rewards.mean() * torch.softmax(logits, dim=0)


def _repetitions_lost(logits, answers, rewards):
    earned = torch.zeros_like(logits)
    earned[answers] += rewards
    return earned / len(answers) - rewards.mean() * torch.softmax(logits, dim=0)


def _each_answer_once(logits, answers, rewards):
    seen = answers.unique()
    means = torch.stack([rewards[answers == k].mean() for k in seen])
    return estimate(logits, seen, means)


ESTIMATE = Exercise(
    id="reinforce.estimate",
    slides=("T31",),
    points=3,
    minutes=12,
    title="The same gradient from samples",
    reference=estimate,
    cases=_samples,
    accepts=(_estimate_by_autograd, _by_counting),
    withheld=(
        "lib.objectives.policy.reinforce_loss",
        "lib.slides.recomputed.reinforce._estimate",
        "lib.worlds.bandit.estimate_gradients",
    ),
    misconceptions=(
        Misconception(
            "sum",
            lambda z, y, r: estimate(z, y, r) * len(y),
            "You add up the samples. An expectation is estimated by their mean: slide T31's 1/N.",
        ),
        Misconception(
            "descends",
            lambda z, y, r: -estimate(z, y, r),
            "The sign is reversed: a rewarded answer would become less likely. (A loss has this minus sign; the "
            "exercise "
            "asks for the direction that raises the reward.)",
        ),
        Misconception(
            "one_hot_only",
            lambda z, y, r: (r[:, None] * torch.eye(len(z), dtype=z.dtype)[y]).mean(dim=0),
            "Σ R_i onehot(y_i) is the gradient of the chosen *logits*. log p also contains −log Σ exp(z), "
            "which gives −p.",
        ),
        Misconception(
            "probability_for_log",
            _probability,
            "You used ∇p(y_i) instead of ∇log p(y_i). Likely answers are already sampled more often, so p would be "
            "counted "
            "twice.",
        ),
        Misconception(
            "reward_by_answer",
            lambda z, y, r: estimate(z, y, r[y]),
            "You look the reward up by the answer's number. rewards[i] is what sample i got, and so belongs to answers[i].",
        ),
        Misconception(
            "repetitions_lost",
            _repetitions_lost,
            "With an index that occurs twice, x[index] += … adds only once: index_add counts every sample.",
        ),
        Misconception(
            "divided_by_answers",
            lambda z, y, r: estimate(z, y, r) * len(y) / len(z),
            "You divide by K, the number of possible answers. The mean is over the N samples.",
        ),
        Misconception(
            "means_multiplied",
            lambda z, y, r: r.mean() * _scores(z, y).mean(dim=0),
            "You multiply the mean reward by the mean of ∇log p. Multiply each sample's reward by its own ∇log p, then "
            "take "
            "the mean.",
        ),
        Misconception(
            "each_answer_once",
            _each_answer_once,
            "You count every different answer once. Repetitions show how likely an answer is: keep them.",
        ),
        Misconception(
            "mean_reward_subtracted",
            lambda z, y, r: estimate(z, y, r - r.mean()),
            "You subtracted the mean reward of the sample. That comes later in this notebook (and changes the mean of "
            "the "
            "estimate); the exercise asks for the slide's plain form.",
        ),
    ),
    hints=(
        "For a softmax, the gradient of log p_y with respect to the logits is onehot(y) − p.",
        "By hand: (rewards[:, None] * (onehot − p)).mean(dim=0). By autograd: log_softmax(z)[answers] * rewards, "
        "its mean, .backward().",
    ),
)

EXERCISES = (POLICY_GRADIENT, ESTIMATE)
