"""What was written changes what may follow: repetition penalty, counting penalties, n-grams that may not come again.

Like the warpers these take the logits of the next token and return others; besides they read the tokens so far.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks


def penalise_repetition(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B S"],
    penalty: float,
    counts: Bool[Tensor, "B S"] | Int[Tensor, "B S"] | None = None,
) -> Float[Tensor, "B V"]:
    """Divide the positive logits of tokens in `ids` by `penalty`, and multiply the negative ones (Keskar et al. 2019).

    The paper divides both, which would *favour* tokens with negative logits. It counts the tokens that were generated;
    libraries count the prompt too, which forbids names and digits that an answer must repeat. `counts` says which
    tokens count (None: all).
    Raises ValueError unless `penalty` is above 0: 1 changes nothing, more than 1 discourages.

    >>> penalise_repetition(torch.tensor([[2.0, -2.0, 1.0]]), torch.tensor([[0, 1, 1]]), 2.0)
    tensor([[ 1., -4.,  1.]])
    """
    checks.positive("repetition_penalty", penalty)
    seen = _seen(logits, ids, counts) > 0
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def penalise_counts(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B S"],
    *,
    frequency: float = 0.0,
    presence: float = 0.0,
    counts: Bool[Tensor, "B S"] | Int[Tensor, "B S"] | None = None,
) -> Float[Tensor, "B V"]:
    """Subtract `frequency` for each time that a token stands in `ids`, and `presence` once if it does (slide T39).

    These two knobs of web interfaces add to logits, where the repetition penalty multiplies: 0 changes nothing.
    Raises ValueError if one is no finite number.

    >>> penalise_counts(torch.zeros(1, 3), torch.tensor([[0, 1, 1]]), frequency=0.5, presence=1.0)
    tensor([[-1.5000, -2.0000,  0.0000]])
    """
    checks.number("frequency", frequency)
    checks.number("presence", presence)
    times = _seen(logits, ids, counts)
    return logits - frequency * times - presence * (times > 0)


def forbid_repeated_ngrams(logits: Float[Tensor, "B V"], ids: Int[Tensor, "B S"], n: int) -> Float[Tensor, "B V"]:
    """−∞ for each token that would complete an n-gram that stands in its row of `ids` already (Paulus et al. 2018).

    Where the last n - 1 tokens occurred before, what followed them then is forbidden now; n = 1 forbids every token
    seen. Raises ValueError if n is less than 1.

    >>> forbid_repeated_ngrams(torch.zeros(1, 3), torch.tensor([[0, 1, 2, 0]]), 2)
    tensor([[0., -inf, 0.]])
    """
    checks.whole("no_repeat_ngram", n)
    if ids.shape[1] < n:
        return logits
    windows = ids.unfold(1, n, 1)  # (B, S - n + 1, n)
    last = ids[:, ids.shape[1] - n + 1 :]  # (B, n - 1)
    again = (windows[..., :-1] == last[:, None]).all(dim=-1)  # (B, S - n + 1)
    times = torch.zeros(logits.shape, dtype=torch.long, device=logits.device)
    return logits.masked_fill(times.scatter_add(1, windows[..., -1].long(), again.long()) > 0, -torch.inf)


def penalise(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B S"],
    *,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    counts: Bool[Tensor, "B S"] | Int[Tensor, "B S"] | None = None,
) -> Float[Tensor, "B V"]:
    """Repetition penalty, then forbidden n-grams, in the order of `transformers`, before temperature and the rest.

    >>> penalise(torch.ones(1, 3), torch.tensor([[0]]), repetition_penalty=2.0)
    tensor([[0.5000, 1.0000, 1.0000]])
    """
    if repetition_penalty != 1:
        logits = penalise_repetition(logits, ids, repetition_penalty, counts)
    return logits if no_repeat_ngram is None else forbid_repeated_ngrams(logits, ids, no_repeat_ngram)


def _seen(logits: Tensor, ids: Tensor, counts: Tensor | None) -> Int[Tensor, "B V"]:
    """How often each token of the vocabulary stands in each row."""
    checks.shape("ids", ids, len(logits), "S")
    checks.ids_below(logits.shape[-1], ids=ids)
    if counts is not None:
        checks.same_shape(ids=ids, counts=counts)
    weight = torch.ones_like(ids, dtype=torch.long) if counts is None else counts.long()
    return torch.zeros(logits.shape, dtype=torch.long, device=logits.device).scatter_add(1, ids.long(), weight)
