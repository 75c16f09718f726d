"""Heads: the shapes of slide C14, the numbers of transformers, and the token that is read off."""

import copy

import pytest
import torch
import transformers as hf

from lib.models import (
    Decoder,
    Encoder,
    MaskedLM,
    MLMHead,
    RewardModel,
    SequenceClassifier,
    SpanExtractor,
    TokenClassifier,
    count_parameters,
    first_real_token,
    last_real_token,
    load_transformers,
    preset,
)
from tests.models.small import LEFT, RIGHT, VOCABULARY, decoder, encoder, shaken, some_ids
from tests.models.theirs import bert_for, made

IDS = some_ids()
TYPES = torch.arange(8).expand(2, 8) // 4
CLOSE = dict(atol=1e-5, rtol=0)  # of logits of the order of 1


def with_weights(linear: torch.nn.Linear, theirs: torch.nn.Linear) -> None:
    linear.load_state_dict(theirs.state_dict())


def masked_lm_of(theirs) -> MaskedLM:
    """Our MaskedLM with the weights of a BertForMaskedLM."""
    backbone = load_transformers(theirs.bert)
    model = MaskedLM(backbone.config).eval()
    model.encoder.load_state_dict(backbone.state_dict())
    predictions = theirs.cls.predictions
    with_weights(model.head.dense, predictions.transform.dense)
    model.head.norm.load_state_dict(predictions.transform.LayerNorm.state_dict())
    model.head.bias.data.copy_(predictions.bias)
    return model


@pytest.mark.parametrize("mask", [torch.ones_like(RIGHT), RIGHT], ids=["full", "right"])
def test_masked_lm_equals_transformers(mask):
    theirs = bert_for("MaskedLM")
    expected = theirs(IDS, mask, token_type_ids=TYPES).logits
    got = masked_lm_of(theirs)(IDS, mask, TYPES)
    torch.testing.assert_close(got[mask.bool()], expected[mask.bool()], **CLOSE)


def test_gradients_of_the_tied_embedding_equal_transformers():
    theirs = bert_for("MaskedLM")
    ours = masked_lm_of(theirs)
    theirs(IDS).logits.logsumexp(-1).sum().backward()
    ours(IDS).logsumexp(-1).sum().backward()
    expected = theirs.bert.embeddings.word_embeddings.weight.grad
    torch.testing.assert_close(ours.encoder.tokens.weight.grad, expected, atol=1e-4, rtol=1e-4)


def test_heads_as_their_formulas_say(generator):
    hidden = torch.randn(2, 3, 16, generator=generator)
    models = {kind: shaken(MaskedLM(encoder(), kind)) for kind in ("bert", "tied", "slide")}
    table = models["tied"].encoder.tokens.weight
    expected = torch.stack([torch.stack([row @ word for word in table]) for row in hidden.view(-1, 16)])
    torch.testing.assert_close(models["tied"].head(hidden).view(-1, VOCABULARY), expected)
    slide = models["slide"].head
    inner = torch.sigmoid(hidden @ slide.dense.weight.T + slide.dense.bias)
    torch.testing.assert_close(slide(hidden), inner @ slide.decoder.weight.T)
    bert = models["bert"].head
    inner = torch.nn.functional.gelu(hidden @ bert.dense.weight.T + bert.dense.bias)
    inner = torch.nn.functional.layer_norm(inner, (16,), bert.norm.weight, bert.norm.bias, 1e-5)
    table = models["bert"].encoder.tokens.weight
    torch.testing.assert_close(bert(hidden), inner @ table.T + bert.bias)


def test_parameters_that_each_head_adds_to_bert_base():
    """A04 of the slides with the next-sentence head, 2 · 768 + 2, added; F07: the printed head adds 38 times
    as much."""
    added = {}
    for kind in ("bert", "tied", "slide"):
        with torch.device("meta"):
            model = MaskedLM(preset("bert-base"), kind)
        added[kind] = count_parameters(model) - count_parameters(model.encoder)
    assert added == {"bert": 768 * 768 + 3 * 768 + 30_522, "tied": 0, "slide": 768 * 768 + 768 + 30_522 * 768}
    assert 109_482_240 + added["bert"] + 2 * 768 + 2 == 110_106_428


