"""The second exercise of `reward`: one step of training on all pairs of one ranking."""

from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- reward.prompt_step -----------------------------------------------------------------------------------------------
def prompt_step(w: Tensor, features: Tensor, ranks: Sequence[int], learning_rate: float) -> tuple[Tensor, float]:
    r"""One step of gradient descent on the mean of $-\log\sigma(r_i - r_j)$ over the pairs of one ranking, $r = Xw$.

    The batch of Ouyang et al. 2022, section 3.5: all pairs of one prompt. Returns the new w and the loss before the step.
    """
    return _step(w, features, _pairs(ranks), learning_rate)


def _pairs(ranks, keep=lambda a, b: a < b):
    return [(i, j) for i, j in permutations(range(len(ranks)), 2) if keep(ranks[i], ranks[j])]


def _step(w, features, pairs, learning_rate, reduce=torch.mean, sign=1.0):
    if not pairs:
        return w.clone(), 0.0
    winners, losers = torch.tensor(pairs).T
    differences = features[winners] - features[losers]  # (P, D)
    margins = differences @ w  # (P,)
    slopes = -torch.sigmoid(-margins)[:, None] * differences  # (P, D): of each pair's loss in w
    return w - sign * learning_rate * reduce(slopes, dim=0), reduce(-logsigmoid(margins), dim=0).item()


def _prompts(generator):
    some = torch.randn(5, 3, generator=generator)
    start = torch.randn(3, generator=generator)
    order = (torch.randperm(5, generator=generator) + 1).tolist()
    plane = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return [
        case("three answers, w = 0", torch.zeros(2), plane, [2, 3, 1], 0.5),
        case("four answers, the last is the best", torch.tensor([0.5, -1.0, 0.2]), some[:4], [3, 2, 4, 1], 1.0),
        case("five answers", start, some, order, 0.3),
        case("two answers", torch.tensor([1.0, 0.0]), plane[:2], [2, 1], 0.1),
        case("two answers share a place, and a place is left out", torch.tensor([0.3, 0.1]), plane, [3, 1, 1], 0.5),
        case("places far apart, one of them shared", start, some[:4], [7, 9, 1, 7], 0.5),
        case("all share one place", torch.tensor([0.3, 0.1]), plane, [1, 1, 1], 0.5),
        case("rewards of ten thousand", torch.tensor([1e4, -1e4]), plane, [2, 1, 3], 2.0),
        case("a learning rate of 0", torch.tensor([0.4, -0.2]), plane, [1, 2, 3], 0.0),
    ]


def _by_autograd(w, features, ranks, learning_rate):
    w = w.clone().requires_grad_()
    rewards = features @ w
    losses = [-logsigmoid(rewards[i] - rewards[j]) for i, j in _pairs(ranks)]
    if not losses:
        return w.detach(), 0.0
    loss = sum(losses) / len(losses)
    (slope,) = torch.autograd.grad(loss, w)
    return (w - learning_rate * slope).detach(), loss.item()


def _loss_after(w, features, ranks, learning_rate):
    new, _ = prompt_step(w, features, ranks, learning_rate)
    return new, prompt_step(new, features, ranks, learning_rate)[1]


def _from(pairs, **how):
    return lambda w, features, ranks, rate: _step(w, features, pairs(ranks), rate, **how)


