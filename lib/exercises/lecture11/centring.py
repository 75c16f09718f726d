"""The third exercise of `reward`: rewards whose mean is 0 for each prompt."""

import torch
from torch import Tensor

from lib import objectives
from lib.exercises.engine.exercise import Exercise, Misconception, case


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
        case("numbers below 0", torch.tensor([1.0, 4.0, 2.0, -6.0, 9.0]), torch.tensor([-1, 3, 3, -1, 0])),
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


def _by_table(rewards, prompts):
    same = (prompts[:, None] == prompts).to(rewards.dtype)
    return rewards - same @ rewards / same.sum(dim=1)


def _numbers_as_indices(rewards, prompts):
    totals = rewards.new_zeros(int(prompts.max()) + 1).index_add(0, prompts, rewards)
    return rewards - (totals / torch.bincount(prompts))[prompts]


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
    accepts=(_by_loop, _by_table),
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
            "standardised_by_std",
            _each_prompt(lambda r: (r - r.mean()) / r.std()),
            "The exercise asks for a shift alone, and you also divide by the standard deviation, which for a single answer "
            "is NaN.",
        ),
        Misconception(
            "numbers_as_indices",
            _numbers_as_indices,
            "You use the prompts' numbers as indices of a table. They may be any ints, also negative ones: number the "
            "prompts anew, or compare.",
        ),
        Misconception(
            "loops_from_zero",
            lambda rewards, prompts: torch.where(prompts < 0, rewards, _by_loop(rewards, prompts)),
            "You go through the numbers 0, 1, 2, … and miss prompts with a number below 0. Any int may be one.",
        ),
        Misconception(
            "order_lost",
            lambda rewards, prompts: _by_loop(rewards, prompts)[prompts.argsort(stable=True)],
            "The centred rewards are right, but come back prompt by prompt. Each belongs where its reward was.",
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
