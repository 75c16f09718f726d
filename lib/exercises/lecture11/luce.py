"""Exercise of notebook 11: the likelihood of whole rankings."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED


# --- luce.ranking_loss ------------------------------------------------------------------------------------------------
def ranking_loss(rewards: Tensor, rankings: Tensor) -> Tensor:
    r"""The mean over rankings of minus the log of Plackett and Luce's probability, in nats."""
    return objectives.plackett_luce_loss(rewards[rankings])


def _orders(generator):
    some = torch.randn(5, generator=generator)
    rows = torch.stack([torch.randperm(5, generator=generator) for _ in range(4)])
    return [
        case("one ranking of three", torch.tensor([2.0, 1.0, 0.0]), torch.tensor([[0, 1, 2]])),
        case("the worst first", torch.tensor([2.0, 1.0, 0.0]), torch.tensor([[2, 1, 0]])),
        case("a cycle of three", torch.tensor([2.0, 1.0, 0.0]), torch.tensor([[1, 2, 0]])),
        case("two answers, three rankings", torch.tensor([0.5, -0.5]), torch.tensor([[0, 1], [1, 0], [0, 1]])),
        case("four rankings of five", 2 * some, rows),
        case("equal rewards", torch.full((4,), 3.0), torch.tensor([[3, 0, 2, 1]])),
        case(
            "rewards of ten thousand", torch.tensor([1e4, -1e4, 9999.0]).double(), torch.tensor([[0, 2, 1], [2, 0, 1]])
        ),
        case(
            "minus ten thousand for those who are left",
            torch.tensor([1e4, -1e4, -9999.0]).double(),
            torch.tensor([[0, 1, 2], [0, 2, 1]]),
        ),
        case("ten thousand in the wrong order", torch.tensor([-1e4, 1e4]).double(), torch.tensor([[0, 1]])),
    ]


def _place_by_place(rewards, rankings, over=None, take=None):
    """Minus the log of the choices at the first K − 1 places (or `take` of them), summed; mean over rankings."""
    losses = []
    for order in rankings:
        r = rewards[order]
        places = range(len(r) - 1)[:take]
        losses.append(sum((r if over == "all" else r[j:]).logsumexp(dim=0) - r[j] for j in places))
    return torch.stack(losses).mean()


def _softmax_of_the_rest(rewards, rankings):
    chosen = [-rewards[order[j:]].log_softmax(dim=0)[0] for order in rankings for j in range(len(order))]
    return sum(chosen) / len(rankings)


def _all_pairs(rewards, rankings, mean):
    r = rewards[rankings]
    first, second = torch.triu_indices(r.shape[1], r.shape[1], offset=1)
    losses = -logsigmoid(r[:, first] - r[:, second])
    return losses.mean() if mean else losses.sum(dim=1).mean()


def _scaled(by):
    return lambda rewards, rankings: ranking_loss(rewards, rankings) * by(rankings)


def _by_exponentials(rewards, rankings):
    worth = rewards[rankings].exp()
    left = worth.flip(dims=(1,)).cumsum(dim=1).flip(dims=(1,))
    return -(worth / left).log().sum(dim=1).mean()


def _masked(with_):
    """Those who have a place get the reward `with_`; then each place is a softmax over all."""

    def answer(rewards, rankings):
        left, total = rewards.expand(rankings.shape), torch.zeros(())
        for best in rankings[:, :-1].T[:, :, None]:
            total = total - left.log_softmax(dim=1).gather(1, best).mean()
            left = left.scatter(1, best, with_)
        return total

    return answer


def _shifted_once(rewards, rankings):
    r = rewards[rankings] - rewards.max()
    return (r.exp().flip(dims=(1,)).cumsum(dim=1).flip(dims=(1,)).log() - r).sum(dim=1).mean()


def _by_log_of_softmax(rewards, rankings, epsilon=0.0):
    chosen = [
        -(rewards[order[j:]].softmax(dim=0)[0] + epsilon).log() for order in rankings for j in range(len(order) - 1)
    ]
    return sum(chosen) / len(rankings)


def _winner_not_there(rewards, rankings):
    losses = [
        rewards[order[j + 1 :]].logsumexp(dim=0) - rewards[order[j]]
        for order in rankings
        for j in range(len(order) - 1)
    ]
    return sum(losses) / len(rankings)


def _log_of_the_mean(rewards, rankings):
    each = torch.stack([ranking_loss(rewards, order[None]) for order in rankings])
    return math.log(len(each)) - (-each).logsumexp(dim=0)


