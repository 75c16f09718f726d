"""Claims of the slides of 03_words_and_vectors: one vector for both banks or two; separate language models."""

import torch
from torch.nn.functional import cosine_similarity, one_hot

from lib.evaluation import receptive_field
from lib.models import BidirectionalLM, load_minilm
from lib.slides.registry import Measured, recompute
from lib.text import bert_tokenizer

PLACE = 3  # of "bank" in both examples, after [CLS] and two words


@torch.no_grad()
def _banks() -> torch.Tensor:
    """The vectors of "bank" at all layers of MiniLM: (2 texts, 7 layers, 384)."""
    tokenizer, model = bert_tokenizer(), load_minilm()
    texts = ("the river bank", "the US bank")
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=True) for text in texts])
    assert ids[:, PLACE].tolist() == [tokenizer.id_of("bank")] * 2
    return torch.stack(model.hidden_states(ids))[:, :, PLACE].transpose(0, 1)


@recompute("C03a")
def fixed_vectors_are_equal() -> Measured:
    """Whether both banks have one vector before any context is read: layer 0 of MiniLM, at the same place."""
    river, us = _banks()[:, 0]
    return Measured(torch.equal(river, us), "the vectors that enter the first layer of MiniLM")


@recompute("C03b")
def contextual_vectors_differ() -> Measured:
    """Whether they differ after every layer."""
    river, us = _banks()
    cosines = cosine_similarity(river, us, dim=-1)[1:]
    return Measured(
        bool((cosines < 0.99).all()), f"cosines after layers 1 to 6: {cosines.min():.2f} to {cosines.max():.2f}"
    )


@recompute("N24a")
def one_hot_is_sparse_and_long() -> Measured:
    """Whether a one-hot vector of BERT's vocabulary has one number that is not 0, and more numbers than MiniLM's word vector."""
    V, d = load_minilm().tokens.weight.shape
    hot = one_hot(torch.tensor(7), V)
    return Measured(
        int((hot != 0).sum()) == 1 and d < V, f"{V:,} numbers, one of them 1; MiniLM's word vectors have {d}"
    )


@recompute("N26a")
def directions_are_separate() -> Measured:
    """Whether no state of either direction depends on what the other has read, in two layers, by derivatives."""
    model = BidirectionalLM(5, 3, num_layers=2, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).double()
    seen = [receptive_field(lambda x, i=i: model.states(x[None])[-1].chunk(2, dim=-1)[i][0], x) for i in (0, 1)]
    past = torch.ones(4, 4, dtype=torch.bool).tril()
    return Measured(torch.equal(seen[0], past) and torch.equal(seen[1], past.T), "derivatives of the states of layer 2")
