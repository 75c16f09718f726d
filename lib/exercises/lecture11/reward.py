"""Exercises of notebook 11: the Bradley–Terry loss, and one step of a reward model on a whole ranking."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture11.steps import STEP


def _some_pairs(generator):
    chosen, rejected = torch.randn(2, 5, generator=generator)
    return [
        case("one pair, r = 2 and 1", torch.tensor([2.0]), torch.tensor([1.0])),
        case("five pairs", 2 * chosen, rejected),
        case("a pair that the model gets wrong", torch.tensor([-1.0, 3.0]), torch.tensor([1.5, 0.0])),
        case("equal rewards", torch.tensor([1.0, -2.0, 0.5]), torch.tensor([1.0, -2.0, 3.0])),
        case("nearly equal rewards", torch.zeros(3), torch.tensor([1e-3, -1e-3, 2e-3])),
        case("rewards of ten thousand", torch.tensor([1e4, 0.0, 2.0]), torch.tensor([0.0, 1e4, 0.0])),
        case("one pair, minus ten thousand for the chosen answer", torch.tensor([-1e4]), torch.tensor([1e4])),
        case("ten thousand for every answer, one more or less", torch.full((2,), 1e4), torch.tensor([9999.0, 10001.0])),
    ]


# --- reward.bradley_terry_loss ----------------------------------------------------------------------------------------
def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    r"""$-\mathbb{E}[\log \sigma(r_w - r_l)]$, the mean over pairs in nats (slide T28)."""
    return objectives.bradley_terry_loss(chosen, rejected)


def _classified(chosen, rejected):
    return -torch.stack((chosen, rejected)).log_softmax(dim=0)[0].mean()


def _by_exponentials(chosen, rejected):
    return -(chosen.exp() / (chosen.exp() + rejected.exp())).log().mean()


def _with_a_corner(chosen, rejected):
    margin = chosen - rejected
    return (torch.relu(-margin) + torch.log1p(torch.exp(-margin.abs()))).mean()


LOSS = Exercise(
    id="reward.bradley_terry_loss",
    slides=("T26", "T28"),
    points=3,
    minutes=10,
    title="The loss of a reward model",
    reference=bradley_terry_loss,
    cases=_some_pairs,
    gradient=("chosen", "rejected"),
    accepts=(lambda chosen, rejected: softplus(rejected - chosen).mean(), _classified),
    withheld=(
        "lib.objectives.dpo.dpo_loss",
        "lib.objectives.preference.bradley_terry_probability",
        "lib.training.preferences.reward_model_loss",
    ),
    misconceptions=(
        Misconception(
            "no_minus",
            lambda chosen, rejected: logsigmoid(chosen - rejected).mean(),
            "The minus sign is missing. Minimising this lowers the reward of the chosen answer.",
        ),
        Misconception(
            "sides_swapped",
            lambda chosen, rejected: -logsigmoid(rejected - chosen).mean(),
            "Your loss is small where the *rejected* answer is rated higher. It must be σ(chosen − rejected).",
        ),
        Misconception(
            "sum",
            lambda chosen, rejected: -logsigmoid(chosen - rejected).sum(),
            "You add up the pairs. The loss is their mean; a sum grows with the size of the batch.",
        ),
        Misconception(
            "no_log",
            lambda chosen, rejected: -torch.sigmoid(chosen - rejected).mean(),
            "The logarithm is missing: maximum likelihood multiplies probabilities, so it adds their logarithms. "
            "Without it a "
            "badly wrong pair has almost no gradient.",
        ),
        Misconception(
            "log_of_the_mean",
            lambda chosen, rejected: -torch.sigmoid(chosen - rejected).mean().log(),
            "You take the log of the mean probability. The loss is the mean of the logs, which differs unless all "
            "pairs are "
            "equal.",
        ),
        Misconception(
            "log_after_sigmoid",
            lambda chosen, rejected: -torch.log(torch.sigmoid(chosen - rejected)).mean(),
            "For a difference of −10,000 σ is 0 and exp(10,000) is ∞, so that the loss is infinite. "
            "torch.nn.functional.logsigmoid computes sigmoid and log in one step, safely.",
        ),
        Misconception(
            "epsilon_in_the_log",
            lambda chosen, rejected: -(torch.sigmoid(chosen - rejected) + 1e-8).log().mean(),
            "A small number inside the log keeps the loss finite and makes it wrong: no pair costs more than that log, "
            "and a badly wrong one has no gradient. torch.nn.functional.logsigmoid needs no such number.",
        ),
        Misconception(
            "clamped",
            lambda chosen, rejected: -torch.sigmoid(chosen - rejected).clamp(min=1e-12).log().mean(),
            "You bound the probability from below: no pair costs more than that bound, and a pair beyond it has no gradient. "
            "torch.nn.functional.logsigmoid needs no bound.",
        ),
        Misconception(
            "with_a_corner",
            _with_a_corner,
            "Your values are right, and so are the gradients but for equal rewards: relu and abs have a corner at 0, where "
            "autograd does not find −½. torch.nn.functional.logsigmoid has no corner.",
        ),
        Misconception(
            "rejected_detached",
            lambda chosen, rejected: -logsigmoid(chosen - rejected.detach()).mean(),
            "The rejected answer gets no gradient. Both rewards come from the model, and the loss pulls both.",
        ),
        Misconception(
            "each_alone",
            lambda chosen, rejected: (logsigmoid(rejected) - logsigmoid(chosen)).mean(),
            "You take log σ of each reward alone, and then the difference. The probability is σ of the *difference*.",
        ),
        Misconception(
            "all_against_all",
            lambda chosen, rejected: -logsigmoid(chosen[:, None] - rejected).mean(),
            "You compare every chosen answer with every rejected one. Pair i is chosen[i] and rejected[i]: the others were "
            "never compared.",
        ),
        Misconception(
            "bits",
            lambda chosen, rejected: -logsigmoid(chosen - rejected).mean() / math.log(2),
            "This is the loss in bits, with the logarithm to base 2. Asked are nats, the natural logarithm.",
        ),
        Misconception(
            "plain_exponentials",
            _by_exponentials,
            "exp(10,000) is ∞, and ∞/∞ is NaN. Only the difference of the rewards matters: σ(chosen − rejected).",
        ),
        Misconception(
            "loss_of_the_mean_margin",
            lambda chosen, rejected: -logsigmoid((chosen - rejected).mean()),
            "You average the differences, and take one loss of that: a pair that is wrong would be paid for by one that "
            "is right. Each pair has its own loss; the mean comes last.",
        ),
        Misconception(
            "log_likelihood",
            lambda chosen, rejected: logsigmoid(chosen - rejected).sum(),
            "This is the log-likelihood of the batch. A loss is *minus* that, and here the *mean* over the pairs.",
        ),
        Misconception(
            "detached",
            lambda chosen, rejected: -logsigmoid(chosen - rejected).mean().detach(),
            DETACHED,
        ),
        Misconception(
            "difference_alone",
            lambda chosen, rejected: (rejected - chosen).mean(),
            "A plain difference has no minimum: it rewards pushing one easy pair apart without end. −log σ flattens "
            "once a pair "
            "is clear.",
        ),
        Misconception(
            "hinge",
            lambda chosen, rejected: (1 - chosen + rejected).clamp(min=0).mean(),
            "That is the hinge loss of a support vector machine. It also ranks, but it is not the likelihood of the "
            "Bradley–Terry model.",
        ),
    ),
    hints=(
        "The loss of one pair is −log σ(chosen − rejected); the loss of the batch is the mean.",
        "torch.nn.functional.logsigmoid stays finite where log(sigmoid) does not.",
    ),
)


EXERCISES = (LOSS, STEP)
