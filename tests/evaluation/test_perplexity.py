import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lib.evaluation import bits_per_byte, perplexity


def table_model(generator, V=5):
    scores = torch.randn(V, V, generator=generator)
    return scores, lambda ids, attention_mask=None: scores[ids]


def test_is_exp_of_the_mean_over_tokens_not_over_rows(generator):
    scores, model = table_model(generator)
    P = torch.softmax(scores.double(), dim=-1)
    ids = torch.tensor([[0, 1, 2, 3], [4, 0, 0, 0], [2, 2, 1, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]])
    asked = [P[0, 1], P[1, 2], P[2, 3], P[4, 0], P[2, 2], P[2, 1]]
    expected = math.exp(-sum(math.log(p) for p in asked) / 6)
    for batch_size in (1, 2, 8):
        assert perplexity(model, ids, mask, batch_size=batch_size) == pytest.approx(expected, rel=1e-5)
    bits = -sum(math.log2(p) for p in asked)
    assert bits_per_byte(model, ids, 12, mask) == pytest.approx(bits / 12, rel=1e-5)


def test_equals_exp_of_the_loss_of_transformers(generator):
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=8, n_embd=16, n_layer=1, n_head=2)).eval()
    ids = torch.randint(0, 30, (3, 8), generator=generator)
    ours = perplexity(lambda ids, attention_mask=None: theirs(ids).logits, ids)
    assert ours == pytest.approx(theirs(ids, labels=ids).loss.exp().item(), rel=1e-5)


def test_two_to_the_entropy_in_bits_is_the_same_number(generator):
    _, model = table_model(generator)
    ids = torch.randint(0, 5, (2, 6), generator=generator)
    assert 2 ** (bits_per_byte(model, ids, 10)) == pytest.approx(perplexity(model, ids), rel=1e-6)  # 10 tokens


def test_bad_input(generator):
    _, model = table_model(generator)
    ids = torch.tensor([[0, 1, 2]])
    with pytest.raises(ValueError, match="batch_size"):
        perplexity(model, ids, batch_size=0)
    with pytest.raises(ValueError, match=r"input_ids must not be empty, got shape \(0, 3\)"):
        perplexity(model, ids[:0])
    with pytest.raises(ValueError, match="at least 2 tokens"):
        perplexity(model, ids[:, :1])
    with pytest.raises(ValueError, match="num_bytes"):
        bits_per_byte(model, ids, 0)


@pytest.mark.parametrize("measure", [perplexity, lambda *a, **k: bits_per_byte(a[0], a[1], 5, *a[2:], **k)])
@pytest.mark.parametrize(("options", "sizes"), [({}, [8, 1]), ({"batch_size": 4}, [4, 4, 1])])
@pytest.mark.parametrize("mask", [None, torch.tensor([[0, 1, 1]] * 4 + [[1, 1, 0]] * 5)])
def test_the_model_reads_each_batch_with_its_mask_and_builds_no_graph(measure, options, sizes, mask):
    ids, seen = torch.arange(27).view(9, 3) % 5, []
    bias = torch.zeros(5, requires_grad=True)

    def model(ids, attention_mask=None):
        seen.append((ids, attention_mask))
        assert not torch.is_grad_enabled()
        return torch.zeros(*ids.shape, 5) + bias

    measure(model, ids, *([] if mask is None else [mask]), **options)
    assert [len(batch) for batch, _ in seen] == sizes and torch.equal(torch.cat([b for b, _ in seen]), ids)
    masks = [part for _, part in seen]
    assert masks == [None] * len(sizes) if mask is None else torch.equal(torch.cat(masks), mask)


def test_padding_on_the_left_is_neither_predicted_nor_read_from(generator):
    scores, model = table_model(generator)
    P = torch.softmax(scores.double(), dim=-1)
    ids, mask = torch.tensor([[0, 0, 2, 3], [4, 0, 1, 1]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    expected = -math.log(P[2, 3] * P[4, 0] * P[0, 1] * P[1, 1]) / 4
    assert perplexity(model, ids, mask) == pytest.approx(math.exp(expected), rel=1e-5)


def test_rows_are_added_up_in_double_precision():
    """One row of 10⁸ nats, where float32 has only every eighth number, beside seven rows of ln 2."""
    table = torch.tensor([[0.0, 0.0], [0.0, -1e8]])
    ids = torch.tensor([[1, 1]] + [[0, 0]] * 7)
    nats = bits_per_byte(lambda ids, attention_mask=None: table[ids], ids, 1) * math.log(2)
    assert nats == pytest.approx(1e8 + 7 * math.log(2), abs=0.01)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_batch_with_nothing_to_predict_is_no_fault_where_others_have_something(batch_size, generator):
    scores, model = table_model(generator)
    P = torch.softmax(scores.double(), dim=-1)
    ids, mask = torch.tensor([[4, 4, 4], [0, 1, 2], [3, 3, 3]]), torch.tensor([[1, 0, 0], [1, 1, 1], [0, 0, 1]])
    expected = math.exp(-math.log(P[0, 1] * P[1, 2]) / 2)
    assert perplexity(model, ids, mask, batch_size=batch_size) == pytest.approx(expected, rel=1e-5)
    assert bits_per_byte(model, ids, 1, mask, batch_size=batch_size) == pytest.approx(2 * math.log2(expected), rel=1e-5)
    for measure in (perplexity, lambda *a, **k: bits_per_byte(*a[:2], 3, *a[2:], **k)):
        with pytest.raises(ValueError, match="attention_mask must leave a token to predict"):
            measure(model, ids, mask * torch.tensor([[1], [0], [1]]), batch_size=batch_size)


def test_a_mask_of_other_rows_is_refused(generator, unchecked):
    _, model = table_model(generator)
    ids = torch.tensor([[0, 1, 2]] * 8)
    for rows in (7, 9, 16):
        with pytest.raises(ValueError, match=r"attention_mask must have the shape of input_ids, \(8, 3\)"):
            perplexity(model, ids, torch.ones(rows, 3).long())
