"""Exercises of notebook 13: the reward with a KL penalty (slide T32), and the two parts of PPO."""

import torch
from torch import Tensor

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture13.gae import GAE


# --- ppo.kl_penalised_reward ------------------------------------------------------------------------------------------
def kl_penalised_reward(reward: Tensor, log_prob: Tensor, reference_log_prob: Tensor, beta: float) -> Tensor:
    """r − β (log π − log π_ref), for whole answers (slide T32, with its bracket corrected)."""
    return objectives.kl_penalised_reward(reward, log_prob, reference_log_prob, beta=beta)


def _rewards(generator):
    reward, log_prob, reference = torch.randn(3, 5, generator=generator)
    log_prob[:2], reference[:2] = torch.tensor([2.0, 0.5]), torch.tensor([0.5, 2.0])  # less likely, and more
    return [
        case("r = 1, β = 0.1, log π = −2, log π_ref = −3", *torch.tensor([[1.0], [-2.0], [-3.0]]), 0.1),
        case("five answers", reward, -2 - log_prob.abs(), -2 - reference.abs(), 0.5),
        case("the policy is its reference", reward[:3], -1 - log_prob[:3].abs(), -1 - log_prob[:3].abs(), 0.7),
        case("long answers, whose probability is 0 in float32", reward, 9 * log_prob - 300, 9 * reference - 300, 0.05),
        case("a single answer, without a dimension", *torch.tensor([0.5, -7.0, -4.0]), 2.0),
        case("two prompts with two answers each", *(-torch.arange(12.0).view(3, 2, 2)).flip(2), 0.2),
    ]


def _split_bracket(reward, log_prob, reference_log_prob, beta):
    return reward + beta * reference_log_prob - beta * log_prob


KL_PENALISED_REWARD = Exercise(
    id="ppo.kl_penalised_reward",
    slides=("T32",),
    points=2,
    minutes=8,
    title="A reward with a KL penalty",
    reference=kl_penalised_reward,
    cases=_rewards,
    accepts=(_split_bracket,),
    withheld=("lib.objectives.kl.token_rewards",),
    misconceptions=(
        Misconception(
            "slides_bracket",
            lambda r, p, q, beta: r - beta * p - q,
            "This is the line as slide T32 prints it, with the bracket closed too early: 4.2 for its r = 1. β must "
            "multiply "
            "*both* logarithms, or the policy is rewarded for what the reference finds unlikely.",
        ),
        Misconception(
            "wrong_way_round",
            lambda r, p, q, beta: r + beta * (p - q),
            "You subtract log π_ref − log π, which rewards the policy for moving away from the reference. The KL "
            "divergence "
            "of π *from* π_ref is the mean of log π − log π_ref, and it is subtracted.",
        ),
        Misconception(
            "beta_on_the_reward",
            lambda r, p, q, beta: beta * r - (p - q),
            "You multiply the reward by β. On the slide β multiplies the distance from the reference: β → 0 must leave "
            "r "
            "unchanged.",
        ),
        Misconception(
            "reference_forgotten",
            lambda r, p, q, beta: r - beta * p,
            "Without log π_ref you penalise every answer that the policy finds likely: that is an entropy bonus. For a "
            "policy "
            "that equals its reference the penalty must be 0.",
        ),
        Misconception(
            "policy_forgotten",
            lambda r, p, q, beta: r + beta * q,
            "Your penalty depends only on the reference. It is the *difference* of the two log-probabilities.",
        ),
        Misconception(
            "weighted_by_the_probability",
            lambda r, p, q, beta: r - beta * p.exp() * (p - q),
            "The factor π(y|x) of the KL divergence is already there: the answers are sampled from π, so that a mean "
            "weights "
            "each by its probability. You count it twice.",
        ),
        Misconception(
            "ratio_without_log",
            lambda r, p, q, beta: r - beta * (p - q).exp(),
            "You subtract the ratio π / π_ref itself. The KL divergence is the mean of its *logarithm*: at π = π_ref "
            "the "
            "penalty must be 0, not β.",
        ),
        Misconception(
            "negative_part_cut",
            lambda r, p, q, beta: r - beta * (p - q).clamp(min=0),
            "You cut log π − log π_ref off at 0. A KL divergence is never negative, but one sample of it may be: cut off, "
            "their mean would be too large.",
        ),
        Misconception(
            "k3",
            lambda r, p, q, beta: r - beta * ((q - p).exp() - 1 + p - q),
            "This has the right mean (it is Schulman's estimator k3), but is not linear in the log-probabilities, as the "
            "exercise asks: leave out what has mean 0.",
        ),
        Misconception(
            "mean_returned",
            lambda r, p, q, beta: kl_penalised_reward(r, p, q, beta).mean(),
            "You return the mean. Every answer gets a reward of its own.",
        ),
        Misconception(
            "never_negative",
            lambda r, p, q, beta: r - beta * (p - q).abs(),
            "You take the absolute value. One sample of log π − log π_ref may be negative; only its mean, the KL "
            "divergence, "
            "may not. An answer that π finds less likely than the reference does gets a bonus.",
        ),
    ),
    hints=(
        "Its mean over answers of π must be E[r] − β KL[π ‖ π_ref]. Which number has that KL divergence as its mean?",
        "KL[π ‖ π_ref] is the mean of log π − log π_ref. Put both into one bracket, with β in front.",
    ),
)


