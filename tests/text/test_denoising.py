"""The corruptions: what must hold for every draw, counts over many, T5's own numbers, and bad input."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.text import denoising as d

MASK = 1
SEEDS = st.integers(0, 10**6)
TEXTS = st.lists(st.integers(2, 9), max_size=12)


def drawn(seed):
    return torch.Generator().manual_seed(seed)


@given(TEXTS, SEEDS, st.floats(0, 1), st.floats(0.1, 20))
def test_infilling_hides_the_asked_share_in_spans_that_do_not_touch(ids, seed, rate, mean):
    spans = d.poisson_spans(len(ids), rate=rate, mean_length=mean, generator=drawn(seed))
    assert sum(length for _, length in spans) == round(rate * len(ids))
    ends = [start + length for start, length in spans]
    assert all(end < start for end, (start, _) in zip(ends, spans[1:])) and all(end <= len(ids) for end in ends)
    spoilt = d.text_infilling(ids, mask_id=MASK, rate=rate, mean_length=mean, generator=drawn(seed))
    assert spoilt == d.replace_spans(ids, spans, mask_id=MASK)
    assert spoilt.count(MASK) == len(spans) and len(spoilt) == len(ids) - sum(n for _, n in spans) + len(spans)


def test_the_lengths_of_spans_are_poisson():
    spans = [n for seed in range(60) for _, n in d.poisson_spans(2000, rate=0.3, generator=drawn(seed))]
    counts = Counter(spans)
    assert sum(spans) / len(spans) == pytest.approx(3.0, abs=0.05)
    poisson = torch.distributions.Poisson(3.0).log_prob(torch.arange(6.0)).exp()
    assert [counts[k] / len(spans) for k in range(6)] == pytest.approx(poisson.tolist(), abs=0.012)


def test_every_place_of_a_span_is_equally_likely():
    starts = Counter(d.poisson_spans(5, rate=0.4, mean_length=100, generator=drawn(s))[0][0] for s in range(3000))
    assert sorted(starts) == [0, 1, 2, 3] and min(starts.values()) > 650


@given(TEXTS, SEEDS)
def test_permutation_and_rotation_keep_all_tokens(ids, seed):
    turned = d.document_rotation(ids, generator=drawn(seed))
    assert turned in ([ids[i:] + ids[:i] for i in range(len(ids))] or [[]])
    mixed = d.sentence_permutation(ids, end_ids=[9], generator=drawn(seed))
    assert Counter(mixed) == Counter(ids)
    sentences = lambda text: Counter(f"{''.join(map(str, text))}".split("9")[:-1])  # noqa: E731
    if ids[-1:] == [9]:
        assert sentences(mixed) == sentences(ids)


def test_masking_and_deletion_hit_the_same_share():
    ids = list(range(2, 4002))
    masked = d.token_masking(ids, mask_id=MASK, rate=0.3, generator=drawn(0))
    assert masked.count(MASK) / 4000 == pytest.approx(0.3, abs=0.03) and len(masked) == 4000
    left = d.token_deletion(ids, rate=0.3, generator=drawn(0))
    assert left == [token for token in masked if token != MASK]
    assert d.token_masking([], mask_id=MASK) == d.token_deletion([]) == d.document_rotation([]) == []
    assert d.text_infilling([], mask_id=MASK) == d.sentence_permutation([], end_ids=[9]) == []


def test_all_orders_and_all_beginnings_occur():
    orders = {tuple(d.sentence_permutation([5, 9, 6, 9, 7], end_ids=[9], generator=drawn(s))) for s in range(60)}
    assert len(orders) == 6
    assert len({tuple(d.document_rotation([5, 6, 7], generator=drawn(s))) for s in range(30)}) == 3


def test_t5s_own_numbers():
    """`random_spans_helper` of T5's preprocessors: an input of 512 is made of 568 tokens and has a target of 114."""
    taken, spans = d.t5_counts(568)
    assert (568 - taken + spans + 1, taken + spans + 1) == (512, 114)
    taken, spans = d.t5_counts(569)
    assert 569 - taken + spans + 1 > 512  # 568 is the most that fits
    assert d.t5_counts(2) == (1, 1) and d.t5_counts(10, rate=1) == (9, 1) and d.t5_counts(30) == (4, 1)


@given(st.integers(2, 60), SEEDS, st.floats(0, 1), st.floats(0.5, 9))
def test_t5s_noise_has_fixed_counts_and_ends_with_a_gap(length, seed, rate, mean):
    noise = d.t5_noise(length, rate=rate, mean_length=mean, generator=drawn(seed)).tolist()
    taken, spans = d.t5_counts(length, rate=rate, mean_length=mean)
    starts = sum(b and not a for a, b in zip([False, *noise], noise))
    assert (len(noise), sum(noise), starts) == (length, taken, spans)
    assert not noise[0] and noise[-1]


def test_each_way_to_cut_is_equally_likely():
    ways = Counter(tuple(d.t5_noise(6, rate=0.5, mean_length=1.5, generator=drawn(s)).tolist()) for s in range(2000))
    assert len(ways) == 4 and min(ways.values()) > 420  # two ways to cut three tokens, on either side


@given(st.lists(st.tuples(st.integers(2, 9), st.booleans()), max_size=12))
def test_source_and_target_make_the_text_again(pairs):
    ids, gone = [token for token, _ in pairs], [g for _, g in pairs]
    marks = list(range(120, 100, -1))
    pair = d.span_corruption(ids, torch.tensor(gone, dtype=torch.bool), sentinels=marks)
    assert d.restore_spans(pair.source, pair.target, sentinels=marks) == ids
    used = [token for token in pair.target if token > 99]
    assert used == marks[: len(used)] and pair.target[-1] == used[-1]
    assert [token for token in pair.source if token > 99] == used[:-1]


def test_what_a_target_does_not_say_is_left_out():
    assert d.restore_spans([5, 99, 8, 98], [98, 7, 97, 6], sentinels=[99, 98, 97]) == [5, 8, 7]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: d.token_masking([5], mask_id=-1), "mask_id must be"),
        (lambda: d.token_masking([5, -2], mask_id=1), "ids must be at least 0, got -2"),
        (lambda: d.token_deletion(["a"]), "'ids'|ids"),
        (lambda: d.token_deletion([5], rate=1.5), "rate"),
        (lambda: d.text_infilling([5], mask_id=1, mean_length=0), "mean_length must be"),
        (lambda: d.poisson_spans(-1), "length must be"),
        (lambda: d.replace_spans([5, 6], [(1, 2)], mask_id=1), r"within 2 tokens, got \(1, 2\)"),
        (lambda: d.replace_spans([5, 6], [(1, 1), (0, 1)], mask_id=1), "spans must follow one another"),
        (lambda: d.t5_noise(1), "length must be at least 2"),
        (lambda: d.span_corruption([5, 6], torch.tensor([True]), sentinels=[9]), "noise must have"),
        (lambda: d.span_corruption([5], torch.tensor([True]), sentinels=[9]), "sentinels must be 2, one more"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
