"""Exercises of notebook 11: the Bradley–Terry loss, its gradient, and centred rewards."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case


def _some_pairs(generator):
    chosen, rejected = torch.randn(2, 5, generator=generator)
    return [
        case("one pair, r = 2 and 1", torch.tensor([2.0]), torch.tensor([1.0])),
        case("five pairs", 2 * chosen, rejected),
        case("a pair that the model gets wrong", torch.tensor([-1.0, 3.0]), torch.tensor([1.5, 0.0])),
        case("equal rewards", torch.zeros(3), torch.zeros(3)),
        case("rewards of ten thousand", torch.tensor([1e4, 0.0, 2.0]), torch.tensor([0.0, 1e4, 0.0])),
    ]


# --- reward.bradley_terry_loss ----------------------------------------------------------------------------------------
def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    r"""$-\mathbb{E}[\log \sigma(r_w - r_l)]$, the mean over pairs in nats (slide T28)."""
    return objectives.bradley_terry_loss(chosen, rejected)


LOSS = Exercise(
    id="reward.bradley_terry_loss",
    slides=("T26", "T28"),
    points=3,
    minutes=10,
    title="The loss of a reward model",
    reference=bradley_terry_loss,
    cases=_some_pairs,
    accepts=(lambda chosen, rejected: softplus(rejected - chosen).mean(),),
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
            "For a difference of −10,000 the sigmoid is 0 and its log −∞. torch.nn.functional.logsigmoid computes both "
            "in one "
            "step, safely.",
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


# --- reward.centre_rewards --------------------------------------------------------------------------------------------
def centre_rewards(rewards: Tensor, prompts: Tensor) -> Tensor:
    r"""$r(x, y) - \mathbb{E}_{y \mid x}[r(x, y)]$ (slide T28)."""
    return objectives.centre_rewards(rewards, prompts)


def _answers(generator):
    rewards = torch.randn(6, generator=generator)
    mixed = torch.tensor([4, 0, 4, 9, 0, 4])
    return [
        case("two prompts, easy and hard", torch.tensor([1.0, 3.0, 5.0, 20.0, 24.0]), torch.tensor([0, 0, 0, 1, 1])),
        case("prompts in mixed order", 3 * rewards + mixed, mixed),
        case("one answer per prompt", torch.tensor([7.0, -2.0]), torch.tensor([1, 0])),
        case("one prompt", torch.tensor([1.0, 2.0, 6.0]), torch.tensor([5, 5, 5])),
    ]


def _by_loop(rewards, prompts):
    result = torch.empty_like(rewards)
    for prompt in prompts.unique():
        mine = prompts == prompt
        result[mine] = rewards[mine] - rewards[mine].mean()
    return result


def _each_prompt(change):
    """`change` applied to the rewards of each prompt."""

    def answer(rewards, prompts):
        result = rewards.clone()
        for prompt in prompts.unique():
            result[prompts == prompt] = change(rewards[prompts == prompt])
        return result

    return answer


def _runs(rewards, prompts):
    """Only neighbouring answers to the same prompt are grouped."""
    run = torch.cat((torch.zeros(1, dtype=torch.long), (prompts[1:] != prompts[:-1]).long().cumsum(dim=0)))
    return _by_loop(rewards, run)


CENTRE = Exercise(
    id="reward.centre_rewards",
    slides=("T28",),
    points=3,
    minutes=10,
    title="Centred rewards",
    reference=centre_rewards,
    cases=_answers,
    accepts=(_by_loop,),
    misconceptions=(
        Misconception(
            "one_mean_for_all",
            lambda rewards, prompts: rewards - rewards.mean(),
            "You subtract one mean from everything. That makes the mean over all prompts 0, but not “for all x”: each "
            "prompt has its own mean.",
        ),
        Misconception(
            "standardised",
            _each_prompt(lambda r: (r - r.mean()) / r.std(correction=0).clamp(min=1e-8)),
            "You also divide by the standard deviation. That changes differences of rewards, and so the preferences; a "
            "shift "
            "does not.",
        ),
        Misconception(
            "minimum_at_zero",
            _each_prompt(lambda r: r - r.min()),
            "The worst answer of each prompt gets 0. It is the *mean* that should be 0.",
        ),
        Misconception(
            "best_at_zero",
            _each_prompt(lambda r: r - r.max()),
            "The best answer of each prompt gets 0. It is the *mean* that should be 0.",
        ),
        Misconception(
            "the_means_themselves",
            _each_prompt(lambda r: r.mean().expand(len(r))),
            "These are the means of the prompts. Subtract them from the rewards.",
        ),
        Misconception(
            "neighbours_only",
            _runs,
            "Answers to one prompt need not be adjacent, but your mean starts again whenever the prompt changes.",
        ),
        Misconception(
            "sum_for_mean",
            _each_prompt(lambda r: r - r.sum()),
            "You subtract the sum of a prompt's rewards. Divide it by the number of its answers.",
        ),
    ),
    hints=(
        "For each prompt: which rows belong to it, and what is their mean?",
        "prompts.unique(), a mask prompts == prompt, and one subtraction.",
    ),
)

EXERCISES = (LOSS, GRADIENT, CENTRE)
