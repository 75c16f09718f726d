r"""The three steps of RLHF in a world of small reviews (slides C33, C34, T25): demonstrate, compare, reinforce.

A decoder of 115,000 parameters learns to write reviews in seconds. A simulated human, a function of the text, chooses
the better of two. A reward model learns this taste from a few hundred comparisons, and the policy is trained on the
reward model. Lecture 13 is about how far the reward model's taste differs from the human's.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.generation import Rollout, rollout
from lib.models import Decoder, RewardModel, TransformerConfig
from lib.objectives import simulate_preferences
from lib.text import Tokenizer
from lib.training.fit import FitSettings, fit
from lib.training.policy import Score
from lib.training.preferences import (
    PreferencePairs,
    batches_of,
    demonstration_loss,
    join_answers,
    reward_model_loss,
    same_answers,
    take,
)
from lib.worlds.reviews import review_prompts, review_tokenizer, write_reviews

Taste = Callable[[Sequence[str]], Float[Tensor, "B"]]
"""Maps texts (a prompt with its answer) to one number each: how much the simulated human likes them."""

WIDTH = 64
MAX_TOKENS = 16  # of an answer, full stop and end included; the longest demonstration has 15


@dataclass(frozen=True)
class ReviewWorld:
    """The tokenizer, prompts and demonstrations that the three steps share."""

    tokenizer: Tokenizer
    prompts: Int[Tensor, "P T"]  # one per topic, all of the same length
    demonstrations: Rollout

    @property
    def eos_id(self) -> int:
        """The token that ends a review."""
        return self.tokenizer.sep_id

    def texts(self, answers: Rollout, *, prompts: bool = False) -> list[str]:
        """The answers as text, without special tokens; with their prompts if `prompts` is true."""
        shown = answers.attention_mask if prompts else answers.response_mask
        return [
            self.tokenizer.decode(ids[counts], skip_special_tokens=True)
            for ids, counts in zip(answers.input_ids, shown)
        ]

    def answers(
        self, policy: Decoder, number: int, *, samples: int = 1, generator: torch.Generator | None = None
    ) -> Rollout:
        """`samples` answers of `policy` to each of `number` prompts, drawn with replacement."""
        prompts = self.prompts[torch.randint(len(self.prompts), (number,), generator=generator)]
        return rollout(policy, prompts, MAX_TOKENS, samples=samples, eos_id=self.eos_id, generator=generator)

    def score(self, taste: Taste) -> Score:
        """The taste as a score of answers; it sees prompt and answer."""
        return lambda answers: taste(self.texts(answers, prompts=True))


def review_world(number: int, *, seed: int = 0) -> ReviewWorld:
    """A world with `number` demonstrations.

    >>> review_world(8).demonstrations.input_ids.shape[0]
    8
    """
    tokenizer = review_tokenizer()
    written = write_reviews(number, generator=torch.Generator().manual_seed(seed))
    prompts = [tokenizer.encode(prompt) for prompt, _ in written]
    answers = [[*tokenizer.encode(review), tokenizer.sep_id] for _, review in written]
    asked = torch.tensor([tokenizer.encode(prompt) for prompt in review_prompts()])
    return ReviewWorld(tokenizer, asked, join_answers(prompts, answers, pad_id=tokenizer.pad_id))


def small_decoder(vocab_size: int, *, max_positions: int = 32, seed: int = 0) -> Decoder:
    """A fresh decoder of two layers and width 64, initialised to learn within a few hundred updates."""
    config = TransformerConfig(
        architecture="decoder", vocab_size=vocab_size, d_model=WIDTH, num_layers=2, num_heads=4, d_ff=4 * WIDTH,
        max_positions=max_positions, position="rotary", norm="rmsnorm", bias=False, init_std=WIDTH**-0.5, pad_id=0,
    )  # fmt: skip
    return Decoder(config, generator=torch.Generator().manual_seed(seed))


def train_sft(world: ReviewWorld, *, steps: int = 300, seed: int = 0, show_progress: bool = True) -> Decoder:
    """Step 1: a fresh decoder, trained on the demonstrations alone (slide T26)."""
    policy = small_decoder(world.tokenizer.vocab_size, seed=seed)
    settings = FitSettings(steps=steps, learning_rate=3e-3, warmup_steps=min(20, steps), schedule="cosine", seed=seed)
    fit(policy, demonstration_loss, batches_of(world.demonstrations, 32), settings,
        description="step 1: demonstrations", show_progress=show_progress)  # fmt: skip
    return policy.eval()


def compare_answers(
    world: ReviewWorld,
    policy: Decoder,
    taste: Taste,
    number: int,
    *,
    sharpness: float | int = 4.0,
    generator: torch.Generator | None = None,
) -> PreferencePairs:
    r"""`number` pairs of answers of `policy`, one of each chosen by a human with this taste (slide T27).

    The better answer is chosen with Bradley and Terry's probability, σ(sharpness · difference), so the worse one may win.
    Pairs of identical answers are discarded and drawn again.
    Raises ValueError when `number` is less than 1, `sharpness` is not above 0, or nearly all answers are identical.
    """
    checks.whole("number", number)
    checks.positive("sharpness", sharpness)
    kept: list[PreferencePairs] = []
    for _ in range(20):
        drawn = world.answers(policy, number, samples=2, generator=generator)
        first = torch.arange(0, 2 * number, 2)
        liked = sharpness * world.score(taste)(drawn)
        wins = simulate_preferences(liked[first], liked[first + 1], generator=generator)
        better, worse = first + ~wins, first + wins
        different = ~same_answers(take(drawn, better), take(drawn, worse))
        if different.any():
            kept.append(PreferencePairs(take(drawn, better[different]), take(drawn, worse[different])))
        if sum(len(pairs) for pairs in kept) >= number:
            return _joined(kept, world.tokenizer.pad_id).take(torch.arange(number))
    raise ValueError("the policy gives the same answer nearly every time: there is nothing to compare")


def train_reward_model(
    sft: Decoder, pairs: PreferencePairs, *, steps: int = 100, seed: int = 0, show_progress: bool = True
) -> RewardModel:
    """Step 2: the SFT model with a fresh scalar head, trained on pairs (slides T26, T28)."""
    model = RewardModel(deepcopy(sft), generator=torch.Generator().manual_seed(seed))
    settings = FitSettings(steps=steps, learning_rate=1e-3, seed=seed)
    fit(model, reward_model_loss, batches_of(pairs, 32), settings,
        description="step 2: comparisons", show_progress=show_progress)  # fmt: skip
    return model.eval()


def _joined(parts: list[PreferencePairs], pad_id: int) -> PreferencePairs:
    """All pairs in one batch, padded to the longest row."""

    def side(name: str) -> Rollout:
        batches = [getattr(part, name) for part in parts]
        width = max(batch.input_ids.shape[1] for batch in batches)
        fill = (pad_id, False, False)
        return Rollout(*(
            torch.cat([torch.nn.functional.pad(batch[k], (0, width - batch[k].shape[1]), value=fill[k])
                       for batch in batches])
            for k in range(3)
        ))  # fmt: skip

    return PreferencePairs(side("chosen"), side("rejected"))
