r"""Skip-gram with negative sampling (word2vec; Mikolov et al. 2013), and what it converges to.

Levy and Goldberg 2014 found the optimum: with enough dimensions, the dot product of a word's vector and a context's vector
is $\mathrm{PMI}(w, c) - \log k$ for k negative samples a pair. This can be counted, so that training has an oracle here.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from lib import checks


def skip_gram_pairs(ids: Int[Tensor, "B T"], window: int) -> Int[Tensor, "N 2"]:
    """All (word, context) pairs of each row: two places that are at most `window` apart, in both orders.

    Pairs do not reach from one row into the next. Raises ValueError for a window below 1.

    >>> skip_gram_pairs(torch.tensor([[1, 2, 3]]), window=1).tolist()
    [[1, 2], [2, 3], [2, 1], [3, 2]]
    """
    checks.integers(ids=ids)
    checks.whole("window", window)
    found = [torch.empty(0, 2, dtype=torch.long, device=ids.device)]
    for apart in range(1, min(window, ids.shape[1] - 1) + 1):
        ahead = torch.stack([ids[:, :-apart].flatten(), ids[:, apart:].flatten()], dim=1)
        found += [ahead, ahead.flip(dims=(1,))]
    return torch.cat(found)


def count_contexts(pairs: Int[Tensor, "N 2"], vocab_size: int) -> Float[Tensor, "V V"]:
    """How often each word (row) has each context (column), in float64. Raises ValueError for an id outside.

    >>> count_contexts(torch.tensor([[0, 1], [0, 1], [1, 0]]), vocab_size=2).tolist()
    [[0.0, 2.0], [1.0, 0.0]]
    """
    checks.ids_below(vocab_size, pairs=pairs)
    cells = torch.bincount(pairs[:, 0] * vocab_size + pairs[:, 1], minlength=vocab_size**2)
    return cells.view(vocab_size, vocab_size).double()


def noise_distribution(counts: Float[Tensor, "V"], power: float = 0.75) -> Float[Tensor, "V"]:
    """From what negative samples are drawn: counts to the power of 0.75 (word2vec), as probabilities.

    Raises ValueError for a negative count, or if nothing was counted.

    >>> noise_distribution(torch.tensor([16.0, 1.0]), power=0.75)
    tensor([0.8889, 0.1111])
    """
    checks.floating(counts=counts)
    checks.finite(counts=counts)
    if (counts < 0).any() or not counts.sum() > 0:
        raise ValueError(f"counts must be 0 or more, and not all of them 0, got {counts.tolist()[:8]}")
    weights = torch.where(counts > 0, counts.pow(checks.number("power", power)), 0.0)
    return weights / weights.sum()


def shifted_pmi(counts: Float[Tensor, "W C"], negatives: int, power: float = 1.0) -> Float[Tensor, "W C"]:
    r"""$\log\frac{P(c \mid w)}{P_n(c)} - \log k$: the dot products at the optimum of skip-gram with k negatives.

    With `power` 1 the noise $P_n$ is the distribution of contexts, and the first term is the pointwise mutual information. A pair
    that never occurs gives −∞. Raises ValueError where a word or a context never occurs: nothing is known of it.

    >>> shifted_pmi(torch.tensor([[2.0, 2.0], [2.0, 2.0]]), negatives=1).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    checks.shape("counts", counts, "W", "C")
    rows, columns = counts.sum(dim=1, keepdim=True), counts.sum(dim=0)
    if not (rows > 0).all() or not (columns > 0).all():
        raise ValueError("counts must have no empty row or column: of a word that never occurs nothing is known")
    k = checks.whole("negatives", negatives)
    return (counts / rows).log() - noise_distribution(columns, power).log() - torch.log(counts.new_tensor(float(k)))


def sgns_loss(positive: Float[Tensor, "N"], negative: Float[Tensor, "N k"]) -> Float[Tensor, ""]:
    r"""$-\log\sigma(v_w\cdot u_c) - \sum_{j=1}^k \log\sigma(-v_w\cdot u_{c_j})$, the mean over N pairs (Mikolov et al. 2013).

    `positive` are the scores of true pairs, `negative` those of each word with its k drawn contexts.
    Raises ValueError for no pairs, or where the two do not belong together.

    >>> sgns_loss(torch.zeros(2), torch.zeros(2, 3))
    tensor(2.7726)
    """
    checks.floating(positive=positive, negative=negative)
    checks.not_empty(positive=positive)
    checks.shape("negative", negative, len(positive), "k")
    return -(logsigmoid(positive) + logsigmoid(-negative).sum(dim=1)).mean()


class SkipGram(nn.Module):
    """Two tables: a vector for each word as the centre, and another for each word as a context.

    Centres are drawn from `generator`, uniform in ±1/(2D), and contexts begin at 0, as in the C code of word2vec.
    """

    def __init__(self, vocab_size: int, d_model: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        V, D = checks.whole("vocab_size", vocab_size), checks.whole("d_model", d_model)
        self.centres = nn.Parameter((torch.rand(V, D, generator=generator) - 0.5) / D)
        self.contexts = nn.Parameter(torch.zeros(V, D))

    def forward(self, words: Int[Tensor, "N"], contexts: Int[Tensor, "N K"]) -> Float[Tensor, "N K"]:
        """The dot product of each word with each of its K contexts."""
        checks.ids_below(len(self.centres), words=words, contexts=contexts)
        return torch.einsum("nd,nkd->nk", self.centres[words], self.contexts[contexts])

    def loss(self, pairs: Int[Tensor, "N 2"], negatives: Int[Tensor, "N k"]) -> Float[Tensor, ""]:
        """`sgns_loss` of true pairs and, for each, contexts that were drawn from the noise."""
        scores = self(pairs[:, 0], torch.cat([pairs[:, 1:], negatives], dim=1))
        return sgns_loss(scores[:, 0], scores[:, 1:])

    def draw_batch(
        self,
        pairs: Int[Tensor, "N 2"],
        noise: Float[Tensor, "V"],
        size: int,
        negatives: int,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Int[Tensor, "B 2"], Int[Tensor, "B k"]]:
        """`size` of the pairs, and `negatives` contexts for each from `noise`, both with replacement.

        So there may be more negatives than words, and one of them may be the true context, as in word2vec's formula.
        """
        k = checks.whole("negatives", negatives)
        checks.not_empty(pairs=pairs)
        chosen = torch.randint(len(pairs), (checks.whole("size", size),), generator=generator)
        drawn = torch.multinomial(noise, len(chosen) * k, replacement=True, generator=generator)
        return pairs[chosen], drawn.view(-1, k)
