"""Induction heads: heads that look for what followed the present token when it came before (Olsson et al. 2022)."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.models import Decoder


def repeated_tokens(
    vocab_size: int, length: int, batch: int = 4, *, generator: torch.Generator | None = None
) -> Tensor:
    """Random tokens twice over, (batch, 2 · length): nothing helps to predict the second half but the first.

    Raises ValueError if a number is below 1.

    >>> ids = repeated_tokens(10, 3, generator=torch.Generator().manual_seed(0))
    >>> ids.shape, torch.equal(ids[:, :3], ids[:, 3:])
    (torch.Size([4, 6]), True)
    """
    for name, value in {"vocab_size": vocab_size, "length": length, "batch": batch}.items():
        checks.whole(name, value)
    half = torch.randint(vocab_size, (batch, length), generator=generator)
    return torch.cat((half, half), dim=1)


@torch.no_grad()
def induction_scores(
    model: Decoder, length: int = 32, batch: int = 4, *, generator: torch.Generator | None = None
) -> Float[Tensor, "L H"]:
    """For each head the mean attention, in the second half of repeated random tokens, to the token after the same one.

    1 for a perfect induction head; a head that attends evenly has about 1 / (1.5 · length).
    Raises ValueError if `length` is below 2, or twice that is longer than the context.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=16)
    >>> induction_scores(Decoder(config), 8).shape
    torch.Size([1, 2])
    """
    checks.whole("length", length, 2)
    ids = repeated_tokens(model.config.vocab_size, length, batch, generator=generator)
    queries = torch.arange(length, 2 * length)
    maps = model.attention_maps(ids)  # L times (B, H, 2 · length, 2 · length)
    return torch.stack([weights[:, :, queries, queries - length + 1].mean(dim=(0, 2)) for weights in maps])
