import math

import pytest
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertForMaskedLM

from lib.objectives import mlm_loss


def test_is_the_mean_over_the_selected_tokens_of_the_whole_batch(generator):
    logits = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[-100, 3, -100, 0, 6], [-100, -100, 2, -100, -100]])
    by_hand = 0.0
    for b, t in [(0, 1), (0, 3), (0, 4), (1, 2)]:
        exponentials = [math.exp(v) for v in logits[b, t].tolist()]
        by_hand -= math.log(exponentials[labels[b, t]] / sum(exponentials))
    assert mlm_loss(logits, labels).item() == pytest.approx(by_hand / 4, rel=1e-12)


def test_equals_the_loss_of_transformers(generator):
    torch.manual_seed(0)
    theirs = BertForMaskedLM(
        BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    ).eval()
    ids = torch.randint(0, 50, (3, 6), generator=generator)
    labels = torch.where(torch.rand(3, 6, generator=generator) < 0.4, ids, -100)
    out = theirs(input_ids=ids, labels=labels)
    torch.testing.assert_close(mlm_loss(out.logits, labels), out.loss)


def test_gradient_is_p_minus_y_at_selected_positions_and_zero_elsewhere(generator):
    logits = torch.randn(1, 3, 4, generator=generator, requires_grad=True)
    mlm_loss(logits, torch.tensor([[-100, 2, -100]])).backward()
    expected = torch.zeros(1, 3, 4)
    expected[0, 1] = torch.softmax(logits.detach()[0, 1], -1) - F.one_hot(torch.tensor(2), 4)
    torch.testing.assert_close(logits.grad, expected)


def test_large_logits_stay_finite():
    logits = torch.tensor([[[1e4, -1e4], [0.0, 1e4]]])
    assert mlm_loss(logits, torch.tensor([[0, 0]])).item() == pytest.approx(5e3)


def test_bad_input(unchecked):
    logits = torch.zeros(1, 3, 4)
    with pytest.raises(ValueError, match="nothing was masked"):
        mlm_loss(logits, torch.full((1, 3), -100))
    with pytest.raises(ValueError, match=r"labels must have shape \(1, 3\)"):
        mlm_loss(logits, torch.zeros(1, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="targets must be ids from 0 to 3.* got 4"):
        mlm_loss(logits, torch.tensor([[-100, 4, -100]]))