def test_a_masked_lm_carries_no_pooler():
    with torch.device("meta"):
        model, theirs = MaskedLM(preset("bert-base")), hf.BertForMaskedLM(hf.BertConfig())
    assert model.encoder.pooler is None and not model.config.pooler and model.config == model.encoder.config
    assert count_parameters(model) == theirs.num_parameters() == 109_514_298
    body = shaken(Encoder(encoder(pooler=True)))
    model = MaskedLM(body.config)
    model.encoder.load_state_dict(body.state_dict())  # what the encoder of a whole BERT holds, without its pooler
    torch.testing.assert_close(model.eval().encoder(IDS), body(IDS))
    old = model.state_dict() | {"encoder.pooler.weight": torch.ones(16, 16), "encoder.pooler.bias": torch.ones(16)}
    MaskedLM(body.config).load_state_dict(old)
    with pytest.raises(RuntimeError, match="encoder.unknown"):
        MaskedLM(body.config).load_state_dict(old | {"encoder.unknown": torch.ones(1)})


def test_the_tied_matrix_is_saved_once_and_follows_the_encoder():
    model = MaskedLM(encoder())
    assert not [key for key in model.state_dict() if key.startswith("head") and "tokens" in key]
    assert len(model.state_dict()) == len(list(model.parameters()))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.encoder.tokens.weight.zero_()
    assert torch.equal(other(IDS), other.head.bias.expand(2, 8, VOCABULARY))
    assert not torch.equal(model(IDS), other(IDS))
    reloaded = MaskedLM(encoder())
    reloaded.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    assert torch.equal(reloaded(IDS), model(IDS))


