"""Neighbours, analogies, agreement, senses and crowding, by loops and by what is printed elsewhere; and GloVe's table."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.evaluation import centred, mean_cosine, neighbours, same_sense, solve_analogies, word_similarity
from lib.models import WordVectors, load_glove
from lib.text import load_wordsim
from lib.text.words import RatedPair

V = WordVectors(("a", "b", "c", "d", "e"), torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
cosine = torch.nn.functional.cosine_similarity


def test_neighbours_are_those_of_a_loop():
    expected = sorted(((cosine(V["b"], V[w], dim=0).item(), w) for w in "acde"), reverse=True)
    found = neighbours(V, V["b"], 4, exclude=["b"])
    assert [word for word, _ in found] == [word for _, word in expected]
    assert [value for _, value in found] == pytest.approx([value for value, _ in expected], abs=1e-5)
    assert len(neighbours(V, V["b"], 99, exclude=["a", "b"])) == 3 and neighbours(V, V["b"], 1)[0][0] == "b"


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=0, max_size=6))
def test_analogies_are_those_of_a_loop(questions):
    rows = torch.tensor(questions).view(-1, 3).long()
    for exclude in (True, False):
        found = solve_analogies(V, rows, exclude_question=exclude).tolist()
        for (a, b, c), answer in zip(questions, found):
            query = V.unit[b] - V.unit[a] + V.unit[c]
            allowed = [w for w in range(5) if not exclude or w not in (a, b, c)]
            assert V.unit[answer] @ query >= max(float(V.unit[w] @ query) for w in allowed) - 1e-6 and answer in allowed


def test_agreement_of_glove_with_people():
    """Over the words that are in the table, close to the 0.503 of data/README.md over all pairs."""
    found = word_similarity(load_glove(), load_wordsim())
    assert found.pairs == 348 and 0.50 < found.spearman < 0.55
    pairs = [
        RatedPair("A", "b", cosine(V["a"], V["b"], dim=0) + 2),
        RatedPair("c", "d", 2 + cosine(V["c"], V["d"], dim=0)),
    ]
    assert word_similarity(V, [*pairs, RatedPair("a", "zzz", 1.0)]) == (pytest.approx(1.0), 2)


def test_mean_cosine_is_that_of_a_loop_and_centring_takes_the_mean_away():
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)) + 4
    by_loop = [cosine(x[i], x[j], dim=0).item() for i in range(6) for j in range(6) if i != j]
    assert mean_cosine(x) == pytest.approx(sum(by_loop) / 30, abs=1e-6) and mean_cosine(x) > 0.8
    assert abs(mean_cosine(centred(x))) < 0.3 and centred(x).mean(dim=0).abs().max() < 1e-6


def test_a_sense_is_that_of_the_nearest_other_use_of_the_word():
    x = torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1.0], [1.0, 0.01]])
    assert same_sense(torch.cat([x, x[2:3]]), ["w", "w", "w", "v", "v"], list("aabcc")).tolist() == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_glove_is_in_the_order_of_frequency():
    glove = load_glove()
    assert glove.vectors.shape == (50_000, 50) and glove.words[0] == "the" and "bank" in glove and "Bank" not in glove
    torch.testing.assert_close(glove.unit.norm(dim=1), torch.ones(50_000))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: V["z"], "'z' is not among the 5 words"),
        (lambda: WordVectors(("a", "a"), torch.eye(2)), "words must differ"),
        (lambda: WordVectors(("a",), torch.eye(2)), "vectors must have shape"),
        (lambda: solve_analogies(V, torch.tensor([[0, 1, 5]])), "questions must be ids from 0 to 4"),
        (lambda: word_similarity(V, [RatedPair("a", "b", 1.0)]), "pairs must be at least 2"),
        (lambda: mean_cosine(torch.ones(1, 2)), "the number of rows of x must be at least 2"),
        (lambda: centred(torch.ones(0, 2)), "x must not be empty"),
        (lambda: same_sense(torch.ones(2, 2), ["a", "b"], ["s", "s"]), "is used once"),
        (lambda: same_sense(torch.ones(2, 2), ["a"], ["s", "s"]), "words must have the length of x"),
    ],
)
def test_bad_input_is_named(call, words, unchecked):
    with pytest.raises(ValueError, match=words):
        call()
