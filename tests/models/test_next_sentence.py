"""BERT with both heads of its pre-training computes what theirs does."""

import pytest
import torch
import transformers

from lib.models import MaskedLM, PreTrainingModel, count_parameters, load_transformers, preset
from tests.models import small
from tests.models.theirs import bert_for

IDS, TYPES = small.some_ids(), torch.arange(8).expand(2, 8) // 4


def test_logits_and_gradients_are_those_of_transformers():
    theirs = bert_for("PreTraining")
    ours = load_transformers(theirs)
    assert isinstance(ours, PreTrainingModel) and count_parameters(ours) == theirs.num_parameters()
    expected, got = theirs(IDS, small.RIGHT, token_type_ids=TYPES), ours(IDS, small.RIGHT, TYPES)
    real = small.RIGHT.bool()
    torch.testing.assert_close(got.words[real], expected.prediction_logits[real], atol=1e-5, rtol=0)
    torch.testing.assert_close(got.next_sentence, expected.seq_relationship_logits, atol=1e-5, rtol=0)
    assert expected.seq_relationship_logits.abs().max() > 0.2
    for logits in (got.next_sentence, expected.seq_relationship_logits):
        logits[:, 0].sum().backward()
    grad = theirs.bert.pooler.dense.weight.grad
    assert grad.abs().max() > 0.01
    torch.testing.assert_close(ours.encoder.pooler.weight.grad, grad, atol=1e-5, rtol=0)


def test_it_has_the_parameters_of_the_released_file():
    with torch.device("meta"):
        ours = PreTrainingModel(preset("bert-base"))
        theirs = transformers.BertForPreTraining(transformers.BertConfig())
        masked = MaskedLM(preset("bert-base"))
    assert count_parameters(ours) == theirs.num_parameters() == 110_106_428
    assert count_parameters(ours) - count_parameters(masked) == 768 * 768 + 768 + 2 * 768 + 2  # pooler and head


def test_a_pooler_is_made_whatever_the_configuration_says():
    assert PreTrainingModel(small.encoder(pooler=False)).encoder.pooler is not None


def test_a_decoder_is_refused():
    with pytest.raises(ValueError, match="config.architecture must be 'encoder', got 'decoder'"):
        PreTrainingModel(small.decoder())