def _neighbours(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return [(i, j) for i, j in zip(order, order[1:]) if ranks[i] < ranks[j]]


def _as_order(ranks):
    return [
        (ranks[a] - 1, ranks[b] - 1)
        for a in range(len(ranks))
        for b in range(a + 1, len(ranks))
        if ranks[a] != ranks[b]
    ]


def _one_by_one(w, features, ranks, learning_rate):
    losses = []
    for pair in _pairs(ranks):
        w, loss = _step(w, features, [pair], learning_rate)
        losses.append(loss)
    return w, sum(losses) / max(len(losses), 1)


def _by_exponentials(w, features, ranks, learning_rate):
    if not _pairs(ranks):
        return w.clone(), 0.0
    winners, losers = torch.tensor(_pairs(ranks)).T
    rewards = (features @ w).exp()
    p = rewards[winners] / (rewards[winners] + rewards[losers])
    slope = ((p - 1)[:, None] * (features[winners] - features[losers])).mean(dim=0)
    return w - learning_rate * slope, -p.log().mean().item()


def _log_after_sigmoid(w, features, ranks, learning_rate):
    w = w.clone().requires_grad_()
    rewards = features @ w
    losses = [-torch.sigmoid(rewards[i] - rewards[j]).log() for i, j in _pairs(ranks)]
    if not losses:
        return w.detach(), 0.0
    loss = sum(losses) / len(losses)
    (slope,) = torch.autograd.grad(loss, w)
    return (w - learning_rate * slope).detach(), loss.item()


def _with_slope(slope):
    """The loss is right; `slope(margins, winners, losers)` (P, D) is taken for the gradient of the pairs, and averaged."""

    def answer(w, features, ranks, learning_rate):
        if not _pairs(ranks):
            return w.clone(), 0.0
        winners, losers = (features[list(side)] for side in zip(*_pairs(ranks)))
        margins = ((winners - losers) @ w)[:, None]
        new = w - learning_rate * slope(margins, winners, losers).mean(dim=0)
        return new, -logsigmoid(margins).mean().item()

    return answer


def _share_of(count):
    """The sum over the pairs divided by `count(K)`, whatever their number is."""

    def answer(w, features, ranks, learning_rate):
        share = len(_pairs(ranks)) / count(len(ranks))
        loss = prompt_step(w, features, ranks, learning_rate)[1]
        return prompt_step(w, features, ranks, learning_rate * share)[0], share * loss

    return answer


def _ties_broken(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return [(i, j) for a, i in enumerate(order) for j in order[a + 1 :]] if len(set(ranks)) > 1 else []


def _nan_for_ties(w, features, ranks, learning_rate):
    if _pairs(ranks):
        return prompt_step(w, features, ranks, learning_rate)
    return w * float("nan"), float("nan")


STEP = Exercise(
    id="reward.prompt_step",
    slides=("C34", "T26", "T28"),
    points=5,
    minutes=25,
    title="One step on a whole ranking",
    reference=prompt_step,
    cases=_prompts,
    accepts=(_by_autograd,),
    misconceptions=(
        Misconception(
            "ascent",
            _from(_pairs, sign=-1.0),
            "Your w moves uphill: the loss of these pairs is larger after the step. Descent subtracts the gradient.",
        ),
        Misconception(
            "sum_for_mean",
            _from(_pairs, reduce=torch.sum),
            "You add up the pairs of the ranking. The loss is their mean, so that a long ranking does not push harder "
            "than a short one.",
        ),
        Misconception(
            "worse_first",
            _from(lambda ranks: _pairs(ranks, lambda a, b: a > b)),
            "Your step makes the worse answer of each pair win. Rank 1 is the best: the *smaller* rank wins.",
        ),
        Misconception(
            "neighbours_only",
            _from(_neighbours),
            "You compare only answers with neighbouring ranks. The first also beats the last: K(K−1)/2 pairs.",
        ),
        Misconception(
            "best_against_the_rest",
            _from(lambda ranks: [(i, j) for i, j in _pairs(ranks) if ranks[i] == min(ranks)]),
            "Only pairs with the best answer are used. The ranking also orders the others among themselves.",
        ),
        Misconception(
            "ties_make_pairs",
            _from(lambda ranks: [(i, j) for i, j in _pairs(ranks, lambda a, b: a <= b)]),
            "Answers that share a place became pairs. Neither was preferred: leave such pairs out.",
        ),
        Misconception(
            "ties_broken",
            _from(_ties_broken),
            "Of answers that share a place you let the earlier one in the list win. Neither was preferred: leave such pairs out.",
        ),
        Misconception(
            "places_up_to_K",
            _from(lambda ranks: [(i, j) for i, j in _pairs(ranks) if ranks[i] < len(ranks)]),
            "Winners at places from K on are missing. Places may be left out, so compare ranks with each other, not with 1 to K.",
        ),
        Misconception(
            "later_answers_only",
            _from(lambda ranks: [(i, j) for i, j in _pairs(ranks) if i < j]),
            "Pairs are missing in which the better answer comes later in the list. Either of two may be the better one.",
        ),
        Misconception(
            "list_read_as_an_order",
            _from(_as_order),
            "You read the list as “which answer is first, second, …”. It is the reverse: ranks[i] is the place of answer i.",
        ),
        Misconception(
            "loss_after_the_step",
            _loss_after,
            "The new w is right, but the loss is that of the *new* w. Asked is the loss before the step.",
        ),
        Misconception(
            "one_pair_at_a_time",
            _one_by_one,
            "You make a step after every pair, so that later pairs see another w. All pairs of the ranking make *one* step.",
        ),
        Misconception(
            "no_learning_rate",
            lambda w, features, ranks, rate: prompt_step(w, features, ranks, 1.0),
            "Your step has the same length for every learning rate: multiply the gradient by it.",
        ),
        Misconception(
            "mean_over_answers",
            _from(
                _pairs,
                reduce=lambda x, dim: (
                    x.sum(dim=dim) / (1 if x.shape[0] == 1 else (1 + (1 + 8 * x.shape[0]) ** 0.5) / 2)
                ),
            ),
            "You divide by the number of answers. The mean is over the *pairs*.",
        ),
        Misconception(
            "shared_places_in_the_mean",
            _share_of(lambda K: max(K * (K - 1) // 2, 1)),
            "You divide by K(K−1)/2 where places are shared too. The mean is over the pairs that there *are*.",
        ),
        Misconception(
            "mean_of_the_square",
            _share_of(lambda K: K * K),
            "You divide by K², the size of the matrix of all differences. The mean is over the pairs in which one answer is "
            "better.",
        ),
        Misconception(
            "gradient_of_the_sum",
            _with_slope(lambda m, winners, losers: -len(m) * torch.sigmoid(-m) * (winners - losers)),
            "Your loss is the mean, but the step is along the gradient of the *sum* over the pairs.",
        ),
        Misconception(
            "loser_forgotten",
            _with_slope(lambda m, winners, losers: -torch.sigmoid(-m) * winners),
            "Your gradient holds the winner's features alone. The margin is (features[i] − features[j]) · w: both belong to its "
            "slope.",
        ),
        Misconception(
            "p_for_1_minus_p",
            _with_slope(lambda m, winners, losers: -torch.sigmoid(m) * (winners - losers)),
            "Your pairs pull with p. A pair pulls with 1 − p: hard where the model is wrong, hardly where it is right.",
        ),
        Misconception(
            "log_after_sigmoid",
            _log_after_sigmoid,
            "For a margin of −10,000 σ is 0, its log −∞ and the gradient NaN. torch.nn.functional.logsigmoid computes "
            "both in one step.",
        ),
        Misconception(
            "plain_exponentials",
            _by_exponentials,
            "exp(10,000) is ∞, and ∞/∞ is NaN. Take σ and log σ of the difference of two rewards.",
        ),
        Misconception(
            "mean_of_no_pairs",
            _nan_for_ties,
            "Where all answers share a place there is no pair, and the mean of nothing is NaN. Then w stays, and the loss is 0.",
        ),
    ),
    hints=(
        "Three parts: which pairs does the ranking hold; what is their mean loss at this w; which way is downhill?",
        "Let autograd find the gradient: a copy of w that requires it, one loss, torch.autograd.grad. Or derive it: the slope "
        "of one pair's loss in its margin is −(1 − p).",
        "The margin of a pair is (features[i] − features[j]) · w. What is its derivative in w?",
    ),
)
