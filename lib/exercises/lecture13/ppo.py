"""Exercises of lecture 13: one update of PPO, several clipped steps on one batch of answers; `ppo.gae` has a module of
its own."""

from collections.abc import Callable

import torch
from torch import Tensor

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import Function, token_policy
from lib.exercises.lecture13.gae import GAE

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]


# --- ppo.update -------------------------------------------------------------------------------------------------------
def update(
    log_probs: Function,
    theta: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    epsilon: float,
    learning_rate: float,
    epochs: int,
) -> Tensor:
    """θ after `epochs` steps of gradient descent on PPO's clipped loss, all on one batch (Schulman et al. 2017, eq. 7)."""
    return _steps(_clip_loss)(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs)


def _clip_loss(new, old, advantages, mask, epsilon):
    return objectives.ppo_clip_loss(new, old, advantages, mask, epsilon=epsilon)


def _steps(loss: Loss, *, sign=-1.0, more=0, only=None, moving_old=False):
    """The loop around a loss of (new, old, advantages, mask, epsilon), with replaceable parts."""

    def answer(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs):
        theta = theta.detach()
        old = log_probs(theta)
        for _ in range((epochs if only is None else only) + more):
            if moving_old:
                old = log_probs(theta)
            leaf = theta.clone().requires_grad_()
            (slope,) = torch.autograd.grad(loss(log_probs(leaf), old, advantages, response_mask, epsilon), leaf)
            theta = theta + sign * learning_rate * slope
        return theta

    return answer


def _batches(generator):
    theta, other = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64), torch.randn(3, generator=generator).double()
    mask = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 0, 1, 0]]).bool()
    some = torch.tensor([[1.0, -0.5, 0.7, 2.0, 1.0], [-1.0, 0.4, 1.5, -0.8, -1.2], [2.0, 1.0, 1.0, -2.0, 1.0]]).double()
    drawn = torch.randn(3, 5, generator=generator).double()
    seed = int(torch.randint(1000, (), generator=generator))

    def batch(what, seed, start, advantages, counts, *rest):
        return case(what, Made(token_policy, (*counts.shape, seed)), start, advantages, counts, *rest)

    return [
        batch("three answers of different lengths, five epochs", 1, theta, some, mask, 0.2, 2.0, 5),
        batch("one epoch: every ratio is 1", 2, theta, some, mask, 0.2, 1.0, 1),
        batch("thirty epochs: many ratios reach the clip", 3, theta, some, mask, 0.2, 2.0, 30),
        batch("a narrow clip, ε = 0.05", 4, theta, some, mask, 0.05, 1.0, 8),
        batch("a wide clip, ε = 0.6", 5, theta, some, mask, 0.6, 3.0, 12),
        batch("bad tokens only", 6, theta, -some.abs(), mask, 0.3, 2.0, 12),
        batch("good tokens only", 7, theta, some.abs(), mask, 0.2, 2.0, 12),
        batch("one token", 8, theta, some[:1, 1:2] + 2, mask[:1, 1:2], 0.2, 0.5, 6),
        batch("another policy and other advantages", seed, other, drawn, mask, 0.2, 2.0, 10),
    ]


def _of_ratio(objective):
    """A loss from what one token earns, a function of (ratio, advantage, ε)."""
    return lambda new, old, a, mask, e: -objective((new - old).exp(), a, e)[mask].mean()


def _pessimistic(ratio, a, e):
    return torch.minimum(ratio * a, ratio.clamp(1 - e, 1 + e) * a)


def _reduced(reduce):
    return lambda new, old, a, mask, e: -reduce(_pessimistic((new - old).exp(), a, e), mask)


def _whole_answers(new, old, a, mask, e):
    ratio = ((new - old) * mask).sum(1, keepdim=True).exp().expand_as(new)
    return -_pessimistic(ratio, a, e)[mask].mean()


