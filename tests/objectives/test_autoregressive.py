"""Held against enumeration of every sequence of a small vocabulary, and against transformers."""

import itertools

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lib.objectives import autoregressive_loss, sequence_log_prob, shift_labels


class Bigram:
    """A model whose probabilities can be read off: P(next | last) is a row of a table."""

    def __init__(self, V, generator):
        self.scores = torch.randn(V, V, generator=generator, dtype=torch.float64)

    def __call__(self, ids):
        return self.scores[ids]  # (B, T, V)


def test_the_probabilities_of_all_continuations_sum_to_one(generator):
    model = Bigram(4, generator)
    ids = torch.tensor([(2, *rest) for rest in itertools.product(range(4), repeat=3)])
    assert sequence_log_prob(model(ids), ids).exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_is_the_chain_rule(generator):
    model = Bigram(5, generator)
    ids = torch.tensor([[0, 3, 3, 1]])
    table = torch.softmax(model.scores, dim=-1)
    product = table[0, 3] * table[3, 3] * table[3, 1]
    assert sequence_log_prob(model(ids), ids).item() == pytest.approx(product.log().item(), rel=1e-12)
    assert autoregressive_loss(model(ids), ids).item() == pytest.approx(-product.log().item() / 3, rel=1e-12)


@pytest.mark.parametrize("left", [False, True])
def test_padding_neither_asks_nor_is_asked_for(generator, left):
    model = Bigram(6, generator)
    short, long = [4, 1, 5], [2, 2, 0, 3, 1]
    padded = torch.tensor([[0, 0, *short] if left else [*short, 0, 0], long])
    mask = torch.tensor([[0, 0, 1, 1, 1] if left else [1, 1, 1, 0, 0], [1] * 5])
    each = [sequence_log_prob(model(torch.tensor([row])), torch.tensor([row])).item() for row in (short, long)]
    assert sequence_log_prob(model(padded), padded, mask).tolist() == pytest.approx(each, rel=1e-12)
    assert autoregressive_loss(model(padded), padded, mask.bool()).item() == pytest.approx(-sum(each) / 6, rel=1e-12)


def test_equals_the_loss_of_transformers(generator):
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=8, n_embd=16, n_layer=1, n_head=2)).eval()
    ids = torch.randint(0, 30, (3, 8), generator=generator)
    out = theirs(ids, labels=ids)
    torch.testing.assert_close(autoregressive_loss(out.logits, ids), out.loss)


def test_shift_labels_by_hand():
    ids = torch.tensor([[7, 8, 9, 1], [1, 7, 8, 9]])
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]])
    expected = [[8, 9, -100, -100], [-100, 8, 9, -100]]
    assert shift_labels(ids, mask).tolist() == expected
    assert ids.tolist() == [[7, 8, 9, 1], [1, 7, 8, 9]]  # its input is left alone


def test_gradients_in_float64(generator):
    logits = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    assert torch.autograd.gradcheck(lambda z: autoregressive_loss(z, ids, mask), logits)
    assert torch.autograd.gradcheck(lambda z: sequence_log_prob(z, ids, mask), logits)


@pytest.mark.parametrize("function", [autoregressive_loss, sequence_log_prob])
def test_bad_input(function, unchecked):
    logits, ids = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])
    with pytest.raises(ValueError, match="at least 2 tokens"):
        function(logits[:, :1], ids[:, :1])
    with pytest.raises(ValueError, match=r"logits must have shape \(1, 3, V\), got \(1, 2, 4\)"):
        function(logits[:, :2], ids)
    with pytest.raises(ValueError, match="attention_mask must have the shape"):
        function(logits, ids, torch.ones(1, 2))
    with pytest.raises(ValueError, match="attention_mask must leave a token to predict"):
        function(logits, ids, torch.tensor([[1, 0, 1]]))
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 3, got 4"):
        function(logits, torch.tensor([[0, 4, 1]]))
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 3, got -1"):
        function(logits, torch.tensor([[0, -1, 1]]))


def test_a_hole_asks_for_nothing_and_is_not_asked_from(generator):
    model, ids, mask = Bigram(6, generator), torch.tensor([[4, 1, 5, 2, 3]]), torch.tensor([[1, 1, 0, 1, 1]])
    P = torch.softmax(model.scores, dim=-1)
    expected = (P[4, 1] * P[2, 3]).log().item()  # neither 1 → 5 nor 5 → 2, nor 1 → 2
    assert sequence_log_prob(model(ids), ids, mask).item() == pytest.approx(expected, rel=1e-12)
    assert autoregressive_loss(model(ids), ids, mask).item() == pytest.approx(-expected / 2, rel=1e-12)
    assert shift_labels(ids, mask).tolist() == [[1, -100, -100, 3, -100]]


def test_what_is_hidden_may_be_no_id_at_all():
    ids, mask = torch.tensor([[0, 1, -7], [99, 1, 2]]), torch.tensor([[1, 1, 0], [0, 1, 1]])
    assert sequence_log_prob(torch.zeros(2, 3, 4), ids, mask).tolist() == pytest.approx([-1.3862944] * 2)
