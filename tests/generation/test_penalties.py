"""Penalties against transformers', by hand, and in generate."""

import pytest
import torch
from transformers import MinPLogitsWarper, NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

from lib.generation import forbid_repeated_ngrams, generate, keep_min_p, penalise_counts, penalise_repetition
from lib.models import Decoder, EncoderDecoder, load_transformers
from tests.models import theirs as hf_models
from tests.models.small import decoder, seq2seq, shaken, some_ids

IDS = some_ids(batch=3, length=5)


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 10.0])
def test_repetition_penalty_equals_transformers(penalty, generator):
    logits = torch.randn(4, 9, generator=generator)
    ids = torch.randint(9, (4, 6), generator=generator)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits.clone())
    torch.testing.assert_close(penalise_repetition(logits, ids, penalty), expected)


def test_only_what_counts_is_penalised(generator):
    logits, ids = torch.randn(2, 9, generator=generator), torch.tensor([[1, 2, 3], [4, 4, 5]])
    counts = torch.tensor([[0, 1, 1], [0, 0, 0]])
    got = penalise_repetition(logits, ids, 2.0, counts)
    changed = (got != logits).nonzero().tolist()
    assert changed == [[0, 2], [0, 3]]
    assert (got <= logits).all()


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
def test_forbidden_ngrams_equal_transformers(n, generator):
    logits = torch.randn(20, 3, generator=generator)
    ids = torch.randint(3, (20, 6), generator=generator)
    expected = NoRepeatNGramLogitsProcessor(n)(ids, logits.clone())
    assert torch.equal(forbid_repeated_ngrams(logits, ids, n), expected)
    assert n > 3 or expected.isinf().any()


@pytest.mark.parametrize("p", [0.0, 0.05, 0.3, 1.0])
def test_min_p_equals_transformers(p, generator):
    logits = 2 * torch.randn(50, 30, generator=generator)
    assert torch.equal(keep_min_p(logits, p), MinPLogitsWarper(p)(None, logits))


def test_min_p_at_a_tie_keeps_all_that_tie():
    assert keep_min_p(torch.tensor([2.0, 2.0, 1.0]), 1.0).tolist() == [2.0, 2.0, -torch.inf]
    assert keep_min_p(torch.tensor([0.5, 0.25, 0.25]).log(), 0.5).isfinite().all()


def test_counting_penalties_by_hand():
    logits = torch.zeros(2, 4)
    got = penalise_counts(logits, torch.tensor([[0, 0, 0], [3, 1, 3]]), frequency=0.5, presence=2.0)
    assert got.tolist() == [[-3.5, 0, 0, 0], [0, -2.5, 0, -3.0]]
    assert torch.equal(penalise_counts(logits, torch.tensor([[0], [1]])), logits)


@pytest.mark.parametrize(
    "settings", [{"repetition_penalty": 1.4}, {"no_repeat_ngram": 2}, {"no_repeat_ngram": 1}], ids=str
)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_penalised_greedy_equals_transformers(name, settings):
    make = {
        "gpt2": lambda: hf_models.gpt2(n_positions=64),
        "llama": lambda: hf_models.llama(max_position_embeddings=64),
    }
    theirs = shaken(make[name](), width=0.6)
    named = {{"no_repeat_ngram": "no_repeat_ngram_size"}.get(key, key): value for key, value in settings.items()}
    expected = theirs.generate(IDS, max_new_tokens=20, do_sample=False, pad_token_id=0, eos_token_id=None, **named)
    ours = load_transformers(theirs)
    assert torch.equal(generate(ours, IDS, 20, **settings), expected)
    assert not torch.equal(generate(ours, IDS, 20), expected)


