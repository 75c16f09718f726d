"""The masked language modelling loss (slides C08 and C09; Devlin et al. 2019)."""

from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.kernels import cross_entropy


def mlm_loss(logits: Float[Tensor, "B T V"], labels: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    r"""Mean negative log-likelihood, in nats, of the tokens that were selected for prediction.

    $-\frac{1}{|\bar x|} \sum_{x_t \in \bar x} \log P_\theta(x_t \mid \hat x)$ (slide C09, with the log inside the
    expectation). `labels` holds the original id at each selected position and -100 elsewhere, so that a position
    counts whether it shows [MASK], a random token or itself. The mean is over the selected tokens of the whole
    batch: sequences with more of them weigh more, as in BERT.

    Raises ValueError when no position is selected, and when a label lies outside the vocabulary.

    >>> import torch
    >>> round(mlm_loss(torch.zeros(1, 3, 8), torch.tensor([[-100, 5, -100]])).item(), 4)  # ln 8
    2.0794
    """
    checks.shape("labels", labels, *logits.shape[:2])
    if not (labels != -100).any():
        raise ValueError("labels must select at least one position (all are -100): nothing was masked")
    return cross_entropy(logits.flatten(0, 1), labels.flatten())
