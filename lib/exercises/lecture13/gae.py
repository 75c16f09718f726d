"""The second exercise of `ppo`: how much better each token did than the value model predicted."""

import torch
from torch import Tensor

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- ppo.gae ----------------------------------------------------------------------------------------------------------
def gae(rewards: Tensor, values: Tensor, response_mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Advantages and returns, both (B, T) and 0 outside the answers (Schulman et al. 2016, eq. 16)."""
    return objectives.gae(rewards, values, response_mask, gamma=gamma, lam=lam)


def _answers(generator):
    rewards, values = torch.randn(2, 3, 6, generator=generator)
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 0]]).bool()
    final_reward = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 2.0]])
    paid, guessed = torch.tensor([[[9.0, 0.0, 0.5, 2.0, -9.0]], [[5.0, 1.0, 0.5, 1.5, 7.0]]])
    inner = torch.tensor([[0, 1, 1, 1, 0]]).bool()
    return [
        case("answers of 5, 3 and 1 tokens", rewards * mask, 1 + values, mask, 0.9, 0.8),
        case("a reward at the end", final_reward, values[:1].abs(), mask[:1], 0.99, 0.95),
        case("λ = 1: rewards to go minus values", rewards * mask, values - 1, mask, 1.0, 1.0),
        case("λ = 0: one step ahead", rewards * mask, 2 + values, mask, 0.7, 0.0),
        case("other numbers before and after the answer", paid, guessed, inner, 0.9, 0.5),
        case("the same for many rows, γ = 1", 3 + rewards, 1 + values, mask, 1.0, 0.5),
        case("γ = 0.5, λ = 1", paid, guessed, inner, 0.5, 1.0),
    ]


def _backward(rewards, values, mask, gamma, lam, *, known=None, factor=None, bootstrap=None):
    """GAE with replaceable parts: `known` for the values, `factor` for γλ, `bootstrap` for γ."""
    known = values * mask if known is None else known
    following = torch.cat((known[:, 1:], 0 * known[:, :1]), dim=1)
    errors = (rewards + (gamma if bootstrap is None else bootstrap) * following - known) * mask
    advantages = errors @ _powers(errors.shape[1], gamma * lam if factor is None else factor)
    return advantages * mask, (advantages + known) * mask


def _powers(T, factor):
    """(T, T) with factor^(k − t) at [k, t] for k ≥ t: weights for a discounted sum over the future."""
    ages = torch.arange(T)[:, None] - torch.arange(T)
    return torch.where(ages >= 0, float(factor) ** ages.clamp(min=0), 0.0)


def _forward(rewards, values, mask, gamma, lam):
    errors, _ = _backward(rewards, values, mask, gamma, lam, factor=0)
    advantages = errors @ _powers(errors.shape[1], gamma * lam).T * mask
    return advantages, advantages + values * mask


def _whitened(rewards, values, mask, gamma, lam):
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    counted = advantages[mask]
    return ((advantages - counted.mean()) / (counted.std() + 1e-8)) * mask, returns


def _into_the_prompt(rewards, values, mask, gamma, lam):
    running, _ = _backward(rewards * mask, values * mask, torch.ones_like(mask), gamma, lam)
    return running, (running + values) * mask


def _next_value(values, mask):
    return torch.cat(((values * mask)[:, 1:], 0 * values[:, :1]), dim=1)


def _to_go(rewards, values, mask, gamma, lam):
    return gae(rewards, values, mask, gamma, lam)[0], objectives.rewards_to_go(rewards, mask, gamma=gamma)


GAE = Exercise(
    id="ppo.gae",
    slides=("T29", "T32"),
    points=5,
    minutes=20,
    title="Generalised advantage estimates",
    reference=gae,
    cases=_answers,
    accepts=(_backward,),
    misconceptions=(
        Misconception(
            "next_value_forgotten",
            lambda *args: _backward(*args, bootstrap=0),
            "Your error is r − V_t. The next value is missing: δ_t = r_t + γ V_{t+1} − V_t.",
        ),
        Misconception(
            "lambda_forgotten",
            lambda r, v, m, gamma, lam: _backward(r, v, m, gamma, lam, factor=gamma),
            "You discount the errors by γ only, which is the case λ = 1. Each step back multiplies by γ·λ.",
        ),
        Misconception(
            "gamma_forgotten",
            lambda r, v, m, gamma, lam: _backward(r, v, m, gamma, lam, factor=lam),
            "You discount the errors by λ only. Each step back multiplies by γ·λ.",
        ),
        Misconception(
            "next_value_not_discounted",
            lambda *args: _backward(*args, bootstrap=1),
            "The next value is one step in the future: δ_t contains it as γ V_{t+1}.",
        ),
        Misconception(
            "one_step_only",
            lambda *args: _backward(*args, factor=0),
            "You return the errors δ_t themselves, the case λ = 0. Later errors count too, with another factor γλ for "
            "each "
            "step.",
        ),
        Misconception(
            "runs_forward",
            _forward,
            "Your sum runs from the first token on, so that a token gets credit for what came *before* it. Go from the "
            "last "
            "token to the first: A_t = δ_t + γλ A_{t+1}.",
        ),
        Misconception(
            "leaks_past_the_end",
            lambda r, v, m, gamma, lam: _backward(r, v, m, gamma, lam, known=v),
            "After its last token an answer has ended, and the next value is 0. You use the value head's output on "
            "padding.",
        ),
        Misconception(
            "masked_at_the_end",
            lambda r, v, m, *rest: tuple(each * m for each in _backward(r, v, torch.ones_like(m), *rest)),
            "You mask only the result: what is paid and guessed after an answer has come into its tokens already. Set A and "
            "V to 0 outside the answer as you go.",
        ),
        Misconception(
            "rewards_outside_counted",
            lambda r, v, m, *rest: tuple(each * m for each in _backward(r, v * m, torch.ones_like(m), *rest)),
            "Rewards after an answer's end are in your advantages. Only the tokens of the answer count.",
        ),
        Misconception(
            "nothing_cleared",
            lambda r, v, m, *rest: _backward(r * m, v * m, torch.ones_like(m), *rest),
            "The tokens before an answer get advantages, too. The policy did not choose them: both results are 0 outside.",
        ),
        Misconception(
            "advantages_before_the_answer",
            _into_the_prompt,
            "Your advantages run on into the prompt, which the policy did not write. Set them to 0 outside the answers, as "
            "you have done with the returns.",
        ),
        Misconception(
            "whitened",
            _whitened,
            "You shift and scale the advantages to mean 0 and variance 1. PPO often does so *afterwards*; here the estimates "
            "themselves are asked for.",
        ),
        Misconception(
            "returns_with_the_next_value",
            lambda r, v, m, *rest: (gae(r, v, m, *rest)[0], (gae(r, v, m, *rest)[0] + _next_value(v, m)) * m),
            "Your returns are A_t + V_{t+1}. The advantage was measured from V_t: add that.",
        ),
        Misconception(
            "sign_of_the_error",
            lambda r, v, m, *rest: (-gae(r, v, m, *rest)[0], v * m - gae(r, v, m, *rest)[0]),
            "Your error is guess minus outcome. A token did well when it went *better* than guessed: δ_t = r_t + γ V_{t+1} "
            "− V_t.",
        ),
        Misconception(
            "returns_without_values",
            lambda *args: (gae(*args)[0],) * 2,
            "Your returns are the advantages. The value model should have predicted A_t + V_t.",
        ),
        Misconception(
            "returns_are_rewards_to_go",
            _to_go,
            "Your returns are rewards to go, the case λ = 1. With λ < 1 the target is A_t + V_t, which relies partly "
            "on the "
            "value model.",
        ),
        Misconception(
            "outside_not_zero",
            lambda r, v, m, *rest: (gae(r, v, m, *rest)[0], gae(r, v, m, *rest)[0] + v),
            "The advantages are right, but your returns contain values of prompt and padding. Both must be 0 outside "
            "the "
            "mask.",
        ),
    ),
    hints=(
        "First δ_t = r_t + γ V_{t+1} − V_t for every token of an answer, with V = 0 after its last one.",
        "Go from the last column to the first: A = δ_t + γ·λ·A, set to 0 wherever the mask is 0; returns are A + V.",
    ),
)
