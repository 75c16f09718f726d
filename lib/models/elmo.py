r"""ELMo: two language models of LSTMs, one for each direction, and a learned mixture of their layers (Peters et al. 2018).

The forward model has read the words up to t, the backward one the words from t on. Each predicts the word that it reads next.
They share the table of words and nothing else, layer by layer: were a layer to read both directions, the one above it
would see the very word that it is to predict. `StackedBidirectionalLM` makes this mistake, to be looked at.

Left out of the original: words made of characters, the projections and the skip connection.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from lib import checks


def around(forward: Float[Tensor, "B T D"], backward: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D2"]:
    """What was read before place t and after it, without t: [forward t − 1, backward t + 1], zeros beyond the ends.

    >>> x = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> around(x, -x)[0].tolist()
    [[0.0, -2.0], [1.0, -3.0], [2.0, 0.0]]
    """
    checks.same_shape(forward=forward, backward=backward)
    return torch.cat([pad(forward, (0, 0, 1, 0))[:, :-1], pad(backward, (0, 0, 0, 1))[:, 1:]], dim=-1)


def _lstm(inputs: int, width: int, generator: torch.Generator | None) -> nn.LSTM:
    """One layer, drawn uniformly in ±1/√width as PyTorch does, but from `generator`."""
    with torch.device("meta"):
        layer = nn.LSTM(inputs, width, batch_first=True)
    layer = layer.to_empty(device="cpu")
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(width**-0.5), width**-0.5, generator=generator)
    return layer


class _Words(nn.Module):
    """The table of word vectors, and the checks of what is read."""

    def __init__(self, vocab_size: int, d_model: int, generator: torch.Generator | None) -> None:
        super().__init__()
        self.vocab_size, self.d_model = checks.whole("vocab_size", vocab_size), checks.whole("d_model", d_model)
        self.tokens = nn.Parameter(torch.randn(vocab_size, d_model, generator=generator))
        self.output = nn.Parameter(torch.zeros(vocab_size, d_model))

    def look_up(self, ids: Tensor) -> Tensor:
        checks.integers(ids=ids)
        checks.shape("ids", ids, "B", "T")
        checks.not_empty(ids=ids)
        checks.ids_below(self.vocab_size, ids=ids)
        return self.tokens[ids]


class BidirectionalLM(_Words):
    """Two stacks of LSTMs over the same words. Weights are drawn from `generator`."""

    def __init__(
        self, vocab_size: int, d_model: int, num_layers: int = 2, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(vocab_size, d_model, generator)
        layers = checks.whole("num_layers", num_layers)
        self.forwards = nn.ModuleList(_lstm(d_model, d_model, generator) for _ in range(layers))
        self.backwards = nn.ModuleList(_lstm(d_model, d_model, generator) for _ in range(layers))

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L1 B T D2"]:
        """The states of all 1 + L layers, forward half first; layer 0 is the word itself, twice.

        Sentences of a batch have one length: padding would be read like words. Raises ValueError for an id outside.
        """
        return self.states(self.look_up(ids))

    def states(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "L1 B T D2"]:
        """The same for word vectors instead of ids, so that one can ask for derivatives."""
        ahead = back = x
        layers = [torch.cat([x, x], dim=-1)]
        for forwards, backwards in zip(self.forwards, self.backwards):
            ahead = forwards(ahead)[0]
            back = backwards(back.flip(dims=(1,)))[0].flip(dims=(1,))
            layers.append(torch.cat([ahead, back], dim=-1))
        return torch.stack(layers)

    def loss(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """The mean, in nats, of −log P(next word | words before) and −log P(word before | words after).

        Raises ValueError for sentences of fewer than two words, in which nothing is predicted.
        """
        checks.whole("the length of the sentences", ids.shape[1], 2)
        ahead, back = self(ids)[-1].chunk(2, dim=-1)
        next_word = cross_entropy((ahead[:, :-1] @ self.output.T).flatten(0, 1), ids[:, 1:].flatten())
        word_before = cross_entropy((back[:, 1:] @ self.output.T).flatten(0, 1), ids[:, :-1].flatten())
        return (next_word + word_before) / 2


class StackedBidirectionalLM(_Words):
    """The mistake: each layer reads both directions of the layer below, and word t is predicted from `around` t.

    With one layer this is sound. With two the state before t has read a state that had read t. Weights are drawn from
    `generator`.
    """

    def __init__(
        self, vocab_size: int, d_model: int, num_layers: int = 2, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(vocab_size, d_model, generator)
        widths = [d_model] + [2 * d_model] * (checks.whole("num_layers", num_layers) - 1)
        self.forwards = nn.ModuleList(_lstm(width, d_model, generator) for width in widths)
        self.backwards = nn.ModuleList(_lstm(width, d_model, generator) for width in widths)
        self.join = nn.Parameter(torch.randn(2 * d_model, d_model, generator=generator) * (2 * d_model) ** -0.5)

    def around(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D2"]:
        """What word t is predicted from: the last layer's states before and after t."""
        for forwards, backwards in zip(self.forwards, self.backwards):
            ahead, back = forwards(x)[0], backwards(x.flip(dims=(1,)))[0].flip(dims=(1,))
            x = torch.cat([ahead, back], dim=-1)
        return around(ahead, back)

    def loss(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
        """The mean, in nats, of −log P(word t | its two neighbours' states)."""
        predicted = self.around(self.look_up(ids)) @ self.join @ self.output.T
        return cross_entropy(predicted.flatten(0, 1), ids.flatten())


class ScalarMix(nn.Module):
    r"""$\gamma\sum_l s_l h_l$ with $s$ = softmax of learned scores: one vector out of the layers' (Peters et al. 2018, eq. 1).

    >>> ScalarMix(2)(torch.tensor([[[[2.0]]], [[[4.0]]]])).item()
    3.0
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(checks.whole("num_layers", num_layers)))  # all layers alike at first
        self.gamma = nn.Parameter(torch.ones(()))

    @property
    def weights(self) -> Float[Tensor, "L1"]:
        """How much of each layer is taken; together 1."""
        return self.scores.softmax(dim=0)

    def forward(self, states: Float[Tensor, "L1 B T D"] | Sequence[Float[Tensor, "B T D"]]) -> Float[Tensor, "B T D"]:
        """Raises ValueError unless there are as many layers as weights."""
        layers = states if isinstance(states, Tensor) else torch.stack(list(states))
        checks.shape("states", layers, len(self.scores), "B", "T", "D")
        return self.gamma * torch.einsum("l,lbtd->btd", self.weights, layers)


def sees_itself(receptive: Bool[Tensor, "T T"]) -> bool:
    """Whether any place depends on its own word: the leak, for what a word is predicted from.

    >>> sees_itself(torch.tensor([[False, True], [True, False]]))
    False
    """
    checks.shape("receptive", receptive, len(receptive), len(receptive))
    return bool(receptive.diagonal().any())
