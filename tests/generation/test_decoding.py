"""Decoding against transformers' generate, against decoding without a cache, and against exact
probabilities."""

import pytest
import torch

from lib.generation import generate, warp
from lib.models import Decoder, Encoder, load_transformers
from tests.models import theirs as hf_models
from tests.models.small import VOCABULARY, decoder, encoder, llama, shaken, some_ids

IDS = some_ids(batch=3, length=5)
LEFT = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 1]])


def ours(config=None, seed=0) -> Decoder:
    """Wide enough noise that what it writes varies."""
    return shaken(Decoder(config or decoder(max_positions=64)), seed=seed, width=0.6)


def without_cache(model, ids, steps, mask=None):
    """Greedy decoding as on the blackboard: read everything again for each token."""
    for _ in range(steps):
        best = model(ids, mask)[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat((ids, best), dim=1)
        mask = None if mask is None else torch.cat((mask, torch.ones_like(best)), dim=1)
    return ids


@pytest.mark.parametrize("make", [decoder, llama], ids=["gpt2", "llama"])
@pytest.mark.parametrize("mask", [None, torch.ones_like(IDS), LEFT], ids=["none", "full", "left"])
def test_the_cache_changes_nothing(make, mask):
    model = ours(make(max_positions=64))
    got = generate(model, IDS, 20, attention_mask=mask)
    assert torch.equal(got, without_cache(model, IDS, 20, mask))
    assert got[:, 5:].unique().numel() > 3  # else nothing would be tested


@pytest.mark.parametrize(
    "make",
    [
        lambda: hf_models.gpt2(n_positions=64),
        lambda: hf_models.llama(max_position_embeddings=64),
    ],
    ids=["gpt2", "llama"],
)
@pytest.mark.parametrize("mask", [torch.ones_like(IDS), LEFT], ids=["full", "left"])
def test_greedy_equals_transformers(make, mask):
    theirs = shaken(make(), width=0.6)
    expected = theirs.generate(
        IDS, attention_mask=mask, max_new_tokens=24, do_sample=False, pad_token_id=0, eos_token_id=None
    )
    assert torch.equal(generate(load_transformers(theirs), IDS, 24, attention_mask=mask), expected)
    assert expected[:, 5:].unique().numel() > 3


def test_padding_changes_no_row():
    model = ours()
    together = generate(model, IDS, 12, attention_mask=LEFT)
    for row, length in enumerate(LEFT.sum(1).tolist()):
        alone = generate(model, IDS[row : row + 1, 5 - length :], 12)
        assert torch.equal(together[row, 5 - length :], alone[0])


@pytest.mark.parametrize("pad_id", [None, 0, 2])
def test_rows_end_each_at_their_end_of_sequence(pad_id):
    """Whichever token it is: a row that ended stays ended, though the model would go on."""
    model, waits = ours(decoder(max_positions=64, pad_id=pad_id)), []
    free = generate(model, IDS, 16)[:, 5:]
    for eos_id in free.unique().tolist():
        rows = [row[: row.index(eos_id) + 1] if eos_id in row else row for row in free.tolist()]
        longest = max(map(len, rows))
        expected = [row + [eos_id if pad_id is None else pad_id] * (longest - len(row)) for row in rows]
        assert generate(model, IDS, 16, eos_id=eos_id)[:, 5:].tolist() == expected
        waits.append(max(longest - len(row) for row in rows))
    assert max(waits) > 2


def test_writing_stops_when_all_rows_have_ended():
    model = ours()
    first = int(generate(model, IDS[:1], 1)[0, 5])
    assert generate(model, IDS[:1], 10, eos_id=first).shape == (1, 6)


def test_samples_follow_the_exact_probabilities():
    """Two tokens drawn 20,000 times: each of the V² pairs as often as the chain rule says."""
    vocabulary, draws = 5, 20_000
    model = ours(decoder(vocab_size=vocabulary))
    start = torch.tensor([[1]])
    settings = dict(temperature=0.8, top_k=4, top_p=0.95)
    with torch.no_grad():
        first = warp(model(start)[0, -1], **settings).softmax(-1)
        pairs = torch.stack((torch.ones(vocabulary, dtype=torch.long), torch.arange(vocabulary)), dim=1)
        second = warp(model(pairs)[:, -1], **settings).softmax(-1)
    exact = first[:, None] * second
    out = generate(model, start.expand(draws, 1), 2, generator=torch.Generator().manual_seed(3), **settings)
    counts = torch.bincount(out[:, 1] * vocabulary + out[:, 2], minlength=vocabulary**2).view(exact.shape)
    assert (exact == 0).any() and counts[exact == 0].sum() == 0
    deviation = (counts / draws - exact).abs() / (exact * (1 - exact) / draws).sqrt().clamp_min(1e-9)
    assert deviation[exact > 0].max() < 4.5


def test_the_generator_decides_what_is_sampled():
    model = ours()
    draw = lambda seed: generate(
        model,
        IDS,
        10,
        temperature=1.0,  # noqa: E731
        generator=torch.Generator().manual_seed(seed),
    )
    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))


