from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models

from lib.models import Decoder, EncoderDecoder, MaskedLM, count_parameters
from lib.objectives import mlm_loss
from lib.text import Tokenizer, train_bpe, train_wordpiece
from lib.training import FitSettings, fit
from lib.training.recipes import (
    RECIPES,
    Recipe,
    build,
    fixed_loss,
    masked_loss,
    mlm_sampler,
    next_token_loss,
    token_stream,
)

TEXTS = ["the river bank is wet after the rain", "the bank lends money to the town", "rain fills the river"] * 20
TINY = Recipe("tiny", "bert", FitSettings(steps=30, learning_rate=3e-3), 80, 16, 1, 2, length=8, batch_size=8)


@pytest.fixture(scope="module")
def wordpiece():
    return train_wordpiece(TEXTS, 80)


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(TEXTS, 300)


def test_the_stream_is_every_document_followed_by_its_end(bpe):
    stream = token_stream(bpe, TEXTS[:2]).tolist()
    expected = [token for text in TEXTS[:2] for token in (*bpe.encode(text), bpe.eos_id)]
    assert stream == expected and stream.count(bpe.eos_id) == 2


def test_masked_loss_is_the_mlm_loss_of_all_logits(wordpiece, generator):
    task = build(TINY, wordpiece, TEXTS, TEXTS)
    batch = task.sample_batch(generator)
    everywhere = mlm_loss(task.model(batch.input_ids), batch.labels)
    torch.testing.assert_close(masked_loss(task.model, batch), everywhere)


def test_batches_come_from_the_generator_alone(wordpiece):
    sample = mlm_sampler(token_stream(wordpiece, TEXTS), wordpiece, batch_size=4, length=8, rate=0.4)
    first, again = (sample(torch.Generator().manual_seed(5)) for _ in range(2))
    other = sample(torch.Generator().manual_seed(6))
    assert torch.equal(first.input_ids, again.input_ids) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.input_ids, other.input_ids)


def test_no_random_token_is_drawn_from_a_hole_of_the_vocabulary():
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = Backend(models.WordPiece({**{name: i for i, name in enumerate(names)}, "a": 6, "b": 40}, unk_token="[UNK]"))
    words.add_special_tokens(list(names))
    sample = mlm_sampler(torch.full((200,), 6), Tokenizer(words), batch_size=100, length=100, rate=1.0)
    assert sample(torch.Generator().manual_seed(0)).input_ids.unique().tolist() == [4, 6, 40]


@pytest.mark.parametrize("kind, model", [("bert", MaskedLM), ("gpt", Decoder)])
def test_a_built_task_learns(kind, model, wordpiece, bpe):
    recipe = TINY if kind == "bert" else replace(TINY, kind="gpt", vocab_size=bpe.vocab_size)
    task = build(recipe, wordpiece if kind == "bert" else bpe, TEXTS, TEXTS)
    assert isinstance(task.model, model)
    before = task.evaluate(task.model)
    assert task.evaluate(task.model) == before  # the held-out batches stay the same
    fit(task.model, task.loss_fn, task.sample_batch, recipe.settings, show_progress=False)
    assert task.evaluate(task.model) < before - 0.5


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_a_built_task_is_judged_by_validation_text_alone(kind, wordpiece, bpe):
    tokenizer = wordpiece if kind == "bert" else bpe
    recipe = replace(TINY, kind=kind, vocab_size=tokenizer.vocab_size, length=4, rate=0.5)
    seen = []
    task = build(recipe, tokenizer, TEXTS, ["b b b b b b b b"] * 20)
    reader = task.model.encoder if kind == "bert" else task.model
    reader.register_forward_pre_hook(lambda module, given: seen.extend(given[0].flatten().tolist()))
    task.evaluate(task.model)
    shares = torch.tensor(seen).bincount(minlength=tokenizer.vocab_size) / len(seen)
    letters = [i for i in range(tokenizer.vocab_size) if tokenizer.token_of(i).strip("Ġ#") == "b"]
    assert shares[letters].sum() > 0.3  # the rest is [MASK], random or the end of a text


def test_a_fixed_loss_is_a_mean():
    assert fixed_loss(lambda model, batch: batch.sum(), [torch.tensor([1.0]), torch.tensor([2.0, 4.0])])(None) == 3.5


def test_masked_batches_have_their_rate_and_spare_special_tokens(wordpiece):
    stream = token_stream(wordpiece, TEXTS)
    assert (stream == wordpiece.sep_id).sum() == len(TEXTS)  # a WordPiece tokenizer has no other end
    sample = mlm_sampler(stream, wordpiece, batch_size=200, length=16, rate=0.3)
    generator = torch.Generator().manual_seed(0)
    batch, other = sample(generator), sample(generator)
    selected = batch.labels != -100
    original = batch.input_ids.where(~selected, batch.labels)
    special = torch.isin(original, torch.tensor(wordpiece.special_ids))
    assert not (selected & special).any() and special.any()
    assert abs(selected[~special].float().mean() - 0.3) < 0.03
    assert batch.input_ids.shape == (200, 16) and not torch.equal(batch.labels, other.labels)


