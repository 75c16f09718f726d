"""Beam search against transformers', token for token, and against all texts there are."""

import math
from functools import lru_cache

import pytest
import torch

from lib.generation import beam_search, enumerate_responses, generate
from lib.models import Decoder, Encoder, EncoderDecoder, load_transformers
from tests.models import theirs as hf_models
from tests.models.small import VOCABULARY, decoder, encoder, seq2seq, shaken, some_ids

IDS = some_ids(batch=3, length=5)
LEFT = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]])
RIGHT = LEFT.flip(1)
NONE = dict(
    forced_eos_token_id=None,
    forced_bos_token_id=None,
    bos_token_id=None,
    pad_token_id=None,
    decoder_start_token_id=None,
)


@lru_cache
def pair(name):
    """Models of both libraries with the same weights, wide enough noise that what they write varies."""
    make = {
        "gpt2": lambda: hf_models.gpt2(n_positions=64),
        "llama": lambda: hf_models.llama(max_position_embeddings=64),
        "t5": hf_models.t5,
        "bart": lambda: hf_models.bart(max_position_embeddings=64),
    }[name]
    theirs = shaken(make(), width=0.6 if name in ("gpt2", "llama", "bart") else 0.3)
    for key, nothing in NONE.items():
        setattr(theirs.generation_config, key, nothing)
    return theirs, load_transformers(theirs)


def both(name, mask, steps=10, eos_id=None, start=None, **settings):
    """(theirs, ours): new tokens of all beams up to their ends, and scores."""
    theirs, ours = pair(name)
    seq2seq_model = name in ("t5", "bart")
    begin = dict(decoder_start_token_id=2) if seq2seq_model else {}
    asked = dict(settings)
    if "no_repeat_ngram" in asked:
        asked["no_repeat_ngram_size"] = asked.pop("no_repeat_ngram")
    expected = theirs.generate(
        IDS, attention_mask=mask, max_new_tokens=steps, do_sample=False, eos_token_id=eos_id, pad_token_id=0,
        num_return_sequences=settings["num_beams"], return_dict_in_generate=True, output_scores=True, **begin, **asked,
    )  # fmt: skip
    got = beam_search(
        ours, IDS, steps, attention_mask=mask, eos_id=eos_id, start_id=2 if seq2seq_model else None, **settings
    )
    given = 1 if seq2seq_model else IDS.shape[1]
    cut = lambda row: row[: row.index(eos_id) + 1] if eos_id in row else row  # noqa: E731
    theirs_rows = [cut(row) for row in expected.sequences[:, given:].tolist()]
    ours_rows = [
        row[:length]
        for row, length in zip(got.ids[:, :, given:].flatten(0, 1).tolist(), got.lengths.flatten().tolist())
    ]
    return theirs_rows, expected.sequences_scores, ours_rows, got.scores.flatten()


SETTINGS = [(early, penalty) for early in (False, True, "never") for penalty in (0.5, 1.0, 2.0)]
CASES = [("gpt2", *settings) for settings in [*SETTINGS, (False, 0.0), ("never", -1.0), (True, -1.0)]] + [
    (name, *settings)
    for number, name in enumerate(("llama", "t5", "bart"))
    for settings in SETTINGS[number::3] + SETTINGS[:2]
]  # GPT-2 with all, the others each with five of nine that together are all


@pytest.mark.parametrize("name, early_stopping, length_penalty", CASES)
def test_beams_equal_transformers(name, early_stopping, length_penalty):
    mask = LEFT if name in ("gpt2", "llama") else RIGHT
    for eos_id in (7, 31):
        theirs, their_scores, ours, scores = both(
            name, mask, eos_id=eos_id, num_beams=4, length_penalty=length_penalty, early_stopping=early_stopping
        )
        assert ours == theirs
        torch.testing.assert_close(scores, their_scores, atol=1e-4, rtol=1e-4)