LUCE = Exercise(
    id="luce.ranking_loss",
    slides=("C34", "T24", "T28"),
    points=4,
    minutes=20,
    title="The loss of whole rankings",
    reference=ranking_loss,
    cases=_orders,
    gradient=("rewards",),
    accepts=(_place_by_place, _softmax_of_the_rest, _masked(-math.inf)),
    misconceptions=(
        Misconception(
            "nobody_leaves",
            lambda rewards, rankings: _place_by_place(rewards, rankings, over="all"),
            "You choose among all K answers at every place. Who has a place already is no longer there to be chosen.",
        ),
        Misconception(
            "first_place_only",
            lambda rewards, rankings: _place_by_place(rewards, rankings, take=1),
            "This is the probability of the first place alone. The places below it are choices too.",
        ),
        Misconception(
            "all_pairs_summed",
            lambda rewards, rankings: _all_pairs(rewards, rankings, mean=False),
            "You multiply the probabilities of all pairs, as if they were independent. A ranking is K − 1 choices, each among "
            "those that are left.",
        ),
        Misconception(
            "all_pairs_averaged",
            lambda rewards, rankings: _all_pairs(rewards, rankings, mean=True),
            "This is the pairwise loss, averaged over pairs. The loss of a ranking comes from K − 1 choices among those left.",
        ),
        Misconception(
            "neighbours",
            lambda rewards, rankings: -logsigmoid(-rewards[rankings].diff(dim=1)).sum(dim=1).mean(),
            "You compare each answer with the next one alone. At each place the choice is among *all* that are left.",
        ),
        Misconception(
            "worst_first",
            lambda rewards, rankings: ranking_loss(rewards, rankings.flip(dims=(1,))),
            "You choose the last of the row first. A row holds the best answer first.",
        ),
        Misconception(
            "rankings_ignored",
            lambda rewards, rankings: ranking_loss(rewards, torch.arange(len(rewards)).expand_as(rankings)),
            "You take the rewards in the order of the list, whatever the rankings say: index them by each row.",
        ),
        Misconception(
            "read_as_ranks",
            lambda rewards, rankings: ranking_loss(rewards, rankings.argsort(dim=1)),
            "You read rankings[n, i] as the place of answer i. It is the reverse: rankings[n, j] is the answer at place j.",
        ),
        Misconception(
            "no_minus",
            _scaled(lambda rankings: -1),
            "This is the log-likelihood. A loss is minus that.",
        ),
        Misconception(
            "sum_over_rankings",
            _scaled(len),
            "You add up the rankings. The loss is their mean.",
        ),
        Misconception(
            "mean_over_places",
            _scaled(lambda rankings: 1 / (rankings.shape[1] - 1)),
            "You average over the places too. The choices of a ranking multiply, so their logs add; the mean is over rankings.",
        ),
        Misconception(
            "mean_over_answers",
            _scaled(lambda rankings: 1 / rankings.shape[1]),
            "You divide by the number of answers. The logs of the choices add; the mean is over rankings alone.",
        ),
        Misconception(
            "masked_with_a_number",
            _masked(-1e4),
            "Whoever has a place gets the reward −10⁴ in your code, so that nobody should choose it. But somebody who is left "
            "may have such a reward. −∞ is below all.",
        ),
        Misconception(
            "masked_with_zero",
            _masked(0.0),
            "Whoever has a place gets the reward 0 in your code. e⁰ is 1: it can still be chosen. −∞ takes it out.",
        ),
        Misconception(
            "winner_not_there",
            _winner_not_there,
            "The answer that is chosen is missing from its own sum. The choice at place j is among all from place j on, j "
            "itself included.",
        ),
        Misconception(
            "filled_from_the_bottom",
            lambda rewards, rankings: ranking_loss(-rewards, rankings.flip(dims=(1,))),
            "You fill the places from the bottom, the worst first. Plackett and Luce choose the best first; for more than two "
            "answers that is another model.",
        ),
        Misconception(
            "log_of_the_mean",
            _log_of_the_mean,
            "You take the log of the mean probability of the rankings. The loss is the mean of the logs.",
        ),
        Misconception(
            "one_ranking",
            lambda rewards, rankings: ranking_loss(rewards, rankings[:1]),
            "You use the first ranking alone. The loss is the mean over all rows.",
        ),
        Misconception(
            "candidates_detached",
            lambda rewards, rankings: (
                ranking_loss(rewards, rankings).detach()
                - (r := rewards[rankings][:, :-1].sum(dim=1).mean())
                + r.detach()
            ),
            "The value is right, but the sums over those who are left carry no gradient. They depend on the rewards too.",
        ),
        Misconception(
            "log_after_softmax",
            _by_log_of_softmax,
            "A probability below 10⁻³⁰⁸ is 0, and its log is −∞. log_softmax, or logsumexp, computes both in one step.",
        ),
        Misconception(
            "epsilon_in_the_log",
            lambda rewards, rankings: _by_log_of_softmax(rewards, rankings, 1e-9),
            "A small number inside the log keeps the loss finite and makes it wrong. log_softmax and logsumexp need none.",
        ),
        Misconception(
            "one_shift",
            _shifted_once,
            "You subtract the largest reward once. Among those who are left later all exponentials may be 0, and the log is −∞: "
            "torch.logsumexp shifts at every place anew.",
        ),
        Misconception(
            "plain_exponentials",
            _by_exponentials,
            "exp(10,000) is ∞. torch.logsumexp adds exponentials and takes the log without leaving the range of floats.",
        ),
        Misconception(
            "detached",
            lambda rewards, rankings: ranking_loss(rewards, rankings).detach(),
            DETACHED,
        ),
    ),
    hints=(
        "Begin with one ranking: its rewards in the order of the row. Which number is the choice of the first place?",
        "The log of a choice is its own reward minus the logsumexp of the rewards of all that are still there, itself included.",
        "The last place is no choice: only one is left, with probability 1.",
    ),
)

EXERCISES = (LUCE,)
