"""Exercise of notebook 15: one update of Adam whose moments are cut among ranks (ZeRO, stage 1)."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


# --- parallel.sharded_step ----------------------------------------------------------------------------------
def sharded_step(weights, gradients, m, v, t, lr):
    """New weights (P,), and the new moments of each of the N ranks, (P / N,) each.

    >>> zeros = [torch.zeros(1), torch.zeros(1)]
    >>> sharded_step(torch.zeros(2), [torch.ones(2), torch.ones(2)], zeros, zeros, 1, 0.1)[0]
    tensor([-0.1000, -0.1000])
    """
    return _step(weights, gradients, m, v, t, lr)


def _step(
    weights, gradients, m, v, t, lr, *,
    combine=lambda gradients, rank: sum(gradients) / len(gradients),
    square=lambda gradients, part: (sum(gradients) / len(gradients))[part] ** 2,
    part_of=lambda rank, size, N: slice(rank * size, (rank + 1) * size),
    moments_of=lambda rank: rank,
    correct=(lambda t: t, lambda t: t),
    divide=lambda first, second: first / (second.sqrt() + EPSILON),
    gather=lambda rank: True,
    betas=(BETA1, BETA2),
):  # fmt: skip
    """The update with any one of its pieces exchanged."""
    N, size = len(gradients), len(weights) // len(gradients)
    new, firsts, seconds = weights.clone(), [], []
    for rank in range(N):
        part, kept = part_of(rank, size, N), moments_of(rank)
        g = combine(gradients, rank)[part]
        first = betas[0] * m[kept] + (1 - betas[0]) * g
        second = betas[1] * v[kept] + (1 - betas[1]) * square(gradients, part)
        m_hat = first / (1 - betas[0] ** correct[0](t)) if correct[0](t) else first
        v_hat = second / (1 - betas[1] ** correct[1](t)) if correct[1](t) else second
        if gather(rank):
            new[part] = weights[part] - lr * divide(m_hat, v_hat)
        firsts.append(first)
        seconds.append(second)
    return new, firsts, seconds


def _changed(**pieces):
    return lambda weights, gradients, m, v, t, lr: _step(weights, gradients, m, v, t, lr, **pieces)


def _cases(generator):
    def drawn(N, size, t, scale=1.0, lr=0.01, fresh=False):
        normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
        gradients = [scale * normal(N * size) for _ in range(N)]
        m = [torch.zeros(size) if fresh else scale * normal(size) for _ in range(N)]
        v = [torch.zeros(size) if fresh else (scale * normal(size)).square() for _ in range(N)]
        return normal(N * size), gradients, m, v, t, lr

    return [
        case("two ranks, the first update", *drawn(2, 3, 1, fresh=True)),
        case("two ranks, the fifth update", *drawn(2, 3, 5)),
        case("four ranks", *drawn(4, 2, 3)),
        case("one rank: plain Adam", *drawn(1, 5, 2)),
        case("three ranks, each with one number", *drawn(3, 1, 7)),
        case("gradients of about 0.00000001", *drawn(2, 4, 2, scale=1e-8)),
        case("a late update", *drawn(2, 4, 4000, lr=0.5)),
        case(
            "gradients that cancel",
            torch.ones(4), [torch.ones(4), -torch.ones(4)], [torch.zeros(2)] * 2, [torch.ones(2)] * 2, 3, 0.1,
        ),
    ]  # fmt: skip


def _with_cat(weights, gradients, m, v, t, lr):
    """All moments joined, one plain Adam, cut again."""
    N = len(gradients)
    g = torch.stack(gradients).mean(dim=0)
    first, second = torch.cat(list(m)).lerp(g, 1 - BETA1), BETA2 * torch.cat(list(v)) + (1 - BETA2) * g * g
    moved = (first / (1 - BETA1**t)) / ((second / (1 - BETA2**t)).sqrt() + EPSILON)
    return weights - lr * moved, list(first.chunk(N)), list(second.chunk(N))


def _with_torch(weights, gradients, m, v, t, lr):
    """torch.optim.Adam for each part."""
    N, g = len(gradients), torch.stack(gradients).mean(dim=0)
    parts = [torch.nn.Parameter(part.clone()) for part in weights.chunk(N)]
    firsts, seconds = [], []
    for rank, part in enumerate(parts):
        adam = torch.optim.Adam([part], lr=lr)
        step = torch.tensor(float(t - 1))
        adam.state[part] = {"step": step, "exp_avg": m[rank].clone(), "exp_avg_sq": v[rank].clone()}
        part.grad = g.chunk(N)[rank].clone()
        adam.step()
        firsts.append(adam.state[part]["exp_avg"])
        seconds.append(adam.state[part]["exp_avg_sq"])
    return torch.cat([part.detach() for part in parts]), firsts, seconds


SHARDED = Exercise(
    id="parallel.sharded_step",
    slides=("T46",),
    points=5,
    minutes=25,
    title="Adam with its moments on several ranks",
    reference=sharded_step,
    cases=_cases,
    accepts=(_with_cat, _with_torch),
    withheld=("lib.training.parallel.ShardedAdamW", "lib.accounting.group.train_in_group"),
    misconceptions=(
        Misconception(
            "summed",
            _changed(
                combine=lambda gradients, rank: sum(gradients),
                square=lambda gradients, part: sum(each[part] for each in gradients) ** 2,
            ),
            "You add the gradients of the ranks. Each is that of a mean over the same number of rows, so the gradient of the "
            "whole batch is their mean.",
        ),
        Misconception(
            "own_gradient",
            lambda weights, gradients, m, v, t, lr: _own(weights, gradients, m, v, t, lr),
            "Each rank uses its own gradient alone. First the gradients of all ranks have to be averaged: nobody else updates "
            "that part.",
        ),
        Misconception(
            "only_the_first_part",
            _changed(gather=lambda rank: rank == 0),
            "Only the first part of the weights has changed. Each rank updates its own part, and all parts are gathered.",
        ),
        Misconception(
            "one_ranks_moments",
            _changed(moments_of=lambda rank: 0),
            "All ranks use the moments of rank 0. Part r goes with m[r] and v[r].",
        ),
        Misconception(
            "every_nth_number",
            _changed(part_of=lambda rank, size, N: slice(rank, None, N)),
            "You give rank r every N-th number. The parts are consecutive: r * P // N up to (r + 1) * P // N.",
        ),
        Misconception(
            "no_bias_correction",
            _changed(correct=(lambda t: 0, lambda t: 0)),
            "The bias correction is missing. The moments start at zero, so divide them by 1 − β**t.",
        ),
        Misconception(
            "correction_of_the_first_only",
            _changed(correct=(lambda t: t, lambda t: 0)),
            "You correct m only. v starts at zero too, and is divided by 1 − β₂**t.",
        ),
        Misconception(
            "one_update_too_late",
            _changed(correct=(lambda t: t + 1, lambda t: t + 1)),
            "Your bias correction is one update ahead: t counts from 1 already.",
        ),
        Misconception(
            "epsilon_inside_the_root",
            _changed(divide=lambda first, second: first / (second + EPSILON).sqrt()),
            "Your ε stands inside the root, where it is as large as 0.0001 outside. Add it to the root.",
        ),
        Misconception(
            "epsilon_corrected_too",
            lambda weights, gradients, m, v, t, lr: _folded(weights, gradients, m, v, t, lr),
            "You put the correction of v into the step size. Then ε meets a v that is not corrected yet, which shows "
            "where gradients are about 1e-8: divide v by 1 − β₂**t first.",
        ),
        Misconception(
            "moved_by_old_moments",
            lambda weights, gradients, m, v, t, lr: _moved_by_old(weights, gradients, m, v, t, lr),
            "Your weights move by the moments of the update before. Renew m and v with this gradient first.",
        ),
        Misconception(
            "weight_decay",
            lambda weights, gradients, m, v, t, lr: (
                _step(weights, gradients, m, v, t, lr)[0] - 0.01 * lr * weights,
                *_step(weights, gradients, m, v, t, lr)[1:],
            ),
            "Your weights also shrink by 0.01 · lr, as AdamW's do by default. The formulas above are Adam, without weight decay.",
        ),
        Misconception(
            "no_root",
            _changed(divide=lambda first, second: first / (second + EPSILON)),
            "You divide by v. Divide by its root: then the update has the size of lr.",
        ),
        Misconception(
            "mean_of_squares",
            _changed(square=lambda gradients, part: (sum(g**2 for g in gradients) / len(gradients))[part]),
            "For v you average the squares of the ranks' gradients. Square the average: v belongs to the gradient of the batch.",
        ),
        Misconception(
            "uphill",
            _changed(divide=lambda first, second: -first / (second.sqrt() + EPSILON)),
            "Your weights move with the gradient. Subtract the update.",
        ),
        Misconception(
            "same_betas",
            _changed(betas=(BETA1, BETA1)),
            "You use 0.9 for both moments. For v it is 0.999.",
        ),
        Misconception(
            "corrected_moments_kept",
            lambda weights, gradients, m, v, t, lr: _kept_corrected(weights, gradients, m, v, t, lr),
            "You return the corrected moments. The next update needs them as they were before the division by 1 − β**t.",
        ),
        Misconception(
            "old_moments",
            lambda weights, gradients, m, v, t, lr: (_step(weights, gradients, m, v, t, lr)[0], list(m), list(v)),
            "You return the moments as they came. The next update needs the new ones.",
        ),
    ),
    hints=(
        "Three steps: average the gradients (one tensor of P numbers); for each rank, Adam on its part; join the parts.",
        "Rank r's part is the slice from r * size to (r + 1) * size, with size = P // N. Inside it, everything is plain Adam.",
        "Adam: m ← β₁ m + (1 − β₁) g, v likewise with g² and β₂; then divide copies of both by 1 − β**t, and subtract "
        "lr · m̂ / (√v̂ + ε).",
    ),
)


def _own(weights, gradients, m, v, t, lr):
    """Each rank with its own gradient."""
    size, new, firsts, seconds = len(weights) // len(gradients), [], [], []
    for rank, gradient in enumerate(gradients):
        part = slice(rank * size, (rank + 1) * size)
        value, first, second = _step(weights[part], [gradient[part]], [m[rank]], [v[rank]], t, lr)
        new.append(value)
        firsts += first
        seconds += second
    return torch.cat(new), firsts, seconds


def _folded(weights, gradients, m, v, t, lr):
    """The correction as a factor of the step size, so that ε is not where it should be."""
    _, firsts, seconds = _step(weights, gradients, m, v, t, lr)
    rate = lr * (1 - BETA2**t) ** 0.5 / (1 - BETA1**t)
    return weights - rate * torch.cat(firsts) / (torch.cat(seconds).sqrt() + EPSILON), firsts, seconds


def _moved_by_old(weights, gradients, m, v, t, lr):
    m_hat, v_hat = torch.cat(list(m)) / (1 - BETA1**t), torch.cat(list(v)) / (1 - BETA2**t)
    _, firsts, seconds = _step(weights, gradients, m, v, t, lr)
    return weights - lr * m_hat / (v_hat.sqrt() + EPSILON), firsts, seconds


def _kept_corrected(weights, gradients, m, v, t, lr):
    new, firsts, seconds = _step(weights, gradients, m, v, t, lr)
    return new, [first / (1 - BETA1**t) for first in firsts], [second / (1 - BETA2**t) for second in seconds]


EXERCISES = (SHARDED,)