def _with_sgd(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs):
    theta = theta.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([theta], lr=learning_rate)
    with torch.no_grad():
        old = log_probs(theta)
    for _ in range(epochs):
        optimizer.zero_grad()
        ratio = (log_probs(theta) - old).exp()
        bound = torch.where(advantages > 0, ratio.clamp(max=1 + epsilon), ratio.clamp(min=1 - epsilon))
        (-(bound * advantages * response_mask).sum() / response_mask.sum()).backward()
        optimizer.step()
    return theta.detach()


def _with_adam(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs):
    old, leaf = log_probs(theta), theta.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([leaf], lr=learning_rate)
    for _ in range(epochs):
        optimizer.zero_grad()
        _clip_loss(log_probs(leaf), old, advantages, response_mask, epsilon).backward()
        optimizer.step()
    return leaf.detach()


def _accumulated(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs):
    old, leaf = log_probs(theta), theta.detach().clone().requires_grad_()
    for _ in range(epochs):
        _clip_loss(log_probs(leaf), old, advantages, response_mask, epsilon).backward()
        leaf.data -= learning_rate * leaf.grad
    return leaf.detach()


def _whitened(new, old, a, mask, e):
    return _clip_loss(new, old, (a - a[mask].mean()) / (a[mask].std() + 1e-8), mask, e)


def _one_gradient(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs):
    first = _steps(_clip_loss, only=1)(log_probs, theta, advantages, response_mask, epsilon, learning_rate, epochs)
    return theta + epochs * (first - theta)