# --- ppo.clip_loss ----------------------------------------------------------------------------------------------------
def clip_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, response_mask: Tensor, epsilon: float
) -> Tensor:
    """PPO's clipped loss, the mean over all tokens of the answers (Schulman et al. 2017, eq. 7)."""
    return objectives.ppo_clip_loss(log_probs, old_log_probs, advantages, response_mask, epsilon=epsilon)


def _steps(generator):
    new, old, advantages = torch.randn(3, 3, 5, generator=generator)
    mask = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 1, 0]]).bool()
    gone, good = torch.tensor([[0.0, 0.5, -0.5]]), torch.tensor([[0.0, 2.0, 0.7]])
    seen = torch.tensor([[False, True, True]])
    return [
        case("three answers of different lengths", new / 2 - 2, old / 2 - 2, 1 + advantages, mask, 0.2),
        case("ratios beyond both ends, positive advantages", gone - 1, 0 * gone - 1, good, seen, 0.2),
        case("the same with negative advantages", gone - 1, 0 * gone - 1, -2 * good, seen, 0.2),
        case("the first step: the ratio is 1", old / 2 - 2, old / 2 - 2, advantages - 1, mask, 0.1),
        case("a narrow clip, ε = 0.1", gone - 1, 0 * gone - 1, torch.tensor([[1.0, 2.0, -0.7]]), seen, 0.1),
        case("a wide clip, ε = 0.5", new - 2, old - 2, advantages, mask, 0.5),
    ]


def _clip(objective):
    def loss(log_probs, old_log_probs, advantages, response_mask, epsilon):
        per_token = objective((log_probs - old_log_probs).exp(), advantages, epsilon)
        return -per_token[response_mask].mean()

    return loss


def _pessimistic(ratio, advantages, epsilon):
    return torch.minimum(ratio * advantages, ratio.clamp(1 - epsilon, 1 + epsilon) * advantages)


def _reduced(reduce):
    def loss(log_probs, old_log_probs, advantages, response_mask, epsilon):
        return -reduce(_pessimistic((log_probs - old_log_probs).exp(), advantages, epsilon), response_mask)

    return loss