def test_ends_come_in_the_middle_and_at_different_places():
    """Else the test above would compare nothing but cut-off texts."""
    models = {name: pair(name)[1] for name in ("gpt2", "t5", "bart")}
    lengths = set()
    for name, model in models.items():
        masked = dict(attention_mask=LEFT) if name == "gpt2" else dict(attention_mask=RIGHT, start_id=2)
        for eos_id in (7, 23, 31):
            lengths |= set(beam_search(model, IDS, 10, num_beams=4, eos_id=eos_id, **masked).lengths.flatten().tolist())
    assert 10 in lengths and len(lengths) >= 4


@pytest.mark.parametrize("settings", [{"repetition_penalty": 1.5}, {"no_repeat_ngram": 2}], ids=str)
@pytest.mark.parametrize("name", ["gpt2", "bart"])
def test_penalised_beams_equal_transformers(name, settings):
    theirs, _, ours, _ = both(name, torch.ones_like(IDS), eos_id=7, num_beams=3, **settings)
    assert ours == theirs
    assert ours != both(name, torch.ones_like(IDS), eos_id=7, num_beams=3)[2]


@pytest.mark.parametrize("num_beams", [2, 7, 19])
def test_wide_beams_equal_transformers(num_beams):
    theirs, _, ours, _ = both("gpt2", LEFT, steps=6, eos_id=7, num_beams=num_beams)
    assert ours == theirs


@pytest.mark.parametrize("mask", [None, LEFT], ids=["full", "left"])
def test_one_beam_is_greedy(mask):
    model = shaken(Decoder(decoder(max_positions=64)), width=0.6)
    for eos_id in (None, *range(0, VOCABULARY, 6)):
        greedy = generate(model, IDS, 12, attention_mask=mask, eos_id=eos_id)
        assert torch.equal(
            beam_search(model, IDS, 12, num_beams=1, attention_mask=mask, eos_id=eos_id).ids[:, 0], greedy
        )


@pytest.mark.parametrize("length_penalty", [0.0, 0.5, 1.0, 2.0])
def test_a_beam_as_wide_as_the_world_finds_the_best_text(length_penalty):
    """Against exhaustive search. A beam that may stop early need not: here it never does."""
    eos_id, longest, beams = 2, 4, 40
    for seed in range(3):
        model = shaken(Decoder(decoder(vocab_size=3)), seed=seed, width=0.7)
        world = enumerate_responses(model, torch.tensor([0, 1]), longest, eos_id=eos_id)
        lengths = (world.response_mask).sum(1)
        scores, order = (world.log_probs.detach() / lengths**length_penalty).sort(descending=True, stable=True)
        got = beam_search(
            model, torch.tensor([[0, 1]]), longest, num_beams=beams, length_penalty=length_penalty, eos_id=eos_id,
            early_stopping="never",
        )  # fmt: skip
        found = got.scores[0].isfinite().sum()
        assert found == min(beams, len(order)) == len(order)
        torch.testing.assert_close(got.scores[0, :found], scores[:found], atol=1e-5, rtol=1e-5)
        best = got.ids[0, 0, 2 : 2 + got.lengths[0, 0]]
        assert best.tolist() == world.input_ids[order[0], 2 : 2 + lengths[order[0]]].tolist()
        assert got.lengths[0, found:].sum() == 0


def test_the_best_of_a_wider_beam_need_not_be_greedy():
    """Two steps by hand: 0 leads after one step, but both of its continuations are unlikely."""
    first, after = torch.tensor([0.5, 0.4, 0.1]), torch.tensor([[0.4, 0.3, 0.3], [0.05, 0.9, 0.05], [0.4, 0.3, 0.3]])
    model = _bigrams(first, after)
    prompt = torch.tensor([[2]])
    one, two = (beam_search(model, prompt, 2, num_beams=n) for n in (1, 2))
    assert one.ids[0, 0].tolist() == [2, 0, 0] and two.ids[0, 0].tolist() == [2, 1, 1]
    assert math.exp(2 * one.scores[0, 0]) == pytest.approx(0.2, abs=1e-4)
    assert math.exp(2 * two.scores[0, 0]) == pytest.approx(0.36, abs=1e-4)


