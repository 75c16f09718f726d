"""Exercises of notebook 12: baselines, which reduce the variance of the estimate and keep its mean."""

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- baseline.leave_one_out -------------------------------------------------------------------------------------------
def leave_one_out(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of the *other* rewards for the same prompt, (P, N) (Kool et al. 2019)."""
    n = rewards.shape[1]
    return rewards - (rewards.sum(dim=1, keepdim=True) - rewards) / (n - 1)


def _groups(generator):
    drawn = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    return [
        case("one prompt, three answers", torch.tensor([[1.0, 2.0, 6.0]]).double()),
        case("two answers", torch.tensor([[3.0, -1.0], [0.5, 0.0]]).double()),
        case("three prompts", drawn),
        case("prompts of different difficulty", drawn + torch.tensor([[0.0], [10.0], [-50.0]]).double()),
        case("all rewards equal", torch.full((2, 5), 4.0).double()),
        case("equal rewards among others", torch.tensor([[1.0, 1.0, 4.0, 2.0], [0.0, 3.0, 0.0, 0.0]]).double()),
    ]


def _one_by_one(rewards):
    out = torch.empty_like(rewards)
    for p, row in enumerate(rewards.tolist()):
        for i, own in enumerate(row):
            others = row[:i] + row[i + 1 :]
            out[p, i] = own - sum(others) / len(others)
    return out


def _left_out_by_value(rewards):
    rows = [torch.stack([own - row[row != own].mean() for own in row]) for row in rewards]
    return torch.stack(rows)


def _standardised(rewards):
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.std(dim=1, keepdim=True) + 1e-6)


def _equal_left_out(rewards):
    rows = [[own - row[row != own].mean() if (row != own).any() else own - own for own in row] for row in rewards]
    return torch.stack([torch.stack(row) for row in rows])


def _others_standardised(rewards):
    return leave_one_out(rewards) / (rewards.std(dim=1, keepdim=True) + 1e-6)


LEAVE_ONE_OUT = Exercise(
    id="baseline.leave_one_out",
    slides=("T31",),
    points=3,
    minutes=10,
    title="The leave-one-out baseline",
    reference=leave_one_out,
    cases=_groups,
    accepts=(
        _one_by_one,
        lambda r: (r - r.mean(dim=1, keepdim=True)) * r.shape[1] / (r.shape[1] - 1),
    ),
    withheld=("lib.objectives.advantages.rloo",),
    misconceptions=(
        Misconception(
            "includes_itself",
            lambda r: r - r.mean(dim=1, keepdim=True),
            "Your baseline contains the answer's own reward. It then depends on the answer, and the estimate shrinks "
            "by the "
            "factor (N − 1)/N: take the mean of the others.",
        ),
        Misconception(
            "divides_by_n",
            lambda r: r - (r.sum(dim=1, keepdim=True) - r) / r.shape[1],
            "You took the answer's own reward out of the sum but still divide by N. There are N − 1 others.",
        ),
        Misconception(
            "taken_out_twice",
            lambda r: r - (r.sum(dim=1, keepdim=True) - 2 * r) / (r.shape[1] - 1),
            "You subtract the answer's own reward from the sum twice: once is enough.",
        ),
        Misconception(
            "baseline_returned",
            lambda r: (r.sum(dim=1, keepdim=True) - r) / (r.shape[1] - 1),
            "This is the baseline. The advantage is the reward minus the baseline.",
        ),
        Misconception(
            "sign",
            lambda r: -leave_one_out(r),
            "Your advantage is positive for answers that are worse than the others. It is reward minus baseline.",
        ),
        Misconception(
            "over_all_prompts",
            lambda r: r - (r.sum() - r) / (r.numel() - 1),
            "You also compare with answers to other prompts. An easy prompt would make all of its answers look good: "
            "compare "
            "within a row.",
        ),
        Misconception(
            "others_in_the_column",
            lambda r: r - (r.sum(dim=0, keepdim=True) - r) / (len(r) - 1),
            "You go down the columns, to answers to *other* prompts. The answers to one prompt are a row: sum over dim=1.",
        ),
        Misconception(
            "left_out_by_value",
            _left_out_by_value,
            "You leave out all rewards that are equal to the answer's own. Another answer with the same reward is one of "
            "the others: leave out by position.",
        ),
        Misconception(
            "equal_left_out",
            _equal_left_out,
            "You compare only with answers that got another reward. Answers with the same reward are others too: leave "
            "out by position, not by value.",
        ),
        Misconception(
            "others_standardised",
            _others_standardised,
            "You subtracted the mean of the others, and then divided by the standard deviation. The advantage asked for "
            "is only reward minus baseline.",
        ),
        Misconception(
            "standardised",
            _standardised,
            "You divided by the standard deviation, as GRPO does. That is another estimator, with another mean; the "
            "exercise "
            "asks only for the baseline.",
        ),
    ),
    hints=(
        "The sum of the others is the sum of the row minus the answer's own reward; use keepdim=True for sums of rows.",
        "First write the baseline, a tensor (P, N): the sum of the others over how many they are. Then subtract it from rewards.",
    ),
)


# --- baseline.optimal -------------------------------------------------------------------------------------------------
def optimal(logits: Tensor, rewards: Tensor) -> float:
    """The constant b for which (R − b) ∇ log p has the least variance: E[|∇ log p|² R] / E[|∇ log p|²]."""
    p = torch.softmax(logits, dim=0)
    weights = p * _squared_scores(p)
    return (weights @ rewards / weights.sum()).item()


def _squared_scores(p):
    return (torch.eye(len(p), dtype=p.dtype) - p).square().sum(dim=1)  # |onehot(k) − p|² of each answer k


def _policies(generator):
    z, r = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    return [
        case("three answers", torch.tensor([1.0, 0.0, -1.0]).double(), torch.tensor([0.0, 1.0, 5.0]).double()),
        case("four answers", z, r),
        case("rewards around a hundred", z, 100 + r),
        case("the same reward for every answer", z, torch.full_like(r, -2)),
        case("a uniform policy", torch.zeros(3).double(), torch.tensor([0.0, 3.0, 6.0]).double()),
        case("two answers, one of them rare", torch.tensor([3.0, 0.0]).double(), torch.tensor([1.0, -1.0]).double()),
        case(
            "an almost certain policy", torch.tensor([16.0, 0.0, 1.0]).double(), torch.tensor([1.0, 2.0, -3.0]).double()
        ),
        case("logits around a thousand", 1000 + z, r),
    ]


def _by_search(logits, rewards):
    """The second moment is a parabola in b: its minimum from three values."""
    p = torch.softmax(logits, dim=0)
    low, middle, high = ((p * (rewards - b).square() * _squared_scores(p)).sum() for b in (-1.0, 0.0, 1.0))
    return (0.5 * (low - high) / (low - 2 * middle + high)).item()


def _weighted(weigh):
    def mean(logits, rewards):
        p = torch.softmax(logits, dim=0)
        weights = weigh(p)
        return (weights @ rewards / weights.sum()).item()

    return mean


def _not_divided(logits, rewards):
    p = torch.softmax(logits, dim=0)
    return (p * _squared_scores(p) @ rewards).item()


OPTIMAL = Exercise(
    id="baseline.optimal",
    slides=("T31",),
    points=4,
    minutes=15,
    title="The best constant baseline",
    reference=optimal,
    cases=_policies,
    accepts=(_by_search,),
    misconceptions=(
        Misconception(
            "expected_reward",
            _weighted(lambda p: p),
            "That is the expected reward J: a good baseline, not the best. Answers with a large |∇ log p| add more "
            "variance, "
            "so weight them by |∇ log p|².",
        ),
        Misconception(
            "plain_mean",
            lambda z, r: r.mean().item(),
            "You took the plain mean of the rewards. The expectation is over the policy's answers.",
        ),
        Misconception(
            "length_not_squared",
            _weighted(lambda p: p * _squared_scores(p).sqrt()),
            "You weight by the length |∇ log p|. The variance depends on its square: |∇ log p|².",
        ),
        Misconception(
            "probability_forgotten",
            _weighted(_squared_scores),
            "You weight each answer only by |∇ log p|². Both expectations are under p: the factor p_k is missing.",
        ),
        Misconception(
            "columns",
            _weighted(lambda p: p * (torch.eye(len(p), dtype=p.dtype) - p).square().sum(dim=0)),
            "You add up the squares over the answers. The score of answer k is *row* k of onehot − p: sum along the row.",
        ),
        Misconception(
            "one_minus_p",
            _weighted(lambda p: p * (1 - p)),
            "You weight by p_k (1 − p_k). The weight is p_k times the squared length of the whole vector onehot(k) − p.",
        ),
        Misconception(
            "softmax_forgotten",
            lambda z, r: ((w := z.exp() * _squared_scores(z.exp())) @ r / w.sum()).item(),
            "You take exp(logits) for the probabilities. That holds only for logits that are log-probabilities "
            "already: divide by their sum, or use softmax.",
        ),
        Misconception(
            "exponential_overflows",
            lambda z, r: ((w := (p := z.exp() / z.exp().sum()) * _squared_scores(p)) @ r / w.sum()).item(),
            "exp of a large logit is infinite, and ∞/∞ is NaN. torch.softmax takes the largest logit off first.",
        ),
        Misconception(
            "epsilon",
            lambda z, r: ((w := (p := z.softmax(dim=0)) * _squared_scores(p)) @ r / (w.sum() + 1e-8)).item(),
            "You add a small number to the denominator. It is never 0, and where the policy is almost certain it is "
            "itself that small: the baseline then comes out too close to 0.",
        ),
        Misconception(
            "not_divided",
            _not_divided,
            "This is E[|∇ log p|² R]. Divide by E[|∇ log p|²]: for equal rewards the baseline must be that reward.",
        ),
        Misconception(
            "own_logit_only",
            _weighted(lambda p: p * (1 - p).square()),
            "You took (1 − p_k)², the square of one entry. The vector onehot(k) − p has K entries, and its squared "
            "length is "
            "(1 − p_k)² + Σ p_j² over the others.",
        ),
        Misconception(
            "best_reward",
            lambda z, r: r.max().item(),
            "With the best reward as baseline no advantage is positive. Set the derivative of E[(R − b)² |∇ log p|²] "
            "with "
            "respect to b to zero.",
        ),
    ),
    hints=(
        "The mean does not depend on b, so the variance is least where E[(R − b)² |s|²] is least, with s = onehot(y) − "
        "p: "
        "differentiate with respect to b.",
        "It comes out as a weighted mean of the rewards. The weight of answer k is p_k times the squared length of its score, "
        "|s_k|² = Σ_j (1[j = k] − p_j)².",
    ),
)

EXERCISES = (LEAVE_ONE_OUT, OPTIMAL)
