"""Pairs of texts as batches, their loss, and the passages that the recipe draws."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from lib.models import EncoderDecoder, load_transformers
from lib.text import train_bpe, train_wordpiece
from lib.text.passages import with_sentinels
from lib.training import FitSettings, fit
from lib.training.denoising import (
    MARKS,
    SENTINELS,
    PairBatch,
    infilling_sampler,
    pair_batch,
    pair_loss,
    shift_right,
    text_passages,
)  # fmt: skip
from lib.training.recipes import Recipe, build
from lib.training.tokens import predicted_tokens
from tests.models.theirs import bart, t5

TEXTS = ["The river bank is wet. Rain fills the river.", "The bank lends money to the town."] * 20
TINY = Recipe(
    "tiny", "bart", FitSettings(steps=30, learning_rate=1e-2), 300, 16, 1, 2, length=20, batch_size=8, rate=0.3
)


@pytest.fixture(scope="module")
def bpe():
    return with_sentinels(train_bpe(TEXTS, 300), SENTINELS)


def test_a_batch_has_ends_masks_and_the_target_one_place_later(bpe):
    batch = pair_batch([([50, 51, 52], [60]), ([53], [61, 62])], bpe)
    end, pad = bpe.eos_id, bpe.pad_id
    assert batch.input_ids.tolist() == [[50, 51, 52, end], [53, end, pad, pad]]
    assert batch.attention_mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.labels.tolist() == [[60, end, -100], [61, 62, end]]
    assert batch.decoder_input_ids.tolist() == [[end, 60, end], [end, 61, 62]]
    assert predicted_tokens(batch) == 5


def test_the_loss_is_the_mean_over_target_tokens(bpe):
    model = EncoderDecoder(replace(TINY, vocab_size=bpe.vocab_size - MARKS).config())
    batch = pair_batch([([50, 51, 52], [60]), ([53], [61, 62])], bpe)
    logits = model(batch.input_ids, batch.decoder_input_ids, batch.attention_mask)
    everywhere = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
    torch.testing.assert_close(pair_loss(model, batch), everywhere)
    alone = pair_batch([([53], [61, 62])], bpe)  # padding of another row changes nothing
    row = model(alone.input_ids, alone.decoder_input_ids, alone.attention_mask)
    torch.testing.assert_close(row[0], logits[1], atol=1e-5, rtol=1e-4)


def test_shifted_labels_are_those_of_transformers():
    from transformers.models.bart.modeling_bart import shift_tokens_right

    labels = torch.tensor([[11, 12, 2], [13, 2, -100]])
    theirs = shift_tokens_right(labels, 1, 2)
    assert torch.equal(shift_right(labels, 2, 1), theirs)


def test_a_sampler_hides_spans_and_asks_for_the_whole_passage(bpe):
    passages = text_passages(TEXTS, bpe, 40)
    batch = infilling_sampler(passages, bpe, batch_size=50, rate=0.3)(torch.Generator().manual_seed(0))
    targets = [[i for i in row if i not in (-100, bpe.eos_id)] for row in batch.labels.tolist()]
    assert all(target in passages for target in targets) and len({tuple(t) for t in targets}) == 3
    hidden = [len(t) - len([i for i in row if i not in (bpe.mask_id, bpe.pad_id, bpe.eos_id)])
              for t, row in zip(targets, batch.input_ids.tolist())]  # fmt: skip
    assert hidden == [round(0.3 * len(t)) for t in targets] and (batch.input_ids == bpe.mask_id).any(dim=1).sum() > 40


def test_a_built_task_learns(bpe):
    task = build(replace(TINY, vocab_size=bpe.vocab_size - MARKS), bpe, TEXTS, TEXTS)
    before = task.evaluate(task.model)
    assert isinstance(task.model, EncoderDecoder) and task.evaluate(task.model) == before
    fit(task.model, task.loss_fn, task.sample_batch, TINY.settings, show_progress=False)
    assert task.evaluate(task.model) < before - 0.7


def test_bad_input(bpe):
    with pytest.raises(ValueError, match="pairs must not be empty"):
        pair_batch([], bpe)
    with pytest.raises(ValueError, match="padding and an end-of-sequence"):
        pair_batch([([5], [6])], train_wordpiece(TEXTS, 80))
    with pytest.raises(ValueError, match="texts must not be empty"):
        infilling_sampler([], bpe, batch_size=2)
    with pytest.raises(ValueError, match="a <mask> token"):
        infilling_sampler([[5]], train_bpe(TEXTS, 300), batch_size=2)


@pytest.mark.parametrize("make", [bart, lambda: t5(decoder_start_token_id=0)], ids=["bart", "t5"])
def test_the_loss_is_that_of_transformers(make):
    theirs = make()
    ids = torch.randint(3, 20, (2, 6), generator=torch.Generator().manual_seed(0))
    mask, labels = torch.ones_like(ids, dtype=torch.bool), ids.roll(1, 0)[:, :4].clone()
    mask[1, 4:], labels[1, 2:] = False, -100
    expected = theirs(input_ids=ids, attention_mask=mask.long(), labels=labels).loss
    config = theirs.config
    reads = shift_right(labels, config.decoder_start_token_id, config.pad_token_id)
    got = pair_loss(load_transformers(theirs), PairBatch(ids, mask, reads, labels))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
