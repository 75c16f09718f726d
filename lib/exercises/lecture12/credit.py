"""Exercise of notebook 12: a training step on answers of many tokens."""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import Function, token_policy


# --- credit.train_step ------------------------------------------------------------------------------------------------
def train_step(theta: Tensor, log_probs: Function, rewards: Tensor, response_mask: Tensor, rate: float) -> Tensor:
    """θ + rate · 1/(PN) Σ A_i ∇ log π(y_i): one step of REINFORCE, A from a leave-one-out baseline (Kool et al. 2019)."""
    return _stepped(theta, log_probs, rewards, response_mask, rate)


def _others(rewards):
    return (rewards.sum(dim=1, keepdim=True) - rewards) / (rewards.shape[1] - 1)


def _left_out(rewards):
    return rewards - _others(rewards)


def _summed(token_log_probs, weights, mask):
    return (weights * (token_log_probs * mask).sum(dim=1)).mean()


def _stepped(theta, log_probs, rewards, response_mask, rate, *, advantages=_left_out, objective=_summed):
    parameters = theta.clone().requires_grad_()
    value = objective(log_probs(parameters), advantages(rewards).flatten(), response_mask.double())
    return (theta + rate * torch.autograd.grad(value, parameters)[0]).detach()


def _batches(generator):
    seed = int(torch.randint(1000, (1,), generator=generator))
    theta = torch.randn(3, generator=generator, dtype=torch.float64)
    rewards = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    fixed = torch.tensor([0.5, -1.0, 0.25], dtype=torch.float64)
    marks = torch.tensor([[1.0, 0.0, 0.0], [5.0, 3.0, 4.0]], dtype=torch.float64)
    mask = torch.tensor([[0, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 1], [0, 1, 1, 1]]).bool()
    long = torch.arange(2000) >= torch.tensor([[1], [1996]])

    def batch(what, theta, rewards, mask, rate, seed):
        return case(what, theta, Made(token_policy, (*mask.shape, seed)), rewards, mask, rate)

    return [
        batch("one prompt, three answers of different lengths", fixed, marks[:1], mask[:3], 1.0, 7),
        batch("two prompts, one of them easy", fixed, marks, mask, 0.5, 9),
        batch("another policy", theta, rewards, mask, 0.5, seed),
        batch("three prompts, two answers to each", theta, 10 + rewards.view(3, 2), mask, 0.1, seed + 1),
        batch(
            "all rewards of a prompt equal",
            fixed,
            torch.tensor([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]]).double(),
            mask,
            1.0,
            3,
        ),
        batch("an answer of two thousand tokens", fixed, marks[:1, :2], long, 0.1, 8),
    ]


def _step_closed(theta, log_probs, rewards, response_mask, rate):
    rows = torch.autograd.functional.jacobian(lambda t: (log_probs(t) * response_mask).sum(dim=1), theta)
    return theta + rate * _left_out(rewards).flatten() @ rows / rewards.numel()


def _by_an_optimizer(theta, log_probs, rewards, response_mask, rate):
    parameters = torch.nn.Parameter(theta.clone())
    optimizer = torch.optim.SGD([parameters], lr=rate)
    n = rewards.shape[1]
    advantages = (rewards - rewards.mean(dim=1, keepdim=True)) * n / (n - 1)
    (-_summed(log_probs(parameters), advantages.flatten(), response_mask.double())).backward()
    optimizer.step()
    return parameters.detach()


def _product(token_log_probs, weights, mask):
    return (weights * token_log_probs.exp().where(mask.bool(), 1).prod(dim=1).log()).mean()


def _standardised(rewards):
    return (rewards - rewards.mean(dim=1, keepdim=True)) / (rewards.std(dim=1, keepdim=True) + 1e-6)


def _groups_left_out(rewards):
    advantages = _left_out(rewards)
    kept = (advantages != 0).any(dim=1)
    return advantages * len(kept) / kept.sum().clamp(min=1)  # the mean is over the answers of the others only


def _with(**changed):
    return lambda *given: _stepped(*given, **changed)