def test_top_1_and_cold_sampling_are_greedy():
    model = ours()
    greedy = generate(model, IDS, 10)
    assert torch.equal(generate(model, IDS, 10, temperature=1.0, top_k=1), greedy)
    assert torch.equal(generate(model, IDS, 10, temperature=1.0, top_p=1e-6), greedy)
    assert torch.equal(generate(model, IDS, 10, temperature=1e-4), greedy)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_draws_no_token_of_probability_zero(dtype):
    """Of 49,152 tokens top_k=1 leaves one; drawn in float16, one draw in a thousand was another token."""
    model = ours(decoder(vocab_size=49_152, max_positions=8, num_layers=1)).to(dtype)
    ids = some_ids(batch=1, length=2).expand(300, 2)
    best = generate(model, ids[:1], 1)[0, -1]
    for options in ({"temperature": 1.0, "top_k": 1}, {"temperature": 1e-4}):
        drawn = generate(model, ids, 1, **options, generator=torch.Generator().manual_seed(0))
        assert (drawn[:, -1] == best).all()


def test_edges_of_the_length(generator):
    model = ours(decoder(max_positions=8))
    assert torch.equal(generate(model, IDS, 0), IDS)
    assert generate(model, IDS, 3).shape == (3, 8)
    assert generate(model, IDS[:1, :1], 1).shape == (1, 2)


def test_prompts_are_left_alone_and_results_can_be_learned_from():
    model, prompt = ours(), IDS.clone()
    out = generate(model, prompt, 4)
    assert torch.equal(prompt, IDS) and torch.equal(out[:, :5], IDS)
    model(out).sum().backward()
    assert model.tokens.weight.grad is not None


def test_bad_input(unchecked):
    model = ours(decoder())
    with pytest.raises(TypeError, match="model must be a Decoder"):
        generate(Encoder(encoder()), IDS, 2)
    for empty in (torch.zeros(0, 3, dtype=torch.long), torch.zeros(2, 0, dtype=torch.long), IDS[0]):
        with pytest.raises(ValueError, match=r"input_ids must (not be empty|have shape \(B, T\)), got"):
            generate(model, empty, 2)
    for error, wrong in ((ValueError, -1), (TypeError, 1.5), (TypeError, True)):
        with pytest.raises(error, match="max_new_tokens must be (at least 0|a whole number), got"):
            generate(model, IDS, wrong)
    with pytest.raises(ValueError, match="make 13, more than the context of 12"):
        generate(model, IDS, 8)
    with pytest.raises(ValueError, match=r"eos_id must lie in \[0, 39\], got 40"):
        generate(model, IDS, 2, eos_id=VOCABULARY)
    with pytest.raises(ValueError, match="attention_mask must have the shape of input_ids"):
        generate(model, IDS, 2, attention_mask=LEFT[:, 1:])
    with pytest.raises(ValueError, match="pad prompts on the left"):
        generate(model, IDS, 2, attention_mask=LEFT.flip(1))
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 39"):
        generate(model, IDS + VOCABULARY, 2)
    for name, wrong in (("temperature", -1), ("top_p", 0.0), ("top_p", 1.5), ("top_k", 0)):
        with pytest.raises(ValueError, match=name):
            generate(model, IDS, 2, **{name: wrong})


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_broken_logits_are_said(temperature, broken):
    model = ours()
    with torch.no_grad():
        model.stack.norm.bias[0] = broken
    with pytest.raises(ValueError, match="logits are not finite"):
        generate(model, IDS, 2, temperature=temperature)


@pytest.mark.parametrize("name, wrong", [("temperature", -1.0), ("top_p", 0.0), ("top_k", 0), ("eos_id", -1)])
def test_settings_are_refused_before_the_first_step(name, wrong):
    model = ours()
    model.register_forward_pre_hook(lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(ValueError, match=name):
        generate(model, IDS, 0, **{name: wrong})


def test_a_dropping_model_drops_and_ends_with_token_zero():
    """The mode is the caller's; and 0 is a token as any other."""
    model = ours(decoder(max_positions=64, dropout=0.5)).train()
    torch.manual_seed(0)
    first, second = generate(model, IDS, 10), generate(model, IDS, 10)
    assert model.training and not torch.equal(first, second)
    silent = ours()
    with torch.no_grad():
        silent.stack.norm.weight.zero_(), silent.stack.norm.bias.copy_(silent.tokens.weight[0] * 100)
    assert generate(silent, IDS, 5, eos_id=0)[:, 5:].tolist() == [[0]] * 3
    assert generate(silent, IDS, 5)[:, 5:].tolist() == [[0] * 5] * 3