def test_recipes_are_of_two_families():
    old, modern, gpt = (
        replace(TINY, kind=k, modern=m).config() for k, m in (("bert", False), ("bert", True), ("gpt", False))
    )
    assert (old.norm_position, old.position, old.final_norm) == ("post", "learned", False)
    assert (modern.norm_position, modern.position, modern.init_std) == ("pre", "rotary", 16**-0.5)
    assert (gpt.architecture, gpt.norm, gpt.position, gpt.bias) == ("decoder", "rmsnorm", "rotary", False)
    assert all((c.d_model, c.d_ff, c.num_layers, c.max_positions) == (16, 64, 1, 8) for c in (old, modern, gpt))


def test_the_same_seed_draws_the_same_weights(wordpiece):
    one, two, other = (
        build(replace(TINY, settings=replace(TINY.settings, seed=seed)), wordpiece, TEXTS, TEXTS).model
        for seed in (3, 3, 4)
    )
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters())]
    assert all(same)
    assert not torch.equal(one.encoder.tokens.weight, other.encoder.tokens.weight)


def test_shipped_recipes_fit_into_three_megabytes_of_half_precision():
    for recipe in RECIPES.values():
        config = recipe.config()
        with torch.device("meta"):
            model = {"bert": MaskedLM, "gpt": Decoder, "bart": EncoderDecoder}[recipe.kind](config)
        assert 2 * count_parameters(model) <= 3_000_000


def test_bad_input(wordpiece, bpe):
    with pytest.raises(ValueError, match="at least one token"):
        token_stream(bpe, [])
    without_end = Tokenizer(Backend(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")))
    with pytest.raises(ValueError, match="needs an end-of-sequence or"):
        token_stream(without_end, ["a"])
    with pytest.raises(ValueError, match=r"batches must not be empty, got \[\]"):
        fixed_loss(next_token_loss, [])
    with pytest.raises(ValueError, match="'bert', 'gpt' or 'bart', got 'lstm'"):
        build(replace(TINY, kind="lstm"), wordpiece, TEXTS, TEXTS)


def test_the_rest_of_an_architecture():
    recipe = replace(TINY, vocab_size=90, d_model=24, num_heads=3, num_layers=2, length=10)
    for kind, modern in (("bert", False), ("bert", True), ("gpt", False), ("gpt", True)):
        config = replace(recipe, kind=kind, modern=modern).config()
        assert config.architecture == ("encoder" if kind == "bert" else "decoder")
        assert (config.vocab_size, config.num_heads, config.num_layers, config.max_positions) == (90, 3, 2, 10)
        assert config.embedding_norm == (kind == "bert" and not modern) and config.final_norm != config.embedding_norm
    assert config == replace(recipe, kind="gpt").config()  # `modern` is for "bert"


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_a_built_task_is_trained_on_training_text_alone(kind, wordpiece, bpe):
    tokenizer = wordpiece if kind == "bert" else bpe
    recipe = replace(TINY, kind=kind, vocab_size=tokenizer.vocab_size, length=5, batch_size=7, rate=0.9)
    batch = build(recipe, tokenizer, ["b b b b b b b b"] * 20, TEXTS).sample_batch(torch.Generator().manual_seed(0))
    windows = batch if kind == "gpt" else batch.input_ids.where(batch.labels == -100, batch.labels)
    assert windows.shape == (7, 5)
    pieces = {tokenizer.token_of(i).strip("Ġ#") for i in windows.flatten().tolist()}
    assert pieces <= {"", "b", tokenizer.token_of(tokenizer.sep_id if kind == "bert" else tokenizer.eos_id)}
    if kind == "bert":
        assert (batch.labels != -100).float().mean() > 0.6  # nine in ten of what is no [SEP]


def test_masks_of_bert_are_fifteen_per_cent_unless_told_otherwise(wordpiece):
    stream = torch.full((500,), wordpiece.encode("river")[0])
    batch = mlm_sampler(stream, wordpiece, batch_size=200, length=50)(torch.Generator().manual_seed(0))
    assert (batch.labels != -100).float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert Recipe("x", "bert", TINY.settings).rate == 0.15


def test_the_end_of_a_sequence_comes_before_a_separator():
    words = Backend(models.WordLevel({"a": 0, "[SEP]": 1, "<|endoftext|>": 2, "[UNK]": 3}, unk_token="[UNK]"))
    words.add_special_tokens(["[SEP]", "<|endoftext|>"])
    tokenizer = Tokenizer(words)
    assert (tokenizer.sep_id, tokenizer.eos_id) == (1, 2)
    assert token_stream(tokenizer, ["a", "a"]).tolist() == [0, 2, 0, 2]
    with pytest.raises(ValueError, match="at least one token"):
        token_stream(tokenizer, ["", ""])


def test_recipes_are_found_by_their_names():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}
