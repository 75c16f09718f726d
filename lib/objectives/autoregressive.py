r"""The autoregressive objective, $\log P(x) = \sum_t \log P(x_t \mid x_{<t})$ (slides C19, C21, N37)."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.kernels import cross_entropy


def shift_labels(
    input_ids: Int[Tensor, "B T"], attention_mask: Int[Tensor, "B T"] | Bool[Tensor, "B T"] | None = None
) -> Int[Tensor, "B T"]:
    """The target of each position: the token to its right, or -100 where there is none to predict.

    A position counts when it and its right neighbour are both real, so a padded token is neither asked for nor
    used to ask, whichever side the padding is on.

    Raises ValueError when T < 2 (nothing is predicted) or the mask has another shape.

    >>> shift_labels(torch.tensor([[5, 6, 7]]))
    tensor([[   6,    7, -100]])
    """
    if input_ids.shape[1] < 2:
        raise ValueError(f"input_ids needs at least 2 tokens a row to predict one, got {input_ids.shape[1]}")
    labels = input_ids.roll(-1, dims=1)
    labels[:, -1] = -100
    if attention_mask is not None:
        if attention_mask.shape != input_ids.shape:
            shapes = f"{tuple(input_ids.shape)}, got {tuple(attention_mask.shape)}"
            raise ValueError(f"attention_mask must have the shape of input_ids {shapes}")
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

    The sum over every continuation of a given length of its exponential is 1: the model is a distribution.

    Raises ValueError as `autoregressive_loss` does.

    >>> round(sequence_log_prob(torch.zeros(1, 3, 8), torch.tensor([[5, 6, 7]])).item(), 4)  # -2 ln 8
    -4.1589
    """
    labels = _labels_for(logits, input_ids, attention_mask)
    return -cross_entropy(logits, labels, reduction="none").sum(dim=1)


def _labels_for(logits: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The shifted labels, once logits and ids are known to fit together."""
    if logits.shape[:2] != input_ids.shape:
        raise ValueError(
            f"logits must begin with the shape of input_ids {tuple(input_ids.shape)}, got {tuple(logits.shape)}"
        )
    labels = shift_labels(input_ids, attention_mask)
    asked = labels != -100
    if not asked.any():
        raise ValueError("no token is left to predict: the attention_mask hides every pair of neighbours")
    worst = int(labels.max()), int(labels[asked].min())
    if worst[0] >= logits.shape[-1] or worst[1] < 0:
        bad = worst[1] if worst[1] < 0 else worst[0]
        raise ValueError(f"token id {bad} lies outside the vocabulary of {logits.shape[-1]}")
    return labels
