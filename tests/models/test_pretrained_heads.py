"""A head in their file makes the model with that head, and no head that is not there."""

import pytest
import torch
import transformers as hf

from lib.models import (
    Encoder,
    MaskedLM,
    SequenceClassifier,
    SpanExtractor,
    TokenClassifier,
    count_parameters,
    load_transformers,
)
from lib.models.pretrained_heads import as_found
from tests.models import small, theirs
from tests.models.theirs import SIZES, made

IDS = small.some_ids()
CLOSE = dict(atol=1e-5, rtol=0)


def roberta_for(task, **changes):
    config = hf.RobertaConfig(**SIZES | dict(max_position_embeddings=14) | changes)
    return made(getattr(hf, f"RobertaFor{task}"), config)


def decoder_for(task, family, **changes):
    sizes = SIZES | dict(num_key_value_heads=2, max_position_embeddings=12, pad_token_id=2)
    if family == "GPT2":
        sizes = dict(vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_positions=12, bos_token_id=0, eos_token_id=0)
        sizes |= dict(pad_token_id=2)
    config = getattr(hf, f"{family}Config")(**sizes | changes)
    return made(getattr(hf, f"{family}For{task}"), config)


def padded(model):
    """Ids in which padding has the padding token's id: by it theirs find positions, or the last token."""
    return IDS.masked_fill(small.RIGHT == 0, model.config.pad_token_id)


@torch.no_grad()
@pytest.mark.parametrize("make", [theirs.bert_for, roberta_for], ids=["bert", "roberta"])
def test_classifiers_of_sequences_on_an_encoder(make):
    model = make("SequenceClassification", num_labels=3)
    ours, ids = load_transformers(model), padded(model)
    assert isinstance(ours, SequenceClassifier) and ours.pool == "first"
    assert count_parameters(ours) == model.num_parameters()
    expected = model(ids, small.RIGHT).logits
    assert expected.abs().max() > 0.2
    torch.testing.assert_close(ours(ids, small.RIGHT), expected, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("make", [theirs.bert_for, roberta_for], ids=["bert", "roberta"])
def test_classifiers_of_tokens_and_spans(make):
    model = make("TokenClassification", num_labels=5)
    ours, ids, real = load_transformers(model), padded(model), small.RIGHT.bool()
    assert isinstance(ours, TokenClassifier) and count_parameters(ours) == model.num_parameters()
    torch.testing.assert_close(ours(ids, small.RIGHT)[real], model(ids, small.RIGHT).logits[real], **CLOSE)
    model = make("QuestionAnswering")
    ours, expected = load_transformers(model), model(ids, small.RIGHT)
    assert isinstance(ours, SpanExtractor) and count_parameters(ours) == model.num_parameters()
    got = ours(ids, small.RIGHT)
    torch.testing.assert_close(got.start[real], expected.start_logits[real], **CLOSE)
    torch.testing.assert_close(got.end[real], expected.end_logits[real], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("family", ["GPT2", "Llama", "Mistral", "Qwen2"])
def test_classifiers_on_a_decoder(family):
    model = decoder_for("SequenceClassification", family, num_labels=3)
    ours, ids = load_transformers(model), padded(model)
    assert isinstance(ours, SequenceClassifier) and ours.pool == "last"
    assert count_parameters(ours) == model.num_parameters()
    expected = model(ids, attention_mask=small.RIGHT).logits
    assert expected.abs().max() > 0.2
    torch.testing.assert_close(ours(ids, small.RIGHT), expected, **CLOSE)
    model = decoder_for("TokenClassification", family, num_labels=5)
    ours = load_transformers(model)
    assert isinstance(ours, TokenClassifier) and count_parameters(ours) == model.num_parameters()
    torch.testing.assert_close(ours(ids), model(ids).logits, **CLOSE)


@torch.no_grad()
def test_next_sentence_alone_is_a_classifier():
    model = theirs.bert_for("NextSentencePrediction")
    torch.testing.assert_close(load_transformers(model)(IDS, small.RIGHT), model(IDS, small.RIGHT).logits, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, dict(feed_forward_proj="gated-gelu")], ids=["t5", "t5-1.1"])
@pytest.mark.parametrize("mask", [torch.ones_like(small.RIGHT), small.RIGHT], ids=["full", "right"])
def test_a_t5_without_decoder_is_an_encoder(changes, mask):
    sizes = theirs.t5().config.to_dict() | changes
    model = made(hf.T5EncoderModel, hf.T5Config(**sizes), width=0.1)
    ours, real = load_transformers(model), mask.bool()
    assert isinstance(ours, Encoder) and ours.config.num_layers == 3
    assert count_parameters(ours) == model.num_parameters()
    torch.testing.assert_close(ours(IDS, mask)[real], model(IDS, mask).last_hidden_state[real], **CLOSE)


@torch.no_grad()
def test_a_pooler_that_the_head_does_not_read_is_left_out():
    """Older files have one under every head; the name of their class tells tags from classes then."""
    pooler = {"pooler.dense.weight": torch.ones(16, 16), "pooler.dense.bias": torch.ones(16)}
    for model, kind in (
        (theirs.bert_mlm(), MaskedLM),
        (theirs.bert_for("TokenClassification"), TokenClassifier),
        (theirs.bert_for("QuestionAnswering"), SpanExtractor),
        (roberta_for("SequenceClassification"), SequenceClassifier),
    ):
        family = model.config.model_type
        state = model.state_dict() | {f"{family}.{key}": tensor for key, tensor in pooler.items()}
        model.config.architectures = [type(model).__name__]
        ours, plain = load_transformers(state, model.config), load_transformers(model)
        assert type(ours) is type(plain) is kind and count_parameters(ours) == count_parameters(plain)
        for key, tensor in plain.state_dict().items():
            assert torch.equal(ours.state_dict()[key], tensor)


def test_other_heads_are_named():
    model = made(hf.BartForSequenceClassification, theirs.bart().config)
    with pytest.raises(ValueError, match="bart configuration: unexpected classification_head.dense.bias, "):
        load_transformers(model)
    model = decoder_for("SequenceClassification", "Llama")
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith("score")}
    with pytest.raises(ValueError, match="configuration: missing lm_head.weight$"):
        load_transformers(state, model.config)


@pytest.mark.parametrize("changes", [dict(hidden_act="relu"), dict(hidden_act="gelu_new")])
def test_a_roberta_head_with_another_activation_is_refused(changes):
    model = made(hf.RobertaForMaskedLM, hf.RobertaConfig(**SIZES | dict(max_position_embeddings=14) | changes))
    with pytest.raises(ValueError, match="a RoBERTa head with the activation .* is not supported: only gelu"):
        load_transformers(model)


def test_what_stands_on_top_is_told_from_the_keys_alone():
    config = load_transformers(theirs.bert_mlm()).encoder.config
    for family, keys, pooled in (
        ("bert", ["pooler.dense.weight"], True), ("roberta", ["classifier.dense.weight"], True),
        ("bert", ["classifier.weight"], False), ("roberta", ["lm_head.dense.weight"], False),
    ):  # fmt: skip
        found = as_found(config, family, {key: torch.zeros(1) for key in keys})
        assert found.pooler is pooled, (family, keys)
