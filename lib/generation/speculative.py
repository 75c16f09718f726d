"""Speculative decoding: a cheap draft proposes several tokens, the model checks them in one pass (Leviathan et al. 2023).

What comes out has exactly the model's distribution, whatever the draft: a proposal x from q is kept with probability
min(1, p(x) / q(x)), and the first that is not is replaced by a draw from the positive part of p - q. At temperature 0 it
is the greedy text.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.generation.steps import begin
from lib.generation.warpers import warp
from lib.models import Decoder, KVCache

Draft = Callable[[list[int], int, torch.Generator | None], tuple[list[int], Tensor | None]]
"""`draft(ids, number, generator)`: up to `number` proposed tokens, and the distributions (number, V) they were drawn from,
or None where each was certain."""


class Speculated(NamedTuple):
    """The text, and what it took."""

    ids: Int[Tensor, "1 S"]  # prompt and continuation
    passes: int  # of the model, the prompt's included
    proposed: int  # tokens by the draft
    accepted: int  # of these


class NGramDraft:
    """Proposes what followed the last `longest` tokens (or fewer, down to one) when they came before.

    It reads nothing but the text itself (prompt lookup). The latest earlier place wins.
    Raises ValueError if `longest` is less than 1.

    >>> NGramDraft(2)([5, 6, 7, 8, 5, 6], 3, None)[0]
    [7, 8, 5]
    """

    def __init__(self, longest: int = 3) -> None:
        self.longest = checks.whole("longest", longest)

    def __call__(
        self, ids: Sequence[int], number: int, generator: torch.Generator | None
    ) -> tuple[list[int], Tensor | None]:
        ids = list(ids)
        for n in range(min(self.longest, len(ids) - 1), 0, -1):
            for start in range(len(ids) - n - 1, -1, -1):
                if ids[start : start + n] == ids[-n:]:
                    return ids[start + n : start + n + number], None
        return [], None


class ModelDraft:
    """Proposes by sampling from a smaller (or quantised) model, with a KV cache of its own; greedily at temperature 0.

    Raises ValueError as `warp` does.
    """

    def __init__(
        self,
        model: Decoder,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
    ) -> None:
        self.warped = partial(warp, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
        self.warped(torch.zeros(1))
        self.model, self.cache = model, KVCache()
        self.read: list[int] = []

    @torch.no_grad()
    def __call__(
        self, ids: Sequence[int], number: int, generator: torch.Generator | None
    ) -> tuple[list[int], Tensor | None]:
        text = list(ids)
        same = _common(self.read, text[:-1])  # the last token is always read again: its logits are needed
        self.cache.truncate(same)
        rows = []
        for _ in range(number):
            new = torch.tensor([text[self.cache.length :]])
            logits = self.model.logits(self.model.hidden(new, None, self.cache)[:, -1:])[0, 0]
            rows.append(self.warped(logits).softmax(dim=-1))
            self.read = text.copy()
            text.append(int(torch.multinomial(rows[-1], 1, generator=generator)))
        return text[len(ids) :], torch.stack(rows) if rows else None


@torch.no_grad()
def speculative_generate(
    model: Decoder,
    input_ids: Int[Tensor, "1 T"],
    max_new_tokens: int,
    draft: Draft,
    *,
    num_draft: int = 4,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Speculated:
    """Continue one prompt as `generate` would, with up to `num_draft` proposals of `draft` checked at a time.

    Raises ValueError as `generate` does, and for more than one prompt or `num_draft` below 1.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> speculative_generate(Decoder(config), torch.tensor([[1, 2, 3]]), 4, NGramDraft()).ids.shape
    torch.Size([1, 7])
    """
    checks.instance("model", model, Decoder)
    warped = partial(warp, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    warped(torch.zeros(1))
    checks.whole("num_draft", num_draft)
    steps, begun = begin(model, input_ids, max_new_tokens, None, eos_id, None)
    checks.shape("input_ids", input_ids, 1, "T")
    text, longest = begun[0].tolist(), begun.shape[1] + max_new_tokens
    passes = proposed = accepted = 0
    while len(text) < longest and (len(text) == begun.shape[1] or text[-1] != eos_id):
        guesses, q = draft(text, min(num_draft, longest - len(text) - 1), generator)
        hidden = steps.hidden(begun.new_tensor([text + guesses]))[0, -len(guesses) - 1 :]
        p = warped(steps.logits(hidden[None])[0]).softmax(dim=-1)  # (guesses + 1, V)
        if q is not None and q.shape != (len(guesses), p.shape[1]):
            raise ValueError(
                f"draft must give probabilities of shape {(len(guesses), p.shape[1])}, got {tuple(q.shape)}"
            )
        kept = _verified(guesses, p, q, generator)
        passes, proposed, accepted = passes + 1, proposed + len(guesses), accepted + len(kept) - 1
        if eos_id in kept:
            kept = kept[: kept.index(eos_id) + 1]
        text += kept
        steps.cache.truncate(min(steps.cache.length, len(text) - 1))
    return Speculated(begun.new_tensor([text]), passes, proposed, accepted)


def _verified(
    guesses: list[int], p: Float[Tensor, "G1 V"], q: Float[Tensor, "G V"] | None, generator: torch.Generator | None
) -> list[int]:
    """The guesses that are accepted, and one token more: instead of the first rejected one, or after them all."""
    kept: list[int] = []
    for i, guess in enumerate(guesses):
        chance = p[i, guess] if q is None else p[i, guess] / q[i, guess]
        if torch.rand((), generator=generator) < chance:
            kept.append(guess)
            continue
        rest = p[i].clone()
        if q is None:
            rest[guess] = 0.0
        else:
            rest = (rest - q[i]).clamp_min(0.0)
        if not rest.sum() > 0:  # p and q are equal but for rounding
            rest = p[i]
        return [*kept, int(torch.multinomial(rest, 1, generator=generator))]
    return [*kept, int(torch.multinomial(p[-1], 1, generator=generator))]


def _common(one: Sequence[int], two: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginning."""
    pairs = enumerate(zip(one, two))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(two)))
