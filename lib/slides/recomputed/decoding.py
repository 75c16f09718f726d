"""Claims of the slides of 07_decoding_and_in_context_learning: the factors of C24, and what top-p keeps."""

import torch

from lib.generation import keep_top_p
from lib.slides.registry import Measured, recompute

VOCABULARY, LENGTH = 5, 4  # of a uniform model, small enough to write its table down


@recompute("F05")
def factors_of_the_product() -> Measured:
    """Whether C24's factors P(s_i | s_1 … s_{n-1}) multiply to P(s), in a uniform model of four tokens.

    A token that stands in its own context is certain: all factors but the last are 1.
    """
    uniform = 1 / VOCABULARY
    contexts = [range(1, LENGTH) for _ in range(1, LENGTH + 1)]  # s_1 … s_{n-1}, in every factor
    product = 1.0
    for i, context in enumerate(contexts, start=1):
        product *= 1.0 if i in context else uniform
    right = uniform**LENGTH
    return Measured(abs(product - right) < 1e-12, f"as printed {product:.3g}, by the chain rule {right:.3g}")


@recompute("F22")
def top_p_is_a_share_of_the_list() -> Measured:
    """Whether top-p = 0.8 keeps 80 % of the tokens of a list: of (.5, .3, .15, .05) it keeps 80 % of the probability."""
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    kept = keep_top_p(probabilities.log(), 0.8).isfinite()
    share, mass = kept.double().mean().item(), probabilities[kept].sum().item()
    return Measured(abs(share - 0.8) < 0.01, f"{share:.0%} of the tokens, {mass:.0%} of the probability")
