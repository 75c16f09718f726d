"""The loss of fine-tuning, held against loops in float64 and against transformers' own."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from lib.objectives import response_labels, sft_loss

ANSWERS = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 0, 0, 0]]).bool()  # three tokens and one
REDUCTIONS = ["token_mean", "sequence_mean", "sequence_sum"]


@pytest.fixture
def batch(generator):
    """Logits and ids of two demonstrations: prompt, answer, and padding after the second."""
    logits = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(0, 7, (2, 5), generator=generator)


def surprise(logits, ids, b, t):
    """-log π of token t of row b, from the definition."""
    exponentials = logits[b, t - 1].detach().exp()
    return -(exponentials[ids[b, t]] / exponentials.sum()).log().item()


def test_each_reduction_by_loops(batch):
    long, short = [surprise(*batch, 0, t) for t in (2, 3, 4)], surprise(*batch, 1, 1)
    expected = [(sum(long) + short) / 4, (sum(long) / 3 + short) / 2, (sum(long) + short) / 2]
    found = [sft_loss(*batch, ANSWERS, reduction=how).item() for how in REDUCTIONS]
    assert found == pytest.approx(expected, rel=1e-12)
    assert sft_loss(*batch, ANSWERS.long()).item() == pytest.approx(expected[0], rel=1e-12)  # the default


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_prompt_and_padding_never_count(batch, reduction, generator):
    logits, ids = batch
    loss = sft_loss(logits, ids, ANSWERS, reduction=reduction)
    loss.backward()
    asks = ANSWERS.roll(-1, dims=1)
    assert (logits.grad[~asks] == 0).all() and (logits.grad[asks] != 0).all()
    elsewhere = torch.where(asks[..., None], logits.detach(), 100 * torch.randn(2, 5, 7, generator=generator))
    other = torch.where(ANSWERS, ids, (ids + 1) % 7)
    assert sft_loss(elsewhere, other, ANSWERS, reduction=reduction).item() == pytest.approx(loss.item(), rel=1e-12)


def test_gradient_is_p_minus_y_over_the_number_of_tokens(batch):
    logits, ids = batch
    sft_loss(logits, ids, ANSWERS).backward()
    expected = torch.softmax(logits.detach()[0, 1], -1)
    expected[ids[0, 2]] -= 1
    torch.testing.assert_close(logits.grad[0, 1], expected / 4)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_in_float64(batch, reduction):
    logits, ids = batch
    assert torch.autograd.gradcheck(lambda z: sft_loss(z, ids, ANSWERS, reduction=reduction), logits)


def test_huge_logits_stay_finite():
    logits = torch.tensor([[[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]]], requires_grad=True)
    loss = sft_loss(logits, torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 1]]))
    loss.backward()
    assert loss.item() == 1e4 and logits.grad.isfinite().all()


def test_equals_the_loss_of_transformers_with_response_labels(generator):
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=8, n_embd=16, n_layer=1, n_head=2)).eval()
    ids = torch.randint(0, 30, (2, 5), generator=generator)
    out = theirs(ids, labels=response_labels(ids, ANSWERS))
    torch.testing.assert_close(sft_loss(out.logits, ids, ANSWERS), out.loss)


def test_response_labels_by_hand():
    ids = torch.tensor([[5, 6, 7, 8, 9], [1, 2, 3, 4, 0]])
    assert response_labels(ids, ANSWERS).tolist() == [[-100, -100, 7, 8, 9], [-100, 2, -100, -100, -100]]
    assert ids.tolist() == [[5, 6, 7, 8, 9], [1, 2, 3, 4, 0]]  # its input is left alone


@pytest.mark.parametrize(
    "function",
    [
        lambda mask: sft_loss(torch.zeros(2, 3, 4), torch.zeros(2, 3).long(), mask),
        lambda mask: response_labels(torch.zeros(2, 3).long(), mask),
    ],
)
def test_bad_masks(function, unchecked):
    with pytest.raises(ValueError, match="response_mask counts no token of row 0"):
        function(torch.tensor([[0, 0, 0], [0, 0, 1]]))
    with pytest.raises(ValueError, match="response_mask counts the first token of row 1, which nothing predicts"):
        function(torch.tensor([[0, 1, 1], [1, 1, 1]]))
    with pytest.raises(ValueError, match=r"response_mask must have shape \(2, 3\), got \(2, 2\)"):
        function(torch.ones(2, 2).bool())


def test_bad_input(unchecked):
    logits, ids, answer = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 1]])
    with pytest.raises(ValueError, match="reduction must be .*'sequence_mean' or 'sequence_sum', got 'mean'"):
        sft_loss(logits, ids, answer, reduction="mean")
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 3, got 9"):
        sft_loss(logits, torch.tensor([[0, 9, 2]]), answer)
    with pytest.raises(ValueError, match=r"logits must have shape \(1, 3, V\)"):
        sft_loss(logits[:, :2], ids, answer)
