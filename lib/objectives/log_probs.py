r"""log π(y | x): the log-probabilities of the tokens of an answer, given its prompt and each other (slides C33, T30).

Everything is aligned with `input_ids`, which holds prompt and answer together: entry t is
$\log \pi(x_t \mid x_{<t})$, and entry 0, which nothing predicts, is 0. `response_mask` says which entries belong to
the answer.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.kernels import chunked_cross_entropy, cross_entropy
from lib.objectives.reduction import TokenMask, counted_response


def token_log_probs(logits: Float[Tensor, "B T V"], input_ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    r"""$\log \pi(x_t \mid x_{<t})$ in nats for every token of every row, without a log-softmax of B × T × V.

    `logits` are unshifted, as a model gives them: those at t−1 predict token t.
    Raises ValueError when the shapes do not fit, T < 2, or an id lies outside the vocabulary.

    >>> token_log_probs(torch.zeros(1, 3, 8), torch.tensor([[5, 6, 7]]))  # -ln 8
    tensor([[ 0.0000, -2.0794, -2.0794]])
    """
    checks.shape("logits", logits, *input_ids.shape, "V")
    losses = cross_entropy(logits, _next_ids(input_ids, logits.shape[-1]), reduction="none")  # (B, T)
    return _after(-losses)


def chunked_token_log_probs(
    hidden: Float[Tensor, "B T D"],
    weight: Float[Tensor, "V D"],
    input_ids: Int[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    chunk_size: int = 8192,
) -> Float[Tensor, "B T"]:
    r"""`token_log_probs` of the answers alone, from hidden vectors: the B × T × V logits never exist.

    `hidden` and `weight` are `Decoder.hidden(...)` and `Decoder.output_weight`; `chunk_size` is how many tokens of the
    vocabulary are processed together. 0 outside the answers.
    Raises ValueError when shapes do not fit, an answer is empty, or an id lies outside the vocabulary.

    >>> answer = torch.tensor([[False, False, True]])
    >>> chunked_token_log_probs(torch.ones(1, 3, 2), torch.ones(8, 2), torch.tensor([[5, 6, 7]]), answer)[:, 2]
    tensor([-2.0794])
    """
    checks.shape("hidden", hidden, *input_ids.shape, "D")
    counts = counted_response(response_mask, input_ids=input_ids)
    targets = _next_ids(input_ids, len(weight)).masked_fill(~counts.roll(-1, dims=1), -100)
    losses = chunked_cross_entropy(
        hidden.flatten(0, 1), weight, targets.flatten(), reduction="none", chunk_size=chunk_size
    )
    return _after(-losses.view(input_ids.shape))


def response_log_prob(log_probs: Float[Tensor, "B T"], response_mask: TokenMask) -> Float[Tensor, "B"]:
    r"""$\log \pi(y \mid x) = \sum_{t \in y} \log \pi(x_t \mid x_{<t})$ of each row, in nats (slide C33).

    Raises ValueError when the mask has another shape, a row has no answer, or an answer begins with the row.

    >>> response_log_prob(torch.tensor([[0.0, -1.0, -2.0]]), torch.tensor([[0, 1, 1]]))
    tensor([-3.])
    """
    return log_probs.masked_fill(~counted_response(response_mask, log_probs=log_probs), 0).sum(dim=1)


def _next_ids(input_ids: Tensor, vocab_size: int) -> Tensor:
    """The id that each position predicts, -100 for the last."""
    if input_ids.shape[1] < 2:
        raise ValueError(f"input_ids must have at least 2 tokens in a row to predict one, got {input_ids.shape[1]}")
    checks.ids_below(vocab_size, input_ids=input_ids)
    following = input_ids.roll(-1, dims=1)
    following[:, -1] = -100
    return following


def _after(values: Tensor) -> Tensor:
    """Move each value from the position that predicted to the token that was predicted."""
    return torch.cat((torch.zeros_like(values[:, :1]), values[:, :-1]), dim=1)
