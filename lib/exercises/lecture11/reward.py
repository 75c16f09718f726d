"""Exercises of notebook 11: the Bradley–Terry loss, its gradient, and centred rewards."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture11.centring import CENTRE


def _some_pairs(generator):
    chosen, rejected = torch.randn(2, 5, generator=generator)
    return [
        case("one pair, r = 2 and 1", torch.tensor([2.0]), torch.tensor([1.0])),
        case("five pairs", 2 * chosen, rejected),
        case("a pair that the model gets wrong", torch.tensor([-1.0, 3.0]), torch.tensor([1.5, 0.0])),
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
            "The minus sign is missing, as on slide T26. Minimising this lowers the reward of the chosen answer.",
        ),
        Misconception(
            "sides_swapped",
            lambda chosen, rejected: -logsigmoid(rejected - chosen).mean(),
            "Your loss is small where the *rejected* answer is rated higher. It must be σ(chosen − rejected).",
        ),
        Misconception(
            "sum",
            lambda chosen, rejected: -logsigmoid(chosen - rejected).sum(),
            "You add up the pairs. The expectation on slide T28 is a mean; a sum grows with the size of the batch.",
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


# --- reward.loss_gradient ---------------------------------------------------------------------------------------------
def loss_gradient(chosen: Tensor, rejected: Tensor) -> tuple[Tensor, Tensor]:
    r"""The gradient of the mean loss in each reward: $\mp(1 - p_i) / B$, with $p_i = \sigma(r_w - r_l)$."""
    surprise = torch.sigmoid(rejected - chosen) / len(chosen)
    return -surprise, surprise


def _gradient_of(slope):
    """Both gradients from p = σ(chosen − rejected) and B: the chosen side gets `slope`, the rejected side −`slope`."""

    def answer(chosen, rejected):
        value = slope(torch.sigmoid(chosen - rejected), len(chosen))
        return value, -value

    return answer


def _from_exponentials(chosen, rejected):
    value = (chosen.exp() / (chosen.exp() + rejected.exp()) - 1) / len(chosen)
    return value, -value


def _by_autograd(chosen, rejected):
    sides = chosen.clone().requires_grad_(), rejected.clone().requires_grad_()
    return torch.autograd.grad(-logsigmoid(sides[0] - sides[1]).mean(), sides)


GRADIENT = Exercise(
    id="reward.loss_gradient",
    slides=("T26", "T28"),
    points=3,
    minutes=12,
    title="The gradient of the loss",
    reference=loss_gradient,
    cases=_some_pairs,
    accepts=(_by_autograd,),
    withheld=("lib.objectives.preference.bradley_terry_loss",),
    misconceptions=(
        Misconception(
            "p_for_one_minus_p",
            _gradient_of(lambda p, B: -p / B),
            "Your slope is p, which is largest for pairs that are already right. The factor is 1 − p, the probability "
            "of the "
            "wrong choice.",
        ),
        Misconception(
            "ascent",
            _gradient_of(lambda p, B: (1 - p) / B),
            "The signs are reversed. The loss *falls* when the chosen reward rises, so its slope there is negative.",
        ),
        Misconception(
            "no_mean",
            _gradient_of(lambda p, B: -(1 - p)),
            "The loss is a mean over B pairs, so each pair's slope has the factor 1/B.",
        ),
        Misconception(
            "slope_of_the_sigmoid",
            _gradient_of(lambda p, B: -p * (1 - p) / B),
            "p(1 − p) is the slope of σ. For log σ divide by p: 1 − p remains.",
        ),
        Misconception(
            "slope_of_the_log",
            _gradient_of(lambda p, B: -1 / (p * B)),
            "−1/p is the slope of −log p in p. By the chain rule, multiply by p(1 − p) for the slope in the reward.",
        ),
        Misconception(
            "plain_exponentials",
            _from_exponentials,
            "exp(10,000) is ∞, and ∞/∞ is NaN. Take the probability from the difference of the rewards, by a sigmoid.",
        ),
        Misconception(
            "rejected_left_alone",
            lambda chosen, rejected: (loss_gradient(chosen, rejected)[0], torch.zeros_like(rejected)),
            "The loss depends on both rewards, with opposite signs: descent raises the chosen one and lowers the "
            "rejected one.",
        ),
        Misconception(
            "both_the_same_way",
            lambda chosen, rejected: (loss_gradient(chosen, rejected)[0],) * 2,
            "Both sides have the same sign. The rejected reward enters with a minus sign, so its slope has the "
            "opposite sign.",
        ),
    ),
    hints=(
        "With d = chosen − rejected: the derivative of −log σ(d) in d is −(1 − σ(d)).",
        "d rises with the chosen reward and falls with the rejected one; and do not forget the mean.",
    ),
)

EXERCISES = (LOSS, GRADIENT, CENTRE)
