"""Exercises of notebook 13: the loss of direct preference optimisation, and the optimal policy of the objective."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture13.optimum import OPTIMAL_POLICY


# --- dpo.dpo_loss -----------------------------------------------------------------------------------------------------
def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    beta: float,
) -> Tensor:
    """−mean log σ(β (log-ratio of the chosen − log-ratio of the rejected)), from log-probabilities (B, T) per token."""
    totals = _sums(chosen, rejected, reference_chosen, reference_rejected, chosen_mask, rejected_mask)
    return objectives.dpo_loss(*totals, beta=beta)


def _sums(c, r, ref_c, ref_r, c_mask, r_mask):
    return [(x * mask).sum(dim=1) for x, mask in ((c, c_mask), (r, r_mask), (ref_c, c_mask), (ref_r, r_mask))]


def _pairs(generator):
    def pairs(what, B, T, beta, lead=0.0):
        tokens = -torch.rand(4, B, T, generator=generator) - 0.2
        lengths = torch.randint(2, T, (2, B), generator=generator)
        lengths[0, 0], lengths[1, 0] = T - 1, 1  # one long and one short answer
        masks = torch.arange(T) >= T - lengths[..., None]
        return case(what, tokens[0] + lead, tokens[1] - lead, tokens[2], tokens[3], *masks, beta)

    start = pairs("the first step: the policy is its reference", 3, 4, 0.1)
    chosen, rejected, *_, chosen_mask, rejected_mask, beta = start.args
    same = case(start.what, chosen, rejected, chosen, rejected, chosen_mask, rejected_mask, beta)
    return [
        pairs("four pairs of answers", 4, 5, 0.5),
        pairs("one pair", 1, 6, 0.1),
        same,
        pairs("a policy that is wrong on all pairs: σ is 0 in float32", 2, 5, 1.0, lead=-150.0),
        pairs("a policy that is right on all pairs: 1 − σ is 0", 2, 5, 1.0, lead=150.0),
    ]


def _stable_by_hand(c, r, ref_c, ref_r, c_mask, r_mask, beta):
    ratios = ((c - ref_c) * c_mask).sum(1) - ((r - ref_r) * r_mask).sum(1)
    return torch.logaddexp(torch.zeros_like(ratios), -beta * ratios).mean()


def _wrong(objective):
    """The same sums over tokens, with another loss of (chosen, rejected, both references, beta)."""
    return lambda *args: objective(*_sums(*args[:6]), args[6])


def _per_token(c, r, ref_c, ref_r, c_mask, r_mask, beta):
    chosen, rejected = ((c - ref_c) * c_mask).sum(1) / c_mask.sum(1), ((r - ref_r) * r_mask).sum(1) / r_mask.sum(1)
    return -logsigmoid(beta * (chosen - rejected)).mean()


def _masked_by(masks):
    """With other masks than the case's, made of the two."""
    return lambda c, r, ref_c, ref_r, *rest: dpo_loss(c, r, ref_c, ref_r, *masks(*rest[:2]), rest[2])


def _classified(c, r, ref_c, ref_r, c_mask, r_mask, beta):
    better, worse = [
        (policy - ref).where(mask.bool(), 0).sum(1) for policy, ref, mask in ((c, ref_c, c_mask), (r, ref_r, r_mask))
    ]
    return -(beta * torch.stack((better, worse))).log_softmax(dim=0)[0].mean()