@pytest.mark.parametrize("name", ["t5", "bart"])
@pytest.mark.parametrize("settings", [{}, {"repetition_penalty": 1.4}, {"no_repeat_ngram": 2}], ids=str)
def test_encoder_decoder_greedy_equals_transformers(name, settings):
    theirs = shaken({"t5": hf_models.t5, "bart": lambda: hf_models.bart(max_position_embeddings=64)}[name](), width=0.3)
    theirs.generation_config.forced_eos_token_id = None
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    named = {{"no_repeat_ngram": "no_repeat_ngram_size"}.get(key, key): value for key, value in settings.items()}
    ours = load_transformers(theirs)
    for eos_id in (None, 3, 11, 30):
        expected = theirs.generate(
            IDS, attention_mask=mask, max_new_tokens=15, do_sample=False, pad_token_id=ours.config.pad_id or 0,
            eos_token_id=eos_id, decoder_start_token_id=2, **named,
        )  # fmt: skip
        got = generate(ours, IDS, 15, attention_mask=mask, start_id=2, eos_id=eos_id, **settings)
        cut = lambda row: row[: row.index(eos_id, 1) + 1] if eos_id in row[1:] else row  # noqa: E731
        assert [cut(row) for row in got.tolist()] == [cut(row) for row in expected.tolist()]


def test_the_prompt_counts_unless_told_otherwise():
    model = shaken(Decoder(decoder(max_positions=64)), width=0.6)
    plain = generate(model, IDS, 1)
    prompt_only = generate(model, IDS, 1, repetition_penalty=1e6, penalise_prompt=False)
    assert torch.equal(plain, prompt_only)  # nothing was written yet
    with_prompt = generate(model, IDS, 8, repetition_penalty=1e6)
    without = generate(model, IDS, 8, repetition_penalty=1e6, penalise_prompt=False)
    assert not torch.equal(with_prompt, without)


def test_padding_is_never_penalised():
    model = shaken(Decoder(decoder(max_positions=64)), width=0.6)
    left = torch.tensor([[0, 0, 1, 1, 1]])
    for pad in range(0, 40, 5):
        padded = IDS[:1].clone()
        padded[:, :2] = pad
        got = generate(model, padded, 8, attention_mask=left, repetition_penalty=1.5)
        assert torch.equal(got[:, 5:], generate(model, IDS[:1, 2:], 8, repetition_penalty=1.5)[:, 3:])


def test_sampling_from_an_encoder_decoder_repeats_with_its_generator():
    model = shaken(EncoderDecoder(seq2seq()), width=0.4)
    draw = lambda seed: generate(  # noqa: E731
        model, IDS, 8, start_id=0, temperature=1.0, min_p=0.05, generator=torch.Generator().manual_seed(seed)
    )
    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))


def test_bad_input(unchecked):
    logits, ids = torch.zeros(1, 4), torch.tensor([[1, 2]])
    for wrong in (0.0, -1.0, torch.inf):
        with pytest.raises(ValueError, match="repetition_penalty must be a finite number above 0"):
            penalise_repetition(logits, ids, wrong)
    with pytest.raises(ValueError, match="no_repeat_ngram must be at least 1, got 0"):
        forbid_repeated_ngrams(logits, ids, 0)
    for name in ("frequency", "presence"):
        with pytest.raises(ValueError, match=name):
            penalise_counts(logits, ids, **{name: torch.nan})
    with pytest.raises(ValueError, match=r"ids must have shape \(1, S\)"):
        penalise_repetition(logits, torch.tensor([[1], [2]]), 2.0)
    with pytest.raises(ValueError, match="ids must be ids from 0 to 3, got 4"):
        penalise_repetition(logits, torch.tensor([[4]]), 2.0)
    with pytest.raises(ValueError, match=r"min_p must lie in \[0, 1\], got 1.5"):
        keep_min_p(logits, 1.5)
    model = shaken(Decoder(decoder(vocab_size=4)))
    with pytest.raises(ValueError, match="no token is left"):
        generate(model, torch.tensor([[0, 1, 2, 3]]), 1, no_repeat_ngram=1)
    for name, wrong in (("min_p", -0.1), ("repetition_penalty", 0), ("no_repeat_ngram", 0), ("start_id", 1)):
        with pytest.raises(ValueError, match=name):
            generate(model, ids, 1, **{name: wrong})
