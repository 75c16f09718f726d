r"""A taste that is known exactly, for a reward model to recover from comparisons alone (slides T26–T28).

The hidden $r^*(x, y)$ of a small review adds up its adjectives, praise +1 and blame −1, each times its degree, and a constant
for the topic, which no comparison can reveal. Lecture 11 trains a reward model on pairs that were labelled by it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.models import Decoder, RewardModel
from lib.objectives import bradley_terry_probability, centre_rewards
from lib.training.preferences import PreferencePairs, pair_accuracy, share_right
from lib.worlds.review_world import ReviewWorld, compare_answers, train_reward_model
from lib.worlds.reviews import BLAME, PRAISE, TOPICS

DEGREES = {"very": 2.0, "rather": 0.5}  # all others: 1
TOPIC_LIKING = dict(zip(TOPICS, (3.0, -3.0, 1.0, 0.0, -2.0, 2.0)))  # c(x) of each topic


def adjective_taste(texts: Sequence[str]) -> Float[Tensor, "B"]:
    """r* of each review without c(x): the sum of ±degree over its adjectives.

    >>> adjective_taste(["the plot was very good and the music was dull.", "the soup was quite long."])
    tensor([1., 0.])
    """
    sums = [sum(_worth(degree, word) for degree, word in _ADJECTIVE.findall(text)) for text in texts]
    return torch.tensor(sums, dtype=torch.float32)  # a batch without any adjective holds whole zeros


def _worth(degree: str, word: str) -> float:
    sign = (word in PRAISE) - (word in BLAME)
    return sign * DEGREES.get(degree, 1.0)


_ADJECTIVE = re.compile(rf"\b(?:(\w+) )?({'|'.join(PRAISE + BLAME)})\b")


@dataclass(frozen=True, eq=False)
class TasteStudy:
    """What a reward model has learned from pairs, compared with the true r*."""

    model: RewardModel
    accuracy: dict[str, float]  # on held-out pairs: of the model, of r* itself, and that of r* in expectation
    learned: Float[Tensor, "N"]  # the model's rewards of fresh answers
    truth: Float[Tensor, "N"]  # their r*, c(x) included
    prompts: Int[Tensor, "N"]  # their topics

    @property
    def correlation(self) -> dict[str, float]:
        """Correlation of learned and true rewards: as they are, and centred for each prompt."""
        centred = centre_rewards(self.learned, self.prompts), centre_rewards(self.truth, self.prompts)
        return {
            "as they are": torch.corrcoef(torch.stack((self.learned, self.truth)))[0, 1].item(),
            "centred": torch.corrcoef(torch.stack(centred))[0, 1].item(),
        }


def study_taste(
    world: ReviewWorld,
    sft: Decoder,
    *,
    comparisons: int = 1000,
    held_out: int = 1000,
    steps: int = 150,
    seed: int = 0,
    show_progress: bool = True,
) -> TasteStudy:
    """Train a reward model on `comparisons` noisy pairs of answers of `sft`, and measure it on `held_out` others."""
    generator = torch.Generator().manual_seed(seed)
    pairs, unseen = (
        compare_answers(world, sft, adjective_taste, number, sharpness=1.0, generator=generator)
        for number in (comparisons, held_out)
    )
    model = train_reward_model(sft, pairs, steps=steps, seed=seed, show_progress=show_progress)
    answers = world.answers(sft, held_out, generator=generator)
    with torch.no_grad():
        learned = model(answers.input_ids, answers.attention_mask)
    prompts = answers.input_ids[:, : world.prompts.shape[1]][:, None].eq(world.prompts).all(dim=2).int().argmax(dim=1)
    liking = torch.tensor(list(TOPIC_LIKING.values()))
    truth = adjective_taste(world.texts(answers)) + liking[prompts]
    reached = {"reward model": pair_accuracy(model, unseen)} | best_possible(world, unseen)
    return TasteStudy(model, reached, learned, truth, prompts)


def best_possible(world: ReviewWorld, pairs: PreferencePairs) -> dict[str, float]:
    """The accuracy of an observer who knows r*: on these labels, and in expectation, E[σ(|r*₁ − r*₂|)]."""
    chosen, rejected = (adjective_taste(world.texts(side)) for side in (pairs.chosen, pairs.rejected))
    expected = bradley_terry_probability((chosen - rejected).abs(), torch.zeros_like(chosen)).mean().item()
    return {"who knows r*": share_right(chosen, rejected), "who knows r*, expected": expected}