DPO_LOSS = Exercise(
    id="dpo.dpo_loss",
    slides=("T16", "T32"),
    points=4,
    minutes=15,
    title="The loss of DPO",
    reference=dpo_loss,
    cases=_pairs,
    gradient=("chosen", "rejected"),
    accepts=(_stable_by_hand, _classified),
    withheld=("lib.objectives.dpo.implicit_reward", "lib.training.preferences.preference_loss"),
    misconceptions=(
        Misconception(
            "reference_missing",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - r)).mean()),
            "The reference is missing. The implicit reward is β (log π − log π_ref), so that at the first step, where "
            "π is "
            "π_ref, the loss is ln 2 for all answers.",
        ),
        Misconception(
            "beta_outside",
            _wrong(lambda c, r, ref_c, ref_r, b: -b * logsigmoid(c - ref_c - r + ref_r).mean()),
            "β is outside the sigmoid, where it only rescales the step. It belongs inside: β times the difference of "
            "the "
            "log-ratios.",
        ),
        Misconception(
            "divides_by_beta",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid((c - ref_c - r + ref_r) / b).mean()),
            "You divide by β. The exponent of the optimal policy is r / β; solved for r, β multiplies the log-ratio.",
        ),
        Misconception(
            "chosen_and_rejected_swapped",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (r - ref_r - c + ref_c)).mean()),
            "Your loss falls when the *rejected* answer becomes more likely: the sigmoid is of chosen minus rejected.",
        ),
        Misconception(
            "reference_added",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - r + ref_c - ref_r)).mean()),
            "The reference has the wrong sign: log π − log π_ref, chosen minus rejected. At π = π_ref everything must "
            "cancel.",
        ),
        Misconception(
            "sign_forgotten",
            lambda *args: -dpo_loss(*args),
            "log σ should be maximised, but an optimiser minimises: put a minus sign before the mean.",
        ),
        Misconception(
            "mean_per_token",
            _per_token,
            "You divide by the number of tokens. log π(y|x) of an answer is the *sum* over its tokens; with "
            "means this is no longer the loss whose optimum is π*.",
        ),
        Misconception(
            "loss_per_token",
            lambda c, r, ref_c, ref_r, c_mask, r_mask, beta: (
                -logsigmoid(beta * ((c - ref_c) * c_mask - (r - ref_r) * r_mask)).mean()
            ),
            "You compare token with token, each with a loss of its own. The tokens at one place of two answers have nothing "
            "to do with each other: sum over each answer first.",
        ),
        Misconception(
            "rejected_not_masked",
            _masked_by(lambda chosen, rejected: (chosen, torch.ones_like(rejected))),
            "Your rejected side also counts prompt and padding. Each side has its own mask.",
        ),
        Misconception(
            "nothing_masked",
            _masked_by(lambda chosen, rejected: (torch.ones_like(chosen), torch.ones_like(rejected))),
            "Prompt and padding are part of your sums. Only the tokens of the answers count, each side with its mask.",
        ),
        Misconception(
            "one_mask_for_both",
            _masked_by(lambda chosen, rejected: (chosen, chosen)),
            "You use the chosen answers' mask for the rejected ones too. The two have different lengths.",
        ),
        Misconception(
            "beta_missing",
            lambda c, r, ref_c, ref_r, c_mask, r_mask, beta: dpo_loss(c, r, ref_c, ref_r, c_mask, r_mask, 1.0),
            "β is missing: it multiplies the difference of the log-ratios, inside the sigmoid.",
        ),
        Misconception(
            "loss_of_the_mean_margin",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - ref_c - r + ref_r).mean())),
            "You average the differences of the pairs, and take one loss of that. Each pair has its own loss; the mean "
            "comes last.",
        ),
        Misconception(
            "beta_fixed",
            lambda c, r, ref_c, ref_r, c_mask, r_mask, beta: dpo_loss(c, r, ref_c, ref_r, c_mask, r_mask, 0.1),
            "Your β is always 0.1. It is an argument: use it.",
        ),
        Misconception(
            "epsilon_in_the_log",
            _wrong(lambda c, r, ref_c, ref_r, b: -(torch.sigmoid(b * (c - ref_c - r + ref_r)) + 1e-8).log().mean()),
            "A small number inside the log keeps the loss finite and makes it wrong: no pair costs more than that log, "
            "and a badly wrong one has no gradient. logsigmoid needs no such number.",
        ),
        Misconception(
            "detached",
            lambda *args: dpo_loss(*args).detach(),
            DETACHED,
        ),
        Misconception(
            "rejected_detached",
            lambda c, r, *rest: dpo_loss(c, r.detach(), *rest),
            "No gradient reaches the rejected answers. Only the reference is a constant: the policy learns from both sides "
            "of a pair.",
        ),
        Misconception(
            "log_of_the_mean",
            _wrong(lambda c, r, ref_c, ref_r, b: -torch.sigmoid(b * (c - ref_c - r + ref_r)).mean().log()),
            "You average the probabilities and then take the log. Each pair has its own loss: take the mean of the "
            "logs.",
        ),
        Misconception(
            "log_of_sigmoid",
            _wrong(lambda c, r, ref_c, ref_r, b: -torch.sigmoid(b * (c - ref_c - r + ref_r)).log().mean()),
            "log(sigmoid(x)), or −log(1 + exp(−x)), is −∞ where the policy is badly wrong, and training breaks. "
            "logsigmoid(x) stays finite.",
        ),
        Misconception(
            "sum_over_pairs",
            _wrong(lambda c, r, ref_c, ref_r, b: -logsigmoid(b * (c - ref_c - r + ref_r)).sum()),
            "You add up the pairs, so that the step grows with the batch. Take their mean.",
        ),
    ),
    hints=(
        "First one number per answer and model: what is log π(y|x) of a whole answer, given those of its tokens? Mind that "
        "each side has its own mask.",
        "Then the implicit reward of each answer, and the difference of the two in a pair. At π = π_ref it is 0.",
        "The rest is the loss of a reward model in lecture 11. torch.nn.functional has a logarithm of σ that does not "
        "underflow.",
    ),
)

EXERCISES = (DPO_LOSS, OPTIMAL_POLICY)
