"""Exercises of notebook 12: answers of many tokens, and which token gets credit for which reward."""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import Function, token_policy, value_head


# --- credit.surrogate -------------------------------------------------------------------------------------------------
def surrogate(theta: Tensor, log_probs: Function, baseline: Function, rewards: Tensor, response_mask: Tensor) -> Tensor:
    """The ascent direction 1/N Σ_i (R_i − b_i) ∇ log π(y_i), where policy and baseline share the parameters `theta`."""
    return _direction(theta, log_probs, baseline, rewards, response_mask, _summed)


def _summed(token_log_probs, weights, mask):
    return (weights[:, None] * token_log_probs * mask).sum(1).mean()


def _direction(theta, log_probs, baseline, rewards, response_mask, objective, leak=False):
    parameters = theta.clone().requires_grad_()
    predicted = baseline(parameters) if leak else baseline(parameters).detach()
    value = objective(log_probs(parameters), rewards - predicted, response_mask.double())
    return torch.autograd.grad(value, parameters)[0]


def _batches(generator):
    seed = int(torch.randint(1000, (1,), generator=generator))
    theta, rewards = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    fixed, some = torch.tensor([[0.5, -1.0, 0.25], [1.0, -2.0, 3.0]]).double()
    mask = torch.tensor([[False, True, True, True], [False, True, False, False], [False, False, True, True]])
    long = torch.arange(2000) >= torch.tensor([[1], [1996]])

    def batch(what, theta, rewards, mask, seed):
        policy, head = Made(token_policy, (*mask.shape, seed)), Made(value_head, (len(mask), seed))
        return case(what, theta, policy, head, rewards, mask)

    return [
        batch("three answers of different lengths", fixed, some, mask, 7),
        batch("another policy", theta, rewards, mask, seed),
        batch("one answer of two tokens", theta, torch.tensor([2.0]).double(), mask[2:, 1:], seed + 1),
        batch("high rewards", theta, 10 + rewards, mask, seed + 2),
        batch("negative rewards only", theta, torch.tensor([-3.0, -1.0]).double(), mask[:2], seed + 3),
        batch("an answer of two thousand tokens", fixed, some[:2], long, 8),
    ]


def _surrogate_closed(theta, log_probs, baseline, rewards, response_mask):
    rows = torch.autograd.functional.jacobian(lambda t: (log_probs(t) * response_mask).sum(dim=1), theta)
    return (rewards - baseline(theta)) @ rows / len(rewards)


def _product(token_log_probs, weights, mask):
    return (weights * token_log_probs.exp().where(mask.bool(), 1).prod(dim=1).log()).mean()


def _other(objective, leak=False):
    return lambda theta, log_probs, baseline, rewards, response_mask: _direction(
        theta, log_probs, baseline, rewards, response_mask, objective, leak
    )


SURROGATE = Exercise(
    id="credit.surrogate",
    slides=("T30", "T31"),
    points=5,
    minutes=20,
    title="The gradient of a real policy",
    reference=surrogate,
    cases=_batches,
    accepts=(_surrogate_closed,),
    withheld=("lib.objectives.policy.reinforce_loss",),
    misconceptions=(
        Misconception(
            "descends",
            _other(lambda t, w, m: -_summed(t, w, m)),
            "The sign is reversed: −(R − b) log π is the loss that an optimiser minimises. The exercise asks for the "
            "direction that raises the reward.",
        ),
        Misconception(
            "gradient_through_the_baseline",
            _other(_summed, leak=True),
            "A gradient flows into the baseline, because it also depends on theta. R − b is only a weight: use "
            ".detach() on "
            "the baseline.",
        ),
        Misconception(
            "baseline_forgotten",
            lambda theta, log_probs, baseline, rewards, response_mask: surrogate(
                theta, log_probs, lambda t: 0 * baseline(t), rewards, response_mask
            ),
            "The baseline is missing: each answer is weighted by R_i − b_i.",
        ),
        Misconception(
            "prompt_counted",
            _other(lambda t, w, m: _summed(t, w, 1)),
            "Every column counts in your sum. The policy chose neither prompt nor padding: use the mask of the tokens "
            "that it "
            "chose.",
        ),
        Misconception(
            "mean_over_tokens",
            _other(lambda t, w, m: ((w[:, None] * t * m).sum(1) / m.sum(1)).mean()),
            "You take the mean over an answer's tokens. log π(y) of the whole answer is the *sum* of its tokens' "
            "log-probabilities; a mean gives the tokens of long answers less weight.",
        ),
        Misconception(
            "mean_over_all_tokens",
            _other(lambda t, w, m: (w[:, None] * t * m).sum() / m.sum()),
            "You divide by the number of tokens in the batch. Slide T31 divides by the number N of answers.",
        ),
        Misconception(
            "sum_over_answers",
            _other(lambda t, w, m: (w[:, None] * t * m).sum()),
            "You add up the answers, so the size of the estimate depends on the batch. Take their mean.",
        ),
        Misconception(
            "logarithm_of_a_product",
            _other(_product),
            "You multiply probabilities and take the logarithm of the product, which is 0 for a long answer: add the "
            "log-probabilities.",
        ),
        Misconception(
            "probability_for_log",
            _other(lambda t, w, m: (w * (t * m).sum(1).exp()).mean()),
            "You differentiate π(y_i), not log π(y_i). Answers were sampled from π, so weighting them by π again "
            "counts it "
            "twice.",
        ),
    ),
    hints=(
        "Make the parameters a leaf, theta.clone().requires_grad_(); then log π(y_i) is the masked sum of row i of "
        "log_probs(theta).",
        "value = ((rewards − baseline(theta).detach()) * log_pi).mean(), then torch.autograd.grad(value, theta)[0].",
    ),
)


