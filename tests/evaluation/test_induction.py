"""Induction scores of a head that is one, and of heads that are none."""

import pytest
import torch

from lib.evaluation import induction_scores, repeated_tokens
from lib.models import Decoder
from tests.models.small import decoder, llama, shaken


class Known(Decoder):
    """Two heads whose attention is written down: one looks behind the same token, one evenly at the past."""

    def attention_maps(self, input_ids, attention_mask=None):
        batch, length = input_ids.shape
        maps = torch.zeros(batch, 2, length, length)
        for row in range(batch):
            for t in range(length):
                earlier = [s for s in range(t) if input_ids[row, s] == input_ids[row, t]]
                maps[row, 0, t, earlier[-1] + 1 if earlier else 0] = 1
                maps[row, 1, t, : t + 1] = 1 / (t + 1)
        return [maps]


def test_an_induction_head_has_one_and_an_even_head_little():
    model = Known(decoder(vocab_size=1000, max_positions=64))
    scores = induction_scores(model, 16, generator=torch.Generator().manual_seed(0))
    assert scores.shape == (1, 2) and scores[0, 0] > 0.97
    assert scores[0, 1].item() == pytest.approx(sum(1 / (t + 1) for t in range(16, 32)) / 16, rel=1e-4)


def test_random_models_have_none():
    scores = induction_scores(shaken(Decoder(llama(max_positions=64))), 16, generator=torch.Generator().manual_seed(0))
    assert scores.shape == (2, 4) and scores.max() < 0.2


def test_the_second_half_repeats_the_first(generator):
    ids = repeated_tokens(50, 7, 3, generator=generator)
    assert ids.shape == (3, 14) and torch.equal(ids[:, :7], ids[:, 7:]) and not torch.equal(ids[0], ids[1])


def test_bad_input(unchecked):
    model = Decoder(decoder())
    with pytest.raises(ValueError, match="length must be at least 2"):
        induction_scores(model, 1)
    with pytest.raises(ValueError, match="context of 12"):
        induction_scores(model, 7)
    with pytest.raises(ValueError, match="batch must be at least 1"):
        repeated_tokens(5, 2, 0)
