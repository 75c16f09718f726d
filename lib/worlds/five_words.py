r"""A language of five words: all answers can be listed, yet they have length, word order and credit to assign.

An answer has up to four words and ends early with a full stop. *good* earns 1 and *bad* −1; *very* before them
doubles the reward, *not* changes its sign. So the value of a word may depend on one that comes later. Tests
compare REINFORCE with the exact gradient here.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.generation import Enumerated, Rollout, enumerate_responses, rollout
from lib.models import Decoder, TransformerConfig
from lib.objectives import reinforce_loss, rewards_to_go, rloo, token_log_probs
from lib.objectives.reduction import counted, last_counted
from lib.progress import progress
from lib.training.preferences import log_probs_of

WORDS = (".", "good", "bad", "very", "not")
END, GOOD, BAD, VERY, NOT = range(5)
PROMPT = (END,)  # a fresh sentence begins after a full stop
LONGEST = 4  # words of an answer

MEANING = {GOOD: 1.0, BAD: -1.0}
TURN = {VERY: 2.0, NOT: -1.0}  # what a word does to the one that follows


class Estimator(NamedTuple):
    """One way to weight the log-probabilities of an answer's words."""

    to_go: bool = False  # weight each word by the rewards from there on, not by those of the whole answer
    leave_one_out: bool = False  # minus the mean of the other answers
    bonus: float = 0.0  # added to the last word's reward in every answer


def small_policy(seed: int = 0) -> Decoder:
    """A fresh decoder over the five words, in float64: 1 layer of width 16, nearly uniform.

    >>> small_policy()(torch.tensor([[END]])).shape
    torch.Size([1, 1, 5])
    """
    config = TransformerConfig(
        architecture="decoder", vocab_size=len(WORDS), d_model=16, num_layers=1, num_heads=2, d_ff=32,
        max_positions=len(PROMPT) + LONGEST, tie_embeddings=False, init_std=0.1,
    )  # fmt: skip
    return Decoder(config, generator=torch.Generator().manual_seed(seed)).double()


def word_rewards(
    input_ids: Int[Tensor, "B S"], response_mask: Bool[Tensor, "B S"], *, bonus: float = 0.0
) -> Float[Tensor, "B S"]:
    """The reward of each word, with `bonus` added to the last word's; 0 outside the answers.

    Raises ValueError when the shapes differ or an answer has no word.

    >>> sentence = torch.tensor([[END, NOT, BAD, VERY, GOOD]])
    >>> word_rewards(sentence, sentence.cumsum(dim=1) > 0).tolist()
    [[0.0, 0.0, 1.0, 0.0, 2.0]]
    """
    written = counted(response_mask, input_ids=input_ids)
    meaning = torch.tensor([MEANING.get(i, 0.0) for i in range(len(WORDS))], dtype=torch.float64)
    turn = torch.tensor([TURN.get(i, 1.0) for i in range(len(WORDS))], dtype=torch.float64)
    before = torch.cat((torch.ones_like(turn[input_ids[:, :1]]), turn[input_ids[:, :-1]]), dim=1)
    earned = meaning[input_ids] * before
    return (earned + bonus * last_counted(written)) * written


def all_answers(policy: Decoder) -> Enumerated:
    """All 341 possible answers with their log-probabilities.

    >>> len(all_answers(small_policy()).log_probs)
    341
    """
    return enumerate_responses(policy, torch.tensor(PROMPT), LONGEST, eos_id=END)


def expected_earnings(policy: Decoder) -> Float[Tensor, ""]:
    """The exact expected reward, differentiable with respect to the policy.

    >>> expected_earnings(small_policy()).requires_grad
    True
    """
    world = all_answers(policy)
    return world.log_probs.exp() @ word_rewards(world.input_ids, world.response_mask).sum(dim=1)


def spell(input_ids: Int[Tensor, "S"], response_mask: Bool[Tensor, "S"]) -> str:
    """An answer in words.

    >>> spell(torch.tensor([END, NOT, BAD, END]), torch.tensor([False, True, True, True]))
    'not bad .'
    """
    return " ".join(WORDS[i] for i in input_ids[response_mask].tolist())


