"""Log-probabilities of chosen tokens, held against loops in float64 and against the enumeration of every answer."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.kernels import selective_log_softmax
from lib.objectives import chunked_token_log_probs, response_log_prob, sequence_log_prob, token_log_probs

PROMPT_ANSWER_PADDING = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1], [0, 0, 0, 1, 0]])


def by_loops(logits, ids):
    """log π(x_t | x_<t) from the definition, one token at a time; nothing predicts the first."""
    table = torch.zeros(ids.shape, dtype=torch.float64)
    for b, t in itertools.product(range(len(ids)), range(1, ids.shape[1])):
        exponentials = logits[b, t - 1].double().exp()
        table[b, t] = (exponentials[ids[b, t]] / exponentials.sum()).log()
    return table


def test_token_log_probs_by_loops(generator):
    logits = torch.randn(3, 5, 7, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 7, (3, 5), generator=generator)
    before = ids.clone()
    torch.testing.assert_close(token_log_probs(logits, ids), by_loops(logits, ids))
    assert torch.equal(ids, before)  # its input is left alone


def test_response_log_prob_by_loops(generator):
    logits = torch.randn(3, 5, 7, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 7, (3, 5), generator=generator)
    table = by_loops(logits, ids)
    expected = [table[0, 2] + table[0, 3], table[1, 1:].sum(), table[2, 3]]
    for mask in (PROMPT_ANSWER_PADDING, PROMPT_ANSWER_PADDING.bool()):
        found = response_log_prob(token_log_probs(logits, ids), mask)
        torch.testing.assert_close(found, torch.stack(expected))


def test_the_whole_row_as_an_answer_is_the_chain_rule(generator):
    logits = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    ids = torch.randint(0, 5, (2, 4), generator=generator)
    mask = torch.tensor([[0, 1, 1, 1]] * 2)
    torch.testing.assert_close(response_log_prob(token_log_probs(logits, ids), mask), sequence_log_prob(logits, ids))


def test_the_probabilities_of_all_answers_to_a_prompt_sum_to_one(generator):
    scores = torch.randn(4, 4, generator=generator, dtype=torch.float64)  # P(next | last)
    ids = torch.tensor([(2, 0, *answer) for answer in itertools.product(range(4), repeat=3)])
    log_probs = response_log_prob(token_log_probs(scores[ids], ids), torch.tensor([[0, 0, 1, 1, 1]] * len(ids)))
    assert log_probs.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_prompt_and_padding_never_count(generator):
    logits = torch.randn(3, 5, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 7, (3, 5), generator=generator)
    answers = PROMPT_ANSWER_PADDING.bool()
    found = response_log_prob(token_log_probs(logits, ids), answers)
    found.sum().backward()
    asks = answers.roll(-1, dims=1)  # the position before a token is the one that predicts it
    assert (logits.grad[~asks] == 0).all() and (logits.grad[asks] != 0).all()
    elsewhere = torch.where(asks[..., None], logits.detach(), torch.randn(3, 5, 7, generator=generator) * 50)
    other = torch.where(answers, ids, (ids + 3) % 7)
    torch.testing.assert_close(response_log_prob(token_log_probs(elsewhere, other), answers), found.detach())


def test_what_is_no_answer_may_be_infinite():
    log_probs = torch.tensor([[0.0, -torch.inf, -1.0, torch.nan]], requires_grad=True)
    found = response_log_prob(log_probs, torch.tensor([[0, 0, 1, 0]]))
    found.backward()
    assert found.tolist() == [-1.0] and log_probs.grad.tolist() == [[0.0, 0.0, 1.0, 0.0]]


def test_gradients_in_float64(generator):
    logits = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 4, (3, 5), generator=generator)
    assert torch.autograd.gradcheck(lambda z: token_log_probs(z, ids), logits)
    assert torch.autograd.gradcheck(lambda z: selective_log_softmax(z, ids), logits)
    answer = PROMPT_ANSWER_PADDING
    assert torch.autograd.gradcheck(lambda z: response_log_prob(token_log_probs(z, ids), answer), logits)


def test_huge_logits_stay_finite():
    """exp(1e4) is infinite: log(softmax) would be log 0 where the token is unlikely."""
    logits = torch.tensor([[[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]]], requires_grad=True)
    found = token_log_probs(logits, torch.tensor([[0, 1, 2]]))
    assert found.tolist() == [[0.0, -2e4, pytest.approx(-0.6931, abs=1e-3)]]
    found.sum().backward()
    expected = torch.tensor([[[-1.0, 1.0, 0.0], [0.0, -0.5, 0.5], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(logits.grad, expected, atol=1e-3, rtol=0)


def test_a_forbidden_token_is_infinitely_unlikely_and_leaves_the_others_a_gradient():
    logits = torch.tensor([[0.0, 1.0, -torch.inf]] * 2, requires_grad=True)
    found = selective_log_softmax(logits, torch.tensor([0, 2]))
    assert found[1].item() == -torch.inf
    found[0].backward()
    assert logits.grad.isfinite().all()


@settings(max_examples=40)
@given(shape=st.lists(st.integers(1, 4), max_size=3), V=st.integers(1, 6), seed=st.integers(0, 9))
def test_selective_log_softmax_picks_from_the_log_softmax_whatever_the_shape(shape, V, seed):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, V, generator=g, dtype=torch.float64) * 10
    ids = torch.randint(0, V, shape, generator=g)
    expected = torch.log_softmax(logits, -1).gather(-1, ids[..., None]).squeeze(-1)
    torch.testing.assert_close(selective_log_softmax(logits, ids), expected)


def test_half_precision_logits_are_summed_in_float32(generator):
    logits = torch.randn(4, 1000, generator=generator).bfloat16()
    ids = torch.tensor([0, 1, 2, 999])
    found = selective_log_softmax(logits, ids)
    torch.testing.assert_close(found, selective_log_softmax(logits.float(), ids))


def test_nothing_of_the_size_of_the_logits_is_kept_but_the_logits(generator):
    """A log-softmax kept for the backward pass would double what a batch of long answers needs."""
    logits, ids = torch.randn(2, 3, 50, generator=generator, requires_grad=True), torch.zeros(2, 3, dtype=torch.long)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        token_log_probs(logits, ids)
    assert {x.data_ptr() for x in kept if x.numel() >= logits.numel()} == {logits.data_ptr()}


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_chunked_log_probs_and_their_gradients_are_those_of_the_logits(generator, chunk_size):
    hidden = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 7, (3, 5), generator=generator)
    answers = PROMPT_ANSWER_PADDING.bool()
    plain = token_log_probs(hidden @ weight.T, ids) * answers
    found = chunked_token_log_probs(hidden, weight, ids, answers, chunk_size=chunk_size)
    torch.testing.assert_close(found, plain)
    price = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    wanted = torch.autograd.grad((plain * price).sum(), (hidden, weight))
    torch.testing.assert_close(torch.autograd.grad((found * price).sum(), (hidden, weight)), wanted)


def test_bad_ids_and_shapes(unchecked):
    logits, ids = torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]])
    with pytest.raises(ValueError, match=r"logits must have shape \(1, 3, V\), got \(1, 2, 4\)"):
        token_log_probs(logits[:, :2], ids)
    with pytest.raises(ValueError, match="input_ids must have at least 2 tokens in a row"):
        token_log_probs(logits[:, :1], ids[:, :1])
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 3, got 4"):
        token_log_probs(logits, torch.tensor([[0, 4, 1]]))
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 3, got -100"):
        token_log_probs(logits, torch.tensor([[0, 1, -100]]))
    with pytest.raises(ValueError, match=r"hidden must have shape \(1, 3, D\)"):
        chunked_token_log_probs(torch.zeros(1, 2, 5), torch.zeros(4, 5), ids, torch.tensor([[0, 0, 1]]))
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 3, got 4"):
        chunked_token_log_probs(torch.zeros(1, 3, 5), torch.zeros(4, 5), ids * 2, torch.tensor([[0, 0, 1]]))
    with pytest.raises(ValueError, match=r"ids must have shape \(1, 3\), got \(1, 2\)"):
        selective_log_softmax(logits, ids[:, :2])
    with pytest.raises(ValueError, match="ids must be ids from 0 to 3, got 4"):
        selective_log_softmax(logits, ids * 2)
    with pytest.raises(ValueError, match="ids must be ids from 0 to 3, got -100"):
        selective_log_softmax(logits, torch.tensor([[0, -100, 2]]))


@pytest.mark.parametrize(
    "function",
    [
        lambda mask: response_log_prob(torch.zeros(2, 3), mask),
        lambda mask: chunked_token_log_probs(torch.zeros(2, 3, 5), torch.zeros(4, 5), torch.zeros(2, 3).long(), mask),
    ],
)
def test_bad_masks(function, unchecked):
    with pytest.raises(ValueError, match="response_mask counts no token of row 1: an answer has at least one token"):
        function(torch.tensor([[0, 0, 1], [0, 0, 0]]))
    with pytest.raises(ValueError, match="response_mask counts the first token of row 1, which nothing predicts"):
        function(torch.tensor([[0, 0, 1], [1, 1, 0]]))
    with pytest.raises(ValueError, match=r"response_mask must have shape \(2, 3\), got \(1, 3\)"):
        function(torch.tensor([[0, 0, 1]]))
