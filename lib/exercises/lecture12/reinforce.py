"""Exercise of notebook 12: the gradient of an expected reward, from samples."""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


def _numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


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
        case("logits around a thousand", z + 1000, drawn, rewards),
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


def _one_reward_a_word(logits, answers, rewards):
    kept = torch.zeros_like(logits)
    for answer, reward in zip(answers.tolist(), rewards):
        kept[answer] = reward
    return estimate(logits, answers, kept[answers])


def _drawn_entry_only(logits, answers, rewards):
    own = rewards * (1 - torch.softmax(logits, dim=0)[answers])
    return torch.zeros_like(logits).index_add(0, answers, own) / len(answers)


def _with_probabilities(probabilities_of):
    def mean(logits, answers, rewards):
        scores = torch.eye(len(logits), dtype=logits.dtype)[answers] - probabilities_of(logits)
        return (rewards[:, None] * scores).mean(dim=0)

    return mean


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
            "You add up the samples. An expectation is estimated by their mean: the 1/N in the formula.",
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
            "one_reward_a_word",
            _one_reward_a_word,
            "You keep one reward for each word, the last. Two draws of the same word may get different rewards: weigh "
            "each draw's score by its own.",
        ),
        Misconception(
            "drawn_entry_only",
            _drawn_entry_only,
            "You change the entry of the drawn word only. Its score onehot(y) − p has an entry for every word: the "
            "others get −p_k.",
        ),
        Misconception(
            "softmax_forgotten",
            _with_probabilities(torch.exp),
            "You take exp(logits) for the probabilities. That holds only for logits that are log-probabilities "
            "already: divide by their sum, or use softmax.",
        ),
        Misconception(
            "exponential_overflows",
            _with_probabilities(lambda z: z.exp() / z.exp().sum()),
            "exp of a large logit is infinite, and ∞/∞ is NaN. torch.softmax takes the largest logit off first.",
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
            "the estimate); the exercise asks for the plain form.",
        ),
    ),
    hints=(
        "For a softmax, the gradient of log p_y with respect to the logits is onehot(y) − p.",
        "Each sample has a score of its own, a row (K,). Multiply row i by rewards[i], then take the mean over the rows.",
        "torch.eye(K)[answers] makes the rows onehot(y_i). Autograd is another way: which scalar has this gradient?",
    ),
)

EXERCISES = (ESTIMATE,)