TRAIN_STEP = Exercise(
    id="credit.train_step",
    slides=("T30", "T31"),
    points=6,
    minutes=25,
    title="A training step",
    reference=train_step,
    cases=_batches,
    accepts=(_step_closed, _by_an_optimizer),
    withheld=("lib.objectives.policy.reinforce_loss",),
    misconceptions=(
        Misconception(
            "descends",
            lambda theta, log_probs, rewards, mask, rate: train_step(theta, log_probs, rewards, mask, -rate),
            "Your step goes the wrong way: it makes answers that did better than the others less likely. Add the gradient of "
            "Σ A log π, or give its negative to an optimizer, which descends.",
        ),
        Misconception(
            "no_baseline",
            _with(advantages=lambda r: r),
            "The baseline is missing: each answer is weighted by its reward minus the mean reward of the others.",
        ),
        Misconception(
            "includes_itself",
            _with(advantages=lambda r: r - r.mean(dim=1, keepdim=True)),
            "Your baseline contains the answer's own reward, which makes the step shorter by (N − 1)/N: take the mean of the "
            "others.",
        ),
        Misconception(
            "over_all_prompts",
            _with(advantages=lambda r: r - (r.sum() - r) / (r.numel() - 1)),
            "You compare with answers to other prompts as well. All answers to an easy prompt then look good: compare within "
            "a row of rewards.",
        ),
        Misconception(
            "standardised",
            _with(advantages=_standardised),
            "You divided by the standard deviation of the group, as GRPO does. The exercise asks for reward minus baseline.",
        ),
        Misconception(
            "order_of_rows",
            _with(advantages=lambda r: _left_out(r).T),
            "The advantages are not in the order of the answers. The first N rows of log_probs are the answers to the first "
            "prompt: flatten (P, N) row by row.",
        ),
        Misconception(
            "prompt_counted",
            _with(objective=lambda t, w, m: _summed(t, w, 1)),
            "Every column counts in your sum. The policy wrote neither prompt nor padding: use the mask of the tokens that "
            "it wrote.",
        ),
        Misconception(
            "mean_over_tokens",
            _with(objective=lambda t, w, m: (w * (t * m).sum(1) / m.sum(1)).mean()),
            "You take the mean over an answer's tokens. log π(y) of the whole answer is the *sum* of its tokens' "
            "log-probabilities; a mean gives the tokens of long answers less weight.",
        ),
        Misconception(
            "mean_over_all_tokens",
            _with(objective=lambda t, w, m: (w[:, None] * t * m).sum() / m.sum()),
            "You divide by the number of tokens in the batch. The estimate divides by the number of answers.",
        ),
        Misconception(
            "sum_over_answers",
            _with(objective=lambda t, w, m: (w[:, None] * t * m).sum()),
            "You add up the answers, so the size of the step depends on the batch. Take their mean.",
        ),
        Misconception(
            "mean_over_prompts",
            _with(advantages=lambda r: _left_out(r) * r.shape[1]),
            "You add up the answers to a prompt, and take the mean over the prompts. The mean is over all P·N answers.",
        ),
        Misconception(
            "groups_left_out",
            _with(advantages=_groups_left_out),
            "You leave out prompts whose answers all got the same reward. They add nothing to the sum, but the mean is over "
            "all P·N answers, theirs too.",
        ),
        Misconception(
            "padding_counted",
            _with(objective=lambda t, w, m: _summed(t, w, m.cumsum(dim=1) > 0)),
            "You count everything from the first token of the answer on. Behind a short answer stands padding, which the "
            "policy did not write: use the mask as it is.",
        ),
        Misconception(
            "logarithm_of_a_product",
            _with(objective=_product),
            "You multiply probabilities and take the logarithm of the product, which is 0 for a long answer: add the "
            "log-probabilities.",
        ),
        Misconception(
            "probability_for_log",
            _with(objective=lambda t, w, m: (w * (t * m).sum(1).exp()).mean()),
            "You differentiate π(y_i), not log π(y_i). Answers were sampled from π, so weighting them by π again counts it "
            "twice.",
        ),
        Misconception(
            "gradient_returned",
            lambda theta, log_probs, rewards, mask, rate: train_step(theta, log_probs, rewards, mask, rate) - theta,
            "You return the change. The exercise asks for the new parameters, theta plus that change.",
        ),
        Misconception(
            "rate_forgotten",
            lambda theta, log_probs, rewards, mask, rate: train_step(theta, log_probs, rewards, mask, 1.0),
            "rate is not used: the step is rate times the gradient.",
        ),
    ),
    hints=(
        "Four lines of thought: the baselines from `rewards`, the advantages in the order of the rows, log π of each whole "
        "answer, and the gradient of their weighted mean.",
        "Make the parameters a leaf, theta.clone().requires_grad_(). Then log π(y_i) is the sum of row i of log_probs(…), "
        "over the tokens where the mask is true.",
        "One number has the direction as its gradient: the mean over answers of advantage times log π. Take its gradient with "
        "torch.autograd.grad, and add rate times it to theta.",
    ),
)

EXERCISES = (TRAIN_STEP,)
