r"""The autoregressive objective, $\log P(x) = \sum_t \log P(x_t \mid x_{<t})$ (slides C19, C21, N37)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.kernels import cross_entropy


def shift_labels(
    input_ids: Int[Tensor, "B T"], attention_mask: Int[Tensor, "B T"] | Bool[Tensor, "B T"] | None = None
) -> Int[Tensor, "B T"]:
    """The target of each position: the token to its right, or -100 where there is none to predict.

    A position counts when it and its right neighbour are both real, so padding is neither predicted nor predicts
    anything, whichever side it is on.

    Raises ValueError when T < 2 (nothing is predicted) or the mask has another shape.

    >>> import torch
    >>> shift_labels(torch.tensor([[5, 6, 7]]))
    tensor([[   6,    7, -100]])
    """
    if input_ids.shape[1] < 2:
        raise ValueError(f"input_ids must have at least 2 tokens in a row to predict one, got {input_ids.shape[1]}")
    labels = input_ids.roll(-1, dims=1)
    labels[:, -1] = -100
    if attention_mask is not None:
        checks.same_shape(input_ids=input_ids, attention_mask=attention_mask)
        real = attention_mask.bool()
        labels = labels.masked_fill(~(real & real.roll(-1, dims=1)), -100)
    return labels


def autoregressive_loss(
    logits: Float[Tensor, "B T V"],
    input_ids: Int[Tensor, "B T"],
    attention_mask: Int[Tensor, "B T"] | Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, ""]:
    r"""Mean negative log-likelihood, in nats per predicted token, of each token given those before it.

    $-\frac1{T-1}\sum_{t=2}^{T} \log P_\theta(x_t \mid x_{<t})$: slide C19's sum, negated and averaged. The first
    token is given, not predicted; put a beginning-of-sequence token there to have the whole sentence counted.
    `logits` and `input_ids` are unshifted (position t of the logits predicts token t+1).

    Raises ValueError when no token is predicted and when an id lies outside the vocabulary.

    >>> import torch
    >>> round(autoregressive_loss(torch.zeros(1, 3, 8), torch.tensor([[5, 6, 7]])).item(), 4)  # ln 8
    2.0794
    """
    labels = _labels_for(logits, input_ids, attention_mask)
    return cross_entropy(logits.flatten(0, 1), labels.flatten())


def sequence_log_prob(
    logits: Float[Tensor, "B T V"],
    input_ids: Int[Tensor, "B T"],
    attention_mask: Int[Tensor, "B T"] | Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, "B"]:
    r"""$\log P(x_2, \dots, x_T \mid x_1)$ of each row, in nats: the chain rule of slides C19 and N37.

    Its exponential, summed over all continuations of a given length, is 1: the model is a distribution.

    Raises ValueError as `autoregressive_loss` does.

    >>> import torch
    >>> round(sequence_log_prob(torch.zeros(1, 3, 8), torch.tensor([[5, 6, 7]])).item(), 4)  # -2 ln 8
    -4.1589
    """
    labels = _labels_for(logits, input_ids, attention_mask)
    return -cross_entropy(logits, labels, reduction="none").sum(dim=1)


def _labels_for(logits: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The shifted labels, once logits and ids are known to fit together."""
    checks.shape("logits", logits, *input_ids.shape, "V")
    labels = shift_labels(input_ids, attention_mask)
    asked = labels != -100
    if not asked.any():
        raise ValueError("attention_mask must leave a token to predict, got one that hides every pair of neighbours")
    checks.ids_below(logits.shape[-1], input_ids=labels[asked])
    return labels