UPDATE = Exercise(
    id="ppo.update",
    slides=("T29", "T32"),
    points=6,
    minutes=30,
    title="One update of PPO",
    reference=update,
    cases=_batches,
    accepts=(_with_sgd,),
    misconceptions=(
        Misconception(
            "old_moves",
            _steps(_clip_loss, moving_old=True),
            "Your old log-probabilities are computed again in every epoch, so that each ratio is 1 and nothing is ever "
            "clipped. They belong to the policy that wrote the answers: compute them once, before the loop.",
        ),
        Misconception(
            "never_moves",
            lambda log_probs, theta, *rest: theta.clone(),
            "θ comes back as it was. Either the new θ is not used in the next epoch, or the gradient is 0 because it flows "
            "through the old log-probabilities too: these are constants.",
        ),
        Misconception(
            "climbs_the_loss",
            _steps(_clip_loss, sign=1.0),
            "You go up the loss instead of down. PPO's objective is maximised: go up the objective, or down its negative.",
        ),
        Misconception(
            "one_epoch",
            _steps(_clip_loss, only=1),
            "You take one step only. The batch is used `epochs` times, each time with the gradient at the new θ.",
        ),
        Misconception(
            "one_gradient",
            _one_gradient,
            "You take the gradient once and repeat it. In each epoch the ratios have changed, and with them the gradient: "
            "compute it anew.",
        ),
        Misconception(
            "gradients_pile_up",
            _accumulated,
            "Each step also repeats the gradients of the epochs before: `backward` adds to `.grad`. Set it to None or 0 "
            "before each epoch.",
        ),
        Misconception(
            "adam_for_plain_descent",
            _with_adam,
            "You use Adam, which scales each step. The exercise asks for θ − learning rate · gradient.",
        ),
        Misconception(
            "advantages_whitened",
            _steps(_whitened),
            "You shift and scale the advantages to mean 0 and variance 1. Many programs do so, but here the given advantages "
            "count as they are.",
        ),
        Misconception(
            "one_epoch_too_many",
            _steps(_clip_loss, more=1),
            "You take one step more than `epochs`.",
        ),
        Misconception(
            "never_clipped",
            _steps(_of_ratio(lambda r, a, e: r * a)),
            "Nothing is clipped: with ratio × advantage alone each further epoch pushes on in the same direction.",
        ),
        Misconception(
            "clip_without_min",
            _steps(_of_ratio(lambda r, a, e: r.clamp(1 - e, 1 + e) * a)),
            "Clipping alone also stops the gradient where a token has moved in the *wrong* direction and must return. The "
            "minimum with the unclipped product keeps it.",
        ),
        Misconception(
            "max_for_min",
            _steps(_of_ratio(lambda r, a, e: torch.maximum(r * a, r.clamp(1 - e, 1 + e) * a))),
            "You take the larger of the two products. PPO takes the smaller: a gain counts up to the clip, a loss in full.",
        ),
        Misconception(
            "clipped_above_only",
            _steps(_of_ratio(lambda r, a, e: torch.minimum(r * a, r.clamp(max=1 + e) * a))),
            "You clip only above. With a negative advantage the lower end, 1 − ε, is the limit.",
        ),
        Misconception(
            "clips_the_product",
            _steps(_of_ratio(lambda r, a, e: torch.minimum(r * a, (r * a).clamp(1 - e, 1 + e)))),
            "You clip ratio × advantage. [1 − ε, 1 + ε] bounds the ratio; an advantage has another scale, and a sign.",
        ),
        Misconception(
            "clips_the_log",
            _steps(_of_ratio(lambda r, a, e: torch.minimum(r * a, r.log().clamp(1 - e, 1 + e).exp() * a))),
            "You clip the logarithm of the ratio to [1 − ε, 1 + ε]. An unchanged policy has ratio 1, but log-ratio 0: take "
            "exp first, then clip.",
        ),
        Misconception(
            "log_ratio_cut_at_epsilon",
            _steps(_of_ratio(lambda r, a, e: torch.minimum(r * a, r.log().clamp(-e, e).exp() * a))),
            "You cut the log-ratio to [−ε, ε], and so the ratio to [exp(−ε), exp(ε)]: near 1 ± ε, but not the same. Take exp "
            "first, then clip.",
        ),
        Misconception(
            "difference_for_ratio",
            _steps(lambda new, old, a, mask, e: -_pessimistic(new - old, a, e)[mask].mean()),
            "Your ratio is a difference of logarithms, 0 for an unchanged policy. The ratio is its exp.",
        ),
        Misconception(
            "ratio_upside_down",
            _steps(lambda new, old, *rest: _clip_loss(old, new, *rest)),
            "Your ratio is π_old / π. The new policy is the numerator.",
        ),
        Misconception(
            "ratio_of_answers",
            _steps(_whole_answers),
            "You take one ratio for a whole answer. In PPO each token has its own.",
        ),
        Misconception(
            "epsilon_fixed",
            _steps(lambda new, old, a, mask, e: _clip_loss(new, old, a, mask, 0.2)),
            "Your ε is always 0.2. It is an argument: use it.",
        ),
        Misconception(
            "mean_over_everything",
            _steps(_reduced(lambda v, m: (v * m).mean())),
            "The sum leaves out prompt and padding, but the mean also divides by their number. Divide by that of the "
            "answers' tokens.",
        ),
        Misconception(
            "prompt_counted",
            _steps(_reduced(lambda v, m: v.mean())),
            "Every column counts in your mean. The policy chose only the tokens of the answers: use the mask.",
        ),
        Misconception(
            "answers_weigh_the_same",
            _steps(_reduced(lambda v, m: ((v * m).sum(1) / m.sum(1)).mean())),
            "You average each answer first, then the answers. Here every *token* has the same weight: one mean over all "
            "tokens of the mask.",
        ),
        Misconception(
            "sum_for_mean",
            _steps(_reduced(lambda v, m: (v * m).sum())),
            "You add up the tokens, so that the step grows with the batch. Take the mean over the answers' tokens.",
        ),
    ),
    hints=(
        "Before the loop: which numbers stay the same in all epochs? Only those of the policy that wrote the answers.",
        "In the loop: the new log-probabilities, the ratio of each token, two products, the smaller one, a mean over the "
        "mask. All of it must hang on one tensor that requires grad.",
        "`torch.autograd.grad(loss, leaf)` returns a tuple with one gradient. The next epoch starts from a θ that has been "
        "detached, or its graph grows with each epoch.",
    ),
    withheld=("lib.objectives.policy._clip_range", "lib.objectives.policy._ratio"),
)

EXERCISES = (UPDATE, GAE)