def test_a_generator_decides_all_weights_of_a_masked_lm():
    one, two, other = (
        MaskedLM(encoder(), "slide", generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.head.decoder.weight, two.head.decoder.weight)
    assert not torch.equal(one.head.decoder.weight, other.head.decoder.weight)


def test_sequence_classifier_equals_transformers():
    theirs = bert_for("SequenceClassification", num_labels=3)
    ours = SequenceClassifier(load_transformers(theirs.bert), 3).eval()
    with_weights(ours.output, theirs.classifier)
    expected = theirs(IDS, RIGHT, token_type_ids=TYPES).logits
    torch.testing.assert_close(ours(IDS, RIGHT, TYPES), expected, **CLOSE)


def test_token_classifier_equals_transformers():
    theirs = bert_for("TokenClassification", num_labels=5)
    ours = TokenClassifier(load_transformers(theirs.bert), 5).eval()
    with_weights(ours.output, theirs.classifier)
    expected = theirs(IDS, RIGHT, token_type_ids=TYPES).logits
    torch.testing.assert_close(ours(IDS, RIGHT, TYPES)[RIGHT.bool()], expected[RIGHT.bool()], **CLOSE)


def test_span_extractor_equals_transformers_and_never_points_at_padding():
    theirs = bert_for("QuestionAnswering")
    ours = SpanExtractor(load_transformers(theirs.bert)).eval()
    with_weights(ours.output, theirs.qa_outputs)
    expected, got, real = theirs(IDS, RIGHT, token_type_ids=TYPES), ours(IDS, RIGHT, TYPES), RIGHT.bool()
    torch.testing.assert_close(got.start[real], expected.start_logits[real], **CLOSE)
    torch.testing.assert_close(got.end[real], expected.end_logits[real], **CLOSE)
    assert got.start.softmax(-1)[~real].sum() == 0 == got.end.softmax(-1)[~real].sum()


def test_gpt_classifier_equals_transformers():
    """It finds the last token by its padding id, we by the mask."""
    config = hf.GPT2Config(
        vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_inner=24, n_positions=12, num_labels=3, pad_token_id=0
    )
    theirs = made(hf.GPT2ForSequenceClassification, config)
    ours = SequenceClassifier(load_transformers(theirs.transformer), 3, pool="last").eval()
    with_weights(ours.output, theirs.score)
    padded = IDS.masked_fill(RIGHT == 0, 0)
    torch.testing.assert_close(ours(padded, RIGHT), theirs(padded, attention_mask=RIGHT).logits, **CLOSE)


def test_the_token_that_is_read_off_lies_where_two_loops_find_it(generator):
    masks = torch.rand(50, 6, generator=generator) < 0.5
    masks[masks.sum(1) == 0, 2] = True
    ids = torch.zeros(50, 6, dtype=torch.long)
    real = [[t for t in range(6) if row[t]] for row in masks]
    assert first_real_token(ids, masks).tolist() == [indices[0] for indices in real]
    assert last_real_token(ids, masks.long()).tolist() == [indices[-1] for indices in real]
    assert first_real_token(ids).tolist() == [0] * 50 and last_real_token(ids).tolist() == [5] * 50


@pytest.mark.parametrize(
    "make",
    [
        lambda: SequenceClassifier(Decoder(decoder()), 3, pool="last"),
        lambda: SequenceClassifier(Encoder(encoder(pooler=True)), 3),
        lambda: SequenceClassifier(Encoder(encoder()), 3),
        lambda: RewardModel(Decoder(decoder())),
    ],
    ids=["last", "first-pooler", "first", "reward"],
)
def test_padding_on_either_side_changes_nothing(make):
    model = shaken(make())
    alone = model(IDS[1:, :5])
    torch.testing.assert_close(model(IDS, RIGHT)[1:], alone, **CLOSE)
    left = IDS.clone()
    left[1] = IDS[1].roll(3)
    torch.testing.assert_close(model(left, LEFT_OF_ONE)[1:], alone, **CLOSE)


LEFT_OF_ONE = torch.stack([torch.ones(8, dtype=torch.long), LEFT[1]])


def test_the_last_token_sees_everything_and_the_first_only_itself():
    """Slide C22: why a decoder's classifier reads the last token."""
    model = shaken(Decoder(decoder()))
    changed_first, changed_last = IDS.clone(), IDS.clone()
    changed_first[:, 0] = (IDS[:, 0] + 1) % VOCABULARY
    changed_last[:, -1] = (IDS[:, -1] + 1) % VOCABULARY
    hidden = model.hidden(IDS)
    assert not torch.allclose(model.hidden(changed_first)[:, -1], hidden[:, -1])
    torch.testing.assert_close(model.hidden(changed_last)[:, 0], hidden[:, 0])


def test_only_the_head_of_a_reward_model_is_new():
    language_model = Decoder(decoder(tie_embeddings=False))
    before = copy.deepcopy(language_model.state_dict())
    model = RewardModel(language_model, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(model.backbone.state_dict()[key], value) for key, value in before.items())
    new = [name for name, _ in model.named_parameters() if not name.startswith("backbone.")]
    assert new == ["output.weight"] and model.output.weight.shape == (1, 16)
    assert model(IDS, RIGHT).shape == (2,)


def test_dropout_acts_in_training_only():
    model = SequenceClassifier(Encoder(encoder(dropout=0.5)), 2)
    assert not torch.equal(model(IDS), model(IDS))
    model.eval()
    assert torch.equal(model(IDS), model(IDS))


def test_bad_input(unchecked):
    with pytest.raises(ValueError, match="head must be 'bert', 'tied' or 'slide', got 'gpt'"):
        MaskedLM(encoder(), "gpt")
    with pytest.raises(ValueError, match="head must be 'bert', 'tied' or 'slide', got 'none'"):
        MLMHead(encoder(), torch.nn.Embedding(3, 16), "none")
    with pytest.raises(ValueError, match="must be 'encoder', got 'decoder'"):
        MaskedLM(decoder())
    with pytest.raises(ValueError, match="pool must be 'first' or 'last', got 'mean'"):
        SequenceClassifier(Encoder(encoder()), 2, pool="mean")
    for wrong, error in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"num_labels must be (at least 1|a whole number), got {wrong}"):
            TokenClassifier(Encoder(encoder()), wrong)
    with pytest.raises(TypeError, match="backbone must be an Encoder or a Decoder, got Linear"):
        SpanExtractor(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="decoder must be a Decoder, got Encoder"):
        RewardModel(Encoder(encoder()))
    with pytest.raises(ValueError, match="a decoder has no segments"):
        SequenceClassifier(Decoder(decoder()), 2, pool="last")(IDS, None, TYPES)
    with pytest.raises(ValueError, match="masks every token of row 0"):
        RewardModel(Decoder(decoder()))(IDS, torch.zeros_like(IDS))
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 39"):
        MaskedLM(encoder())(IDS + VOCABULARY)
