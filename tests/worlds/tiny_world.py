r"""A world whose answers can all be listed, so that each method can be compared with the policy it should reach.

Four tokens, one of which ends an answer, and answers of at most three: 40 answers, each with its own reward. The
reference is a tiny decoder. Its exact distribution over the 40, the best policy $\pi^* \propto \pi_{ref} e^{r/\beta}$
and the distance of any trained policy from it are sums of 40 terms (slides T29–T32).
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.generation import Enumerated, Rollout, enumerate_responses
from lib.models import Decoder, TransformerConfig, ValueModel
from lib.objectives import optimal_policy, regularised_objective, simulate_preferences
from lib.training.preferences import PreferencePairs, take

VOCABULARY, LONGEST = 4, 3
EOS_ID = VOCABULARY - 1
CONFIG = TransformerConfig(
    architecture="decoder", vocab_size=VOCABULARY, d_model=16, num_layers=1, num_heads=2, d_ff=32, max_positions=8,
    init_std=0.25,
)  # fmt: skip


@dataclass(frozen=True)
class TinyWorld:
    """A reference policy, one prompt, and a reward for each of its answers."""

    reference: Decoder
    answers: Enumerated  # all possible answers, with the reference's log-probabilities
    rewards: Float[Tensor, "N"]  # aligned with `answers`

    @property
    def prompts(self) -> Int[Tensor, "1 1"]:
        """The only prompt."""
        return self.answers.input_ids[:1, :1]

    @property
    def reference_policy(self) -> Float[Tensor, "N"]:
        """π_ref over the answers."""
        return self.answers.log_probs.exp()

    def score(self, answers: Rollout) -> Float[Tensor, "B"]:
        """The reward of each sampled answer, looked up: a score for `reinforce` and `ppo`."""
        return self.rewards[self.index_of(answers)]

    def index_of(self, answers: Rollout) -> Int[Tensor, "B"]:
        """The index of each sampled answer among all answers."""
        return _code(answers.input_ids)[:, None].eq(_code(self.answers.input_ids)).int().argmax(dim=1)

    def policy(self, model: Decoder) -> Float[Tensor, "N"]:
        """The exact distribution of `model` over the answers."""
        with torch.no_grad():
            return enumerate_responses(model, self.prompts[0], LONGEST, eos_id=EOS_ID).log_probs.exp()

    def optimum(self, *, beta: float | int) -> Float[Tensor, "N"]:
        """π*, the best policy for this β."""
        return optimal_policy(self.reference_policy, self.rewards, beta=beta)

    def regret(self, model: Decoder, *, beta: float | int) -> float:
        r"""How far `model` is below the best objective: $J(\pi^*) - J(\pi) = \beta D_{KL}[\pi \Vert \pi^*]$."""
        best, now = (
            regularised_objective(policy, self.reference_policy, self.rewards, beta=beta)
            for policy in (self.optimum(beta=beta), self.policy(model))
        )
        return (best - now).item()

    def start(self) -> Decoder:
        """A policy to train: a copy of the reference."""
        return deepcopy(self.reference)

    def value_model(self, *, seed: int = 0) -> ValueModel:
        """A fresh value model on a copy of the reference."""
        return ValueModel(deepcopy(self.reference), generator=torch.Generator().manual_seed(seed))

    def pairs(self, number: int, *, generator: torch.Generator | None = None) -> PreferencePairs:
        """`number` pairs drawn from the reference and labelled with Bradley and Terry's probability (slides T27, T28).

        Raises ValueError when `number` is less than 1.
        """
        checks.whole("number", number)
        answers = self.answers
        policy = self.reference_policy.expand(number, -1)
        first = torch.multinomial(policy, 1, generator=generator)[:, 0]
        rest = policy.scatter(1, first[:, None], 0)  # the two answers of a pair differ
        second = torch.multinomial(rest, 1, generator=generator)[:, 0]
        chosen = simulate_preferences(self.rewards[first], self.rewards[second], generator=generator)
        everything = Rollout(answers.input_ids, answers.attention_mask, answers.response_mask)
        return PreferencePairs(
            take(everything, first.where(chosen, second)), take(everything, second.where(chosen, first))
        )


def tiny_world(*, seed: int = 0) -> TinyWorld:
    """A world with a reference and standard normal rewards drawn from `seed`.

    >>> world = tiny_world()
    >>> len(world.rewards), round(world.reference_policy.sum().item(), 4)
    (40, 1.0)
    """
    generator = torch.Generator().manual_seed(seed)
    reference = Decoder(CONFIG, generator=generator).eval()
    with torch.no_grad():
        answers = enumerate_responses(reference, torch.tensor([0]), LONGEST, eos_id=EOS_ID)
    return TinyWorld(reference, answers, torch.randn(len(answers.input_ids), generator=generator))


def _code(input_ids: Tensor) -> Tensor:
    """A number for each answer, the same whether it is padded with its end token or not."""
    answers = input_ids[:, 1:]
    filled = torch.nn.functional.pad(answers, (0, LONGEST - answers.shape[1]), value=EOS_ID)
    return (filled * VOCABULARY ** torch.arange(LONGEST)).sum(dim=1)