# --- credit.rewards_to_go ---------------------------------------------------------------------------------------------
def rewards_to_go(rewards: Tensor, response_mask: Tensor, gamma: float) -> Tensor:
    """G_t = Σ_{k ≥ t} γ^{k−t} r_k within each answer, 0 elsewhere."""
    return _discounted(_paid(rewards, response_mask), gamma) * response_mask


def _paid(rewards, response_mask):
    return rewards.masked_fill(response_mask == 0, 0)  # not a product: NaN · 0 is NaN


def _discounted(values, gamma):
    total, sums = torch.zeros_like(values[:, 0]), torch.zeros_like(values)
    for t in reversed(range(values.shape[1])):
        total = values[:, t] + gamma * total
        sums[:, t] = total
    return sums


def _token_rewards(generator):
    rewards = torch.randn(2, 6, generator=generator)
    mask = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1]])
    one = torch.tensor([[5.0, 1.0, 0.0, 2.0, 7.0]])
    nan, inf = torch.nan, torch.inf
    spoilt = torch.tensor([[nan, 1.0, 2.0, nan], [inf, -inf, 3.0, -1.0], [4.0, 1.0, inf, nan]])
    return [
        case("a prompt, three tokens, padding", one, torch.tensor([[0, 1, 1, 1, 0]]), 1.0),
        case("the same, discounted by a half", one, torch.tensor([[0, 1, 1, 1, 0]]), 0.5),
        case("two answers of different lengths", rewards, mask, 0.9),
        case("gamma 0: only the token's own reward", rewards, mask, 0.0),
        case("an answer of one token", one, torch.tensor([[0, 0, 0, 1, 0]]), 1.0),
        case("one reward, at the end", torch.tensor([[0.0, 0.0, 0.0, 1.0]]), torch.tensor([[0, 1, 1, 1]]), 0.5),
        case("an answer of 300 tokens", rewards[:1].repeat(1, 50), torch.ones(1, 300).long(), 0.5),
        case("NaN outside", spoilt, torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]]), 0.5),
    ]


def _with_matrix(rewards, response_mask, gamma):
    steps = torch.arange(rewards.shape[1])
    ahead = steps[None, :] - steps[:, None]
    factors = torch.where(ahead >= 0, torch.tensor(float(gamma)) ** ahead.clamp(min=0), 0.0)
    return _paid(rewards, response_mask) @ factors.T * response_mask


def _from_the_start(rewards, response_mask, gamma):
    place = (response_mask.cumsum(dim=1) - 1).clamp(min=0)
    return _discounted(_paid(rewards, response_mask) * torch.tensor(float(gamma)) ** place, 1.0) * response_mask


def _divided(rewards, response_mask, gamma):
    powers = torch.tensor(float(gamma)) ** torch.arange(rewards.shape[1])
    return (_paid(rewards, response_mask) * powers).flip(1).cumsum(dim=1).flip(1) / powers * response_mask


REWARDS_TO_GO = Exercise(
    id="credit.rewards_to_go",
    slides=("T31",),
    points=3,
    minutes=12,
    title="Rewards to go",
    reference=rewards_to_go,
    cases=_token_rewards,
    accepts=(_with_matrix,),
    withheld=("lib.objectives.advantages.gae", "lib.objectives.advantages.rewards_to_go"),
    misconceptions=(
        Misconception(
            "whole_reward",
            lambda r, m, g: _discounted(_paid(r, m), g).gather(1, m.argmax(dim=1, keepdim=True)) * m,
            "Every token gets the whole answer's reward. A token cannot have caused a reward that came before it.",
        ),
        Misconception(
            "from_the_past",
            lambda r, m, g: _discounted(_paid(r, m).flip(1), g).flip(1) * m,
            "Your sums are over the rewards *before* each token. Go from the last token to the first.",
        ),
        Misconception(
            "discounted_from_the_start",
            _from_the_start,
            "You discount by the distance from the beginning of the answer. γ^(k−t) counts from the token t itself, "
            "whose own "
            "reward is not discounted.",
        ),
        Misconception(
            "padding_counted",
            lambda r, m, g: _discounted(r, g) * m,
            "Rewards outside the answer are in your sums: replace them by 0 before you add.",
        ),
        Misconception(
            "prompt_not_cleared",
            lambda r, m, g: _discounted(_paid(r, m), g),
            "The prompt's tokens have rewards to go in your result. The policy did not choose them: set 0 outside the "
            "answer.",
        ),
        Misconception(
            "nan_times_zero",
            lambda r, m, g: _discounted(r * m, g) * m,
            "NaN times 0 is NaN, so a product with the mask does not keep it out of the sums. Choose instead: torch.where, "
            "masked_fill, or an index.",
        ),
        Misconception(
            "divided_by_powers",
            _divided,
            "You divide by γ^t, which is 0 where γ is 0, and in a long answer is rounded to 0: 0/0 is NaN. Go from the last "
            "token to the first, with no division.",
        ),
        Misconception(
            "own_reward_missing",
            lambda r, m, g: (_discounted(_paid(r, m), g) - _paid(r, m)) * m,
            "Your sums begin with the next token. They should include the token's own reward: k ≥ t.",
        ),
        Misconception(
            "never_discounted",
            lambda r, m, g: _discounted(_paid(r, m), 1.0) * m,
            "gamma is not used: a reward k − t tokens later has the factor γ^(k−t).",
        ),
    ),
    hints=(
        "Set rewards outside the answer to 0, then go from right to left: G_t = r_t + gamma · G_{t+1}.",
        "paid = torch.where(response_mask.bool(), rewards, 0); total = paid[:, t] + gamma * total for t in "
        "reversed(range(T)); at the end multiply by the mask.",
    ),
)

EXERCISES = (SURROGATE, REWARDS_TO_GO)
