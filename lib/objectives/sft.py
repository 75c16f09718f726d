r"""Supervised fine-tuning: learn the answer, not the question (slide C33; Ouyang et al. 2022, section 3.5)."""

from jaxtyping import Float, Int
from torch import Tensor

from lib.objectives.log_probs import token_log_probs
from lib.objectives.reduction import SequenceReduction, TokenMask, counted_response, masked_reduce


def sft_loss(
    logits: Float[Tensor, "B T V"],
    input_ids: Int[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    reduction: SequenceReduction = "token_mean",
) -> Float[Tensor, ""]:
    r"""$-\log P_\theta(\text{response} \mid \text{instruction})$ in nats, reduced as `masked_reduce` says (slide C33).

    The prompt is read but never predicted: it is in `input_ids`, but `response_mask` is false there and on padding.
    `logits` are unshifted. With "sequence_sum" this is the slide's objective, averaged over demonstrations.
    Raises ValueError when shapes do not fit, an answer is empty or begins its row, or an id is out of the vocabulary.

    >>> import torch
    >>> answer = torch.tensor([[False, False, True]])
    >>> round(sft_loss(torch.zeros(1, 3, 8), torch.tensor([[5, 6, 7]]), answer).item(), 4)  # ln 8
    2.0794
    """
    counts = counted_response(response_mask, input_ids=input_ids)
    return -masked_reduce(token_log_probs(logits, input_ids), counts, reduction)


def response_labels(input_ids: Int[Tensor, "B T"], response_mask: TokenMask) -> Int[Tensor, "B T"]:
    """The ids of the answers, −100 on prompts and padding: labels as `transformers` wants them (it shifts them itself).

    Raises ValueError as `sft_loss` does.

    >>> import torch
    >>> response_labels(torch.tensor([[5, 6, 7]]), torch.tensor([[0, 0, 1]]))
    tensor([[-100, -100,    7]])
    """
    return input_ids.masked_fill(~counted_response(response_mask, input_ids=input_ids), -100)