class _Bigrams(Decoder):
    """A decoder whose logits are a table's row: what follows depends on the last token alone."""

    def __init__(self, table):
        super().__init__(decoder(vocab_size=len(table), max_positions=32))
        self.table = table

    def hidden(self, input_ids, attention_mask=None, cache=None, **_):
        if cache is not None:
            super().hidden(input_ids, attention_mask, cache)
        return torch.nn.functional.one_hot(input_ids, len(self.table)).float()

    def logits(self, hidden):
        return hidden @ self.table


def _bigrams(first, after):
    table = after.clone()
    table[2] = first
    return _Bigrams(table.log().clamp_min(-50))


def test_ties_go_to_the_lower_token_as_in_transformers():
    theirs, ours = pair.__wrapped__("gpt2")
    for model, weight in ((theirs, theirs.transformer.wte.weight), (ours, ours.tokens.weight)):
        with torch.no_grad():
            weight[20:] = weight[:20]  # every token has a twin
    expected = theirs.generate(IDS, max_new_tokens=6, num_beams=2, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert torch.equal(beam_search(ours, IDS, 6, num_beams=2).ids[:, 0], expected)
    greedy = theirs.generate(IDS, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert torch.equal(generate(ours, IDS, 6), greedy) and (greedy[:, 5:] < 20).all()


def test_padding_changes_no_beam():
    model = shaken(Decoder(decoder(max_positions=64)), width=0.6)
    together = beam_search(model, IDS, 8, num_beams=3, attention_mask=LEFT, eos_id=7)
    for row, length in enumerate(LEFT.sum(1).tolist()):
        alone = beam_search(model, IDS[row : row + 1, 5 - length :], 8, num_beams=3, eos_id=7)
        torch.testing.assert_close(together.scores[row], alone.scores[0])
        assert torch.equal(together.lengths[row], alone.lengths[0])


def test_a_source_on_either_side_padded_is_the_same_source():
    model = shaken(EncoderDecoder(seq2seq()), width=0.4)
    source = IDS[:1, :3]
    pad = torch.zeros(1, 2, dtype=torch.long)
    alone = beam_search(model, source, 6, num_beams=3, eos_id=7, start_id=0)
    for ids, mask in (((source, pad), [1, 1, 1, 0, 0]), ((pad, source), [0, 0, 1, 1, 1])):
        got = beam_search(
            model, torch.cat(ids, 1), 6, num_beams=3, eos_id=7, start_id=0, attention_mask=torch.tensor([mask])
        )
        assert torch.equal(got.ids, alone.ids)


def test_bad_input(unchecked):
    model = shaken(Decoder(decoder()))
    for name, wrong, error in (
        ("num_beams", 0, ValueError),
        ("num_beams", 2.0, TypeError),
        ("length_penalty", math.nan, ValueError),
        ("early_stopping", "soon", ValueError),
        ("repetition_penalty", 0, ValueError),
        ("no_repeat_ngram", 0, ValueError),
        ("eos_id", VOCABULARY, ValueError),
        ("start_id", 0, ValueError),
    ):
        with pytest.raises(error, match=name):
            beam_search(model, IDS, 2, **dict(num_beams=2) | {name: wrong})
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1, got 0"):
        beam_search(model, IDS, 0, num_beams=2)
    with pytest.raises(ValueError, match="make 13, more than the context of 12"):
        beam_search(model, IDS, 8, num_beams=2)
    with pytest.raises(ValueError, match="pad prompts on the left"):
        beam_search(model, IDS, 2, num_beams=2, attention_mask=RIGHT)
    with pytest.raises(ValueError, match="start_id is missing"):
        beam_search(shaken(EncoderDecoder(seq2seq())), IDS, 2, num_beams=2)
    with pytest.raises(TypeError, match="model must be a Decoder"):
        beam_search(Encoder(encoder()), IDS, 2, num_beams=2)
    with torch.no_grad():
        model.stack.norm.bias[0] = math.nan
    with pytest.raises(ValueError, match="logits are not finite"):
        beam_search(model, IDS, 2, num_beams=2)