CLIP_LOSS = Exercise(
    id="ppo.clip_loss",
    slides=("T29", "T32"),
    points=4,
    minutes=15,
    title="PPO's clipped loss",
    reference=clip_loss,
    cases=_steps,
    gradient=("log_probs",),
    accepts=(  # a positive advantage is only bounded above, a negative one only below
        _clip(lambda r, a, e: torch.where(a > 0, r.clamp(max=1 + e), r.clamp(min=1 - e)) * a),
    ),
    misconceptions=(
        Misconception(
            "sign_forgotten",
            lambda *args: -clip_loss(*args),
            "The objective should be maximised, but an optimiser minimises: put a minus sign before the mean.",
        ),
        Misconception(
            "ratio_upside_down",
            lambda new, old, *rest: clip_loss(old, new, *rest),
            "Your ratio is π_old / π. The new policy is the numerator: exp(log_probs − old_log_probs).",
        ),
        Misconception(
            "clips_the_log",
            _clip(
                lambda r, a, e: torch.minimum(r * a, r.log().clamp(1 - e, 1 + e).exp() * a),
            ),
            "You clip the logarithm of the ratio to [1 − ε, 1 + ε]. An unchanged policy has ratio 1, but "
            "log-ratio 0: take exp first, then clip.",
        ),
        Misconception(
            "ratio_of_logs",
            lambda new, old, a, mask, e: -_pessimistic(new / old, a, e)[mask].mean(),
            "You divide one log-probability by the other. The ratio of two probabilities is exp of the "
            "*difference* of their logarithms.",
        ),
        Misconception(
            "difference_for_ratio",
            lambda new, old, a, mask, e: -_pessimistic(new - old, a, e)[mask].mean(),
            "Your ratio is a difference of logarithms, 0 for an unchanged policy. The ratio is its exp.",
        ),
        Misconception(
            "epsilon_fixed",
            lambda new, old, a, mask, e: clip_loss(new, old, a, mask, 0.2),
            "Your ε is always 0.2. It is an argument: use it.",
        ),
        Misconception(
            "detached",
            lambda *args: clip_loss(*args).detach(),
            DETACHED,
        ),
        Misconception(
            "max_for_min",
            _clip(lambda r, a, e: torch.maximum(r * a, r.clamp(1 - e, 1 + e) * a)),
            "You take the larger of the two. PPO takes the smaller: a clipped gain gives no gradient to go further, "
            "while a "
            "loss counts in full.",
        ),
        Misconception(
            "clip_without_min",
            _clip(lambda r, a, e: r.clamp(1 - e, 1 + e) * a),
            "Clipping alone also stops the gradient where the policy moved in the *wrong* direction and must return. "
            "The "
            "minimum with the unclipped ratio keeps it.",
        ),
        Misconception(
            "never_clipped",
            _clip(lambda r, a, e: r * a),
            "Nothing is clipped: with only ratio × advantage the policy can move arbitrarily far in one batch.",
        ),
        Misconception(
            "clipped_above_only",
            _clip(lambda r, a, e: torch.minimum(r * a, r.clamp(max=1 + e) * a)),
            "You clip only above. With a negative advantage the lower end, 1 − ε, is the limit.",
        ),
        Misconception(
            "clips_the_product",
            _clip(lambda r, a, e: torch.minimum(r * a, (r * a).clamp(1 - e, 1 + e))),
            "You clip ratio × advantage. [1 − ε, 1 + ε] bounds the ratio; an advantage has another scale, and a sign.",
        ),
        Misconception(
            "mean_over_everything",
            _reduced(lambda v, m: (v * m).mean()),
            "The sum leaves out prompt and padding, but the mean also divides by their number. Divide by mask.sum().",
        ),
        Misconception(
            "prompt_counted",
            _reduced(lambda v, m: v.mean()),
            "Every column counts in your mean. The policy chose only the tokens of the response: use the mask.",
        ),
        Misconception(
            "answers_weigh_the_same",
            _reduced(lambda v, m: ((v * m).sum(1) / m.sum(1)).mean()),
            "You average each answer first, then the answers. Here every *token* has the same weight: one mean over "
            "all "
            "tokens of the mask.",
        ),
    ),
    hints=(
        "ratio = exp(log_probs − old_log_probs) is 1 for an unchanged policy; torch.clamp(ratio, 1 − ε, 1 + ε) clips "
        "it.",
        "torch.minimum(ratio·A, clipped·A) for each token; then minus the mean over the tokens of response_mask.",
    ),
    withheld=(
        "lib.objectives.policy._clip_range",
        "lib.objectives.policy._ratio",
    ),
)

EXERCISES = (KL_PENALISED_REWARD, CLIP_LOSS, GAE)
