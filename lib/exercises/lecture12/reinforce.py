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
        case("an undecided policy", _numbers(0.0, 0.0, 0.0, 0.0), _numbers(1.0, 0.0, 0.0, 3.0)),
        case("all rewards equal", z, torch.full_like(r, 2)),
        case("rewards around a hundred", z, 100 + r),
        case("logits of a thousand", _numbers(1000.0, 999.0, -1000.0), _numbers(0.0, 1.0, 2.0)),
    ]


def _by_autograd(logits, rewards):
    z = logits.clone().requires_grad_()
    return torch.autograd.grad(torch.softmax(z, dim=0) @ rewards, z)[0]


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
    ),
    misconceptions=(
        Misconception(
            "expected_reward_forgotten",
            lambda z, r: torch.softmax(z, dim=0) * r,
            "That is p_k R_k. Raising one logit lowers all other probabilities: what they lose is the −p_k J in "
            "p_k (R_k − J).",
        ),
        Misconception(
            "probability_forgotten",
            lambda z, r: r - torch.softmax(z, dim=0) @ r,
            "R_k − J says how good an answer is. How much its logit matters depends on its probability: the factor "
            "p_k is missing.",
        ),
        Misconception(
            "plain_mean",
            lambda z, r: torch.softmax(z, dim=0) * (r - r.mean()),
            "You compare with the plain mean of the rewards. What the policy earns is Σ p_k R_k: likely answers "
            "weigh more.",
        ),
        Misconception(
            "descends",
            lambda z, r: -policy_gradient(z, r),
            "The sign is turned round: this is the gradient of −J, a loss. Asked is the direction in which J grows.",
        ),
        Misconception(
            "with_respect_to_probabilities",
            lambda z, r: r.clone(),
            "∂J/∂p_k = R_k is the gradient for free numbers p_k. They must sum to 1, so the parameters are the "
            "logits: "
            "go on through the softmax.",
        ),
        Misconception(
            "logits_as_probabilities",
            lambda z, r: z * (r - z @ r),
            "Your p are the logits themselves. Probabilities come from softmax(logits).",
        ),
        Misconception(
            "diagonal_only",
            lambda z, r: (p := torch.softmax(z, dim=0)) * (1 - p) * r,
            "p_k (1 − p_k) is how an answer's own probability answers to its logit. The other probabilities move "
            "as well: "
            "−p_k p_j for each other j.",
        ),
        Misconception(
            "every_answer_once",
            _weights_forgotten,
            "You differentiate Σ R_y log p_y, where every answer counts alike. The expectation weighs them by p_y.",
        ),
    ),
    hints=(
        "∂p_j/∂z_k = p_j (1[j = k] − p_k). Put it into Σ_j R_j ∂p_j/∂z_k and collect.",
        "With p = softmax(logits) and J = (p * rewards).sum(), the answer has one line: p * (rewards − J). "
        "torch.autograd.grad is a fine way too.",
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
    drawn[:3] = torch.tensor([0, 0, 1])  # whatever is drawn: one answer comes twice, and not all are the same
    rewards = torch.randn(8, generator=generator, dtype=torch.float64)
    return [
        case("three samples", z[:3], torch.tensor([0, 0, 2]), _numbers(1.0, 1.0, -3.0)),
        case("one sample, rewarded", z, torch.tensor([2]), _numbers(2.0)),
        case("one sample, punished", z, torch.tensor([2]), _numbers(-2.0)),
        case("eight samples, rewards that vary for one answer", z, drawn, rewards),
        case("no reward at all", z, drawn, torch.zeros(8).double()),
    ]


def _estimate_by_autograd(logits, answers, rewards):
    z = logits.clone().requires_grad_()
    (torch.log_softmax(z, dim=0)[answers] * rewards).mean().backward()
    return z.grad


def _probability(logits, answers, rewards):
    p = torch.softmax(logits, dim=0)[answers]
    return ((rewards * p)[:, None] * _scores(logits, answers)).mean(dim=0)


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
    accepts=(_estimate_by_autograd,),
    withheld=(
        "lib.objectives.policy.reinforce_loss",
        "lib.slides.recomputed.reinforce._estimate",
        "lib.worlds.bandit.estimate_gradients",
    ),
    misconceptions=(
        Misconception(
            "sum",
            lambda z, y, r: estimate(z, y, r) * len(y),
            "You add the samples up. An expectation is estimated by their mean: slide T31's 1/N.",
        ),
        Misconception(
            "descends",
            lambda z, y, r: -estimate(z, y, r),
            "The sign is turned round: a rewarded answer would become rarer. (As a loss one writes the minus; "
            "asked here is the "
            "direction in which the reward grows.)",
        ),
        Misconception(
            "one_hot_only",
            lambda z, y, r: (r[:, None] * torch.eye(len(z), dtype=z.dtype)[y]).mean(dim=0),
            "Σ R_i onehot(y_i) is the gradient of the chosen *logits*. log p also holds −log Σ exp(z), which "
            "brings the −p.",
        ),
        Misconception(
            "probability_for_log",
            _probability,
            "You used ∇p(y_i) where ∇log p(y_i) stands. The samples already come as often as they are likely: p "
            "would be counted twice.",
        ),
        Misconception(
            "means_multiplied",
            lambda z, y, r: r.mean() * _scores(z, y).mean(dim=0),
            "You multiply the mean reward with the mean score. Each sample's own reward belongs to its own score, "
            "before the mean.",
        ),
        Misconception(
            "each_answer_once",
            _each_answer_once,
            "You count every different answer once. That an answer came twice is what tells how likely it is: keep "
            "repetitions.",
        ),
        Misconception(
            "mean_reward_subtracted",
            lambda z, y, r: estimate(z, y, r - r.mean()),
            "You subtracted the mean reward of the sample. That comes later in this notebook (and changes the mean "
            "of the estimate); "
            "here the slide's plain form is asked.",
        ),
    ),
    hints=(
        "For a softmax, the gradient of log p_y with respect to the logits is onehot(y) − p.",
        "By hand: (rewards[:, None] * (onehot − p)).mean(dim=0). By autograd: log_softmax(z)[answers] * rewards, "
        "its mean, .backward().",
    ),
)

EXERCISES = (POLICY_GRADIENT, ESTIMATE)
