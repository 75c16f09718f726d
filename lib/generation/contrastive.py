"""Contrastive search: likely, and unlike what was written before (Su et al. 2022)."""

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import normalize

from lib import checks
from lib.generation.steps import begin
from lib.models import Decoder


@torch.no_grad()
def contrastive_search(
    model: Decoder,
    input_ids: Int[Tensor, "1 T"],
    max_new_tokens: int,
    *,
    top_k: int = 4,
    alpha: float = 0.6,
    eos_id: int | None = None,
) -> Int[Tensor, "1 T_and_new"]:
    r"""Continue one prompt by the candidate v with the largest (1 - α) P(v | x) - α max_j cos(h_v, h_j).

    The candidates are the `top_k` most likely tokens, h is the last layer's vector, and j runs over the tokens so far:
    a token that would make the model think again what it thought before is held back. α = 0 is greedy decoding.
    Raises ValueError as `generate` does, for more than one prompt, `top_k` below 1 or `alpha` outside [0, 1].

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> contrastive_search(Decoder(config), torch.tensor([[1, 2, 3]]), 4).shape
    torch.Size([1, 7])
    """
    checks.instance("model", model, Decoder)
    checks.whole("top_k", top_k)
    checks.share("alpha", alpha)
    steps, ids = begin(model, input_ids, max_new_tokens, None, eos_id, None)
    checks.shape("input_ids", input_ids, 1, "T")
    if max_new_tokens == 0:
        return ids
    hidden = steps.hidden(ids)[0]  # (T, D)
    logits = steps.logits(hidden[None, -1:])[0, 0]
    before = normalize(hidden, dim=-1)
    steps.select(torch.zeros(min(top_k, len(logits)), dtype=torch.long))  # one row of the cache for each candidate
    for _ in range(max_new_tokens):
        probabilities, tokens = logits.softmax(dim=-1).topk(min(top_k, len(logits)))
        texts = torch.cat((ids.expand(len(tokens), -1), tokens[:, None]), dim=1)
        hidden = steps.hidden(texts)[:, -1]  # (K, D): what the model thinks after each candidate
        likeness = (normalize(hidden, dim=-1) @ before.T).amax(dim=-1)
        best = int(((1 - alpha) * probabilities - alpha * likeness).argmax())
        ids = texts[best : best + 1]
        if tokens[best] == eos_id:
            break
        steps.select(torch.full((len(tokens),), best))
        before = torch.cat((before, normalize(hidden[best : best + 1], dim=-1)))
        logits = steps.logits(hidden[None, best : best + 1])[0, 0]
    return ids
