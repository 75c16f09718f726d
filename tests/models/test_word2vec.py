"""Skip-gram: pairs by two loops, the optimum by descent and by counting, and gensim's word2vec."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.models import SkipGram
from lib.models.word2vec import count_contexts, noise_distribution, sgns_loss, shifted_pmi, skip_gram_pairs
from lib.training import FitSettings, fit
from lib.worlds.topics import WORDS, draw_sentences, pair_probabilities


@given(T=st.integers(1, 6), window=st.integers(1, 8))
def test_pairs_are_those_of_two_loops(T, window):
    ids = torch.arange(2 * T).view(2, T)
    expected = {
        (int(row[i]), int(row[j])) for row in ids for i in range(T) for j in range(T) if 0 < abs(i - j) <= window
    }
    found = skip_gram_pairs(ids, window).tolist()
    assert {tuple(pair) for pair in found} == expected and len(found) == len(expected)


def test_the_loss_is_the_formula():
    positive, negative = torch.tensor([2.0, -1.0]), torch.tensor([[0.0, 1.0], [-3.0, 0.5]])
    sigma = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    by_hand = -(math.log(sigma(2)) + math.log(sigma(0)) + math.log(sigma(-1)))
    by_hand -= math.log(sigma(-1)) + math.log(sigma(3)) + math.log(sigma(-0.5))
    torch.testing.assert_close(sgns_loss(positive, negative).item(), by_hand / 2, rtol=1e-5, atol=1e-6)
    assert sgns_loss(torch.tensor([-1e4]), torch.tensor([[1e4]])).item() == 2e4


@pytest.mark.parametrize("power, k", [(1.0, 1), (1.0, 5), (0.75, 3)])
def test_the_counted_optimum_has_no_gradient(power, k):
    """The expected loss of all pairs and all negatives, whose scores are free: its derivative is 0 at the optimum."""
    counts = torch.tensor([[4.0, 9.0, 1.0], [9.0, 2.0, 6.0], [1.0, 6.0, 5.0]]).double()
    x = shifted_pmi(counts, k, power).requires_grad_()
    noise = noise_distribution(counts.sum(dim=0), power)
    softplus = torch.nn.functional.softplus
    (counts * softplus(-x) + k * counts.sum(dim=1, keepdim=True) * noise * softplus(x)).sum().backward()
    assert x.grad.abs().max() < 1e-12


def test_pmi_is_that_of_the_language():
    P = pair_probabilities()
    exact = (P / (P.sum(dim=1, keepdim=True) * P.sum(dim=0))).log()
    torch.testing.assert_close(shifted_pmi(P, 5), exact - math.log(5))


def test_training_finds_what_can_be_counted_as_gensim_does():
    """Both against the optimum, in a language of a dozen words: dot products of centres and contexts."""
    g = torch.Generator().manual_seed(3)
    ids = draw_sentences(3000, 6, generator=g).ids
    pairs = skip_gram_pairs(ids, 5)
    optimum = shifted_pmi(count_contexts(pairs, 12), 5)
    model = SkipGram(12, 12, generator=g)
    noise = noise_distribution(count_contexts(pairs, 12).sum(dim=0), 1.0)
    fit(model, lambda m, batch: m.loss(*batch), lambda g: model.draw_batch(pairs, noise, 400, 5, generator=g),
        FitSettings(steps=400, learning_rate=0.1, weight_decay=0.0, max_grad_norm=None), show_progress=False)  # fmt: skip
    ours = (model.centres @ model.contexts.T).detach().double()
    gensim = pytest.importorskip("gensim.models")
    text = [[WORDS[i] for i in row] for row in ids.tolist()]
    peer = gensim.Word2Vec(text, vector_size=12, window=5, sg=1, negative=5, ns_exponent=1.0, sample=0, min_count=1,
                           shrink_windows=False, epochs=15, alpha=0.05, workers=1, seed=1)  # fmt: skip
    rows = [peer.wv.key_to_index[word] for word in WORDS]
    theirs = torch.tensor(peer.wv.vectors[rows] @ peer.syn1neg[rows].T).double()
    agreement = lambda scores: torch.corrcoef(torch.stack([scores.flatten(), optimum.flatten()]))[0, 1].item()  # noqa: E731
    assert agreement(ours) > 0.97 and agreement(theirs) > 0.9
    assert (ours - optimum).abs().mean() < 0.1


def test_there_may_be_more_negatives_than_words():
    model = SkipGram(2, 3, generator=torch.Generator().manual_seed(0))
    pairs, negatives = model.draw_batch(torch.tensor([[0, 1]]), torch.tensor([0.5, 0.5]), 4, 9)
    assert negatives.shape == (4, 9) and torch.isfinite(model.loss(pairs, negatives))
    torch.testing.assert_close(model.loss(pairs, negatives).item(), 10 * math.log(2))  # contexts begin at 0


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: skip_gram_pairs(torch.zeros(1, 3).long(), 0), ValueError, "window must be at least 1"),
        (lambda: skip_gram_pairs(torch.zeros(1, 3), 1), TypeError, "ids must be an integer tensor"),
        (lambda: count_contexts(torch.tensor([[0, 3]]), 3), ValueError, "pairs must be ids from 0 to 2, got 3"),
        (lambda: noise_distribution(torch.zeros(3)), ValueError, "not all of them 0"),
        (lambda: noise_distribution(torch.tensor([1.0, -1.0])), ValueError, "counts must be 0 or more"),
        (lambda: shifted_pmi(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), 1), ValueError, "no empty row or column"),
        (lambda: shifted_pmi(torch.ones(2, 2), 0), ValueError, "negatives must be at least 1"),
        (lambda: sgns_loss(torch.zeros(0), torch.zeros(0, 2)), ValueError, "positive must not be empty"),
        (lambda: sgns_loss(torch.zeros(2), torch.zeros(3, 2)), ValueError, "negative must have shape"),
        (lambda: SkipGram(0, 2), ValueError, "vocab_size must be at least 1"),
        (lambda: SkipGram(2, 2)(torch.tensor([2]), torch.tensor([[0]])), ValueError, "words must be ids from 0 to 1"),
    ],
)
def test_bad_input_is_named(call, error, words, unchecked):
    with pytest.raises(error, match=words):
        call()