def weights_of(answers: Rollout | Enumerated, how: Estimator) -> Float[Tensor, "B S"]:
    """The weight of each word's log-probability: rewards or rewards to go, with or without a baseline.

    The baseline of a word is the mean of what the *other* answers of the batch earned from the same position on (by the
    whole answer, without `to_go`). It never depends on the answer that it is subtracted from.
    """
    rewards = word_rewards(answers.input_ids, answers.response_mask, bonus=how.bonus)
    whole = rewards.sum(dim=1, keepdim=True).expand_as(rewards)
    returns = rewards_to_go(rewards, answers.response_mask) if how.to_go else whole
    return rloo(returns.T).T if how.leave_one_out else returns


def train(
    policy: Decoder,
    how: Estimator,
    *,
    steps: int,
    samples: int,
    learning_rate: float = 0.01,
    seed: int = 0,
    description: str = "reinforce",
    show_progress: bool = True,
) -> list[float]:
    """REINFORCE with Adam on `samples` fresh answers per step; returns the exact expected reward after each (no bonus).

    Raises ValueError when `steps` or `samples` is less than 1, or less than 2 samples with leave-one-out.
    """
    checks.whole("steps", steps)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate)
    prompt, curve = torch.tensor([PROMPT]), []
    for _ in progress(range(steps), description=description, disable=not show_progress):
        answers = rollout(policy, prompt, LONGEST, samples=samples, eos_id=END, generator=generator)
        loss = reinforce_loss(log_probs_of(policy, answers), weights_of(answers, how), answers.response_mask)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            curve.append(expected_earnings(policy).item())
    return curve


def gradient_table(policy: Decoder, how: Estimator) -> Float[Tensor, "N P"]:
    """For each of the N possible answers, the gradient estimate from that answer alone, over all P parameters.

    Raises ValueError for a leave-one-out estimator, which needs other answers.
    """
    if how.leave_one_out:
        raise ValueError("how must not leave one out: a single answer has no others to be compared with")
    world = all_answers(policy)
    weights = weights_of(world, how) * world.response_mask
    parameters, rows = list(policy.parameters()), []
    for ids, real, weight in zip(world.input_ids[:, None], world.attention_mask[:, None], weights):
        objective = (weight * token_log_probs(policy(ids, real), ids)[0]).sum()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(objective, parameters)]))
    return torch.stack(rows)


def sampled_z_scores(policy: Decoder, how: Estimator, *, samples: int, seed: int = 0) -> Float[Tensor, "P"]:
    """How many standard errors REINFORCE's estimate from `samples` answers lies from the exact gradient, by parameter.

    The standard errors are exact too. Parameters whose gradient is the same for all answers are left out.
    Raises ValueError as `gradient_table` does.
    """
    table = gradient_table(policy, how)
    with torch.no_grad():
        chance = all_answers(policy).log_probs.exp()
    exact = chance @ table
    scatter = (chance @ (table - exact).square()).sqrt()
    answers = rollout(policy, torch.tensor([PROMPT]), LONGEST, samples=samples, eos_id=END,
                      generator=torch.Generator().manual_seed(seed))  # fmt: skip
    loss = reinforce_loss(log_probs_of(policy, answers), weights_of(answers, how), answers.response_mask)
    estimate = -torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(policy.parameters()))])
    moved = scatter > 1e-9
    return ((estimate - exact) / scatter * samples**0.5)[moved]


def with_and_without_baseline(
    seed: int, *, steps: int = 100, samples: int = 16, bonus: float = 5.0, show_progress: bool = True
) -> dict[str, list[float]]:
    """Two runs from one start, without a baseline and with leave-one-out; a bonus makes all rewards positive.

    Each is the exact expected reward (no bonus) after every step.
    """
    curves = {}
    for name, leave_one_out in (("no baseline", False), ("leave one out", True)):
        how = Estimator(leave_one_out=leave_one_out, bonus=bonus)
        policy = small_policy(seed)
        curves[name] = train(
            policy, how, steps=steps, samples=samples, seed=seed, description=name, show_progress=show_progress
        )
    return curves
