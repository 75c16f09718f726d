"""Speculative decoding: greedy gives the greedy text, sampling exactly the model's distribution, whatever the draft."""

from itertools import product

import pytest
import torch

from lib.generation import ModelDraft, NGramDraft, generate, speculative_generate, warp
from lib.generation.speculative import _verified
from lib.models import Decoder, Encoder
from tests.models.small import decoder, encoder, shaken, some_ids

IDS = some_ids(batch=1, length=6)


def ours(seed=0, **changes):
    return shaken(Decoder(decoder(**dict(max_positions=64) | changes)), seed=seed, width=0.6)


def nonsense(ids, number, generator):
    return [(ids[-1] + 1 + i) % 40 for i in range(number)], None


def perfect(model):
    def draft(ids, number, generator):
        return generate(model, torch.tensor([ids]), number)[0, len(ids) :].tolist(), None

    return draft


def drafts(model):
    return {
        "n-gram": NGramDraft(3),
        "unigram": NGramDraft(1),
        "nonsense": nonsense,
        "silent": lambda ids, number, generator: ([], None),
        "perfect": perfect(model),
        "other model": ModelDraft(ours(seed=1), temperature=0.0),
        "itself": ModelDraft(model, temperature=0.0),
    }


@pytest.mark.parametrize("name", list(drafts(ours())))
@pytest.mark.parametrize("num_draft", [1, 3, 8])
def test_greedy_text_is_the_same_with_every_draft(name, num_draft):
    model = ours()
    for eos_id in (None, *generate(model, IDS, 20)[0, 6:].unique().tolist()[::4]):
        draft = drafts(model)[name]
        expected = generate(model, IDS, 20, eos_id=eos_id)
        got = speculative_generate(model, IDS, 20, draft, num_draft=num_draft, eos_id=eos_id)
        assert torch.equal(got.ids, expected)
        assert got.accepted <= got.proposed and got.passes <= 20


def test_a_perfect_draft_saves_passes_and_a_silent_one_none():
    model = ours()
    counts = {name: speculative_generate(model, IDS, 20, draft, num_draft=4) for name, draft in drafts(model).items()}
    assert counts["perfect"].passes == counts["itself"].passes == 4  # 5 tokens with each pass
    assert counts["perfect"].accepted == counts["perfect"].proposed == 16
    assert counts["silent"].passes == 20 and counts["silent"].proposed == 0


@pytest.mark.parametrize("certain", [True, False])
def test_the_rule_gives_the_models_distribution(certain):
    """The first token of 5,000 verdicts on two guesses, and the second where the first was accepted."""
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
    q = torch.tensor([[0.2, 0.7, 0.1], [0.6, 0.2, 0.2]])
    random, draws = torch.Generator().manual_seed(2), 5_000
    first, second = torch.zeros(3), torch.zeros(3)
    for _ in range(draws):
        guesses = [1, 0] if certain else torch.multinomial(q, 1, generator=random)[:, 0].tolist()
        kept = _verified(guesses, p, None if certain else q, random)
        first[kept[0]] += 1
        if len(kept) > 1:
            second[kept[1]] += 1
    for counts, row in ((first, p[0]), (second, p[1])):
        assert counts.sum() > 1000
        assert ((counts - counts.sum() * row).square() / (counts.sum() * row)).sum() < 13.8  # 1 in 1,000, 2 degrees


@pytest.mark.parametrize("name", ["n-gram", pytest.param("model", marks=pytest.mark.nightly)])
def test_texts_follow_the_chain_rule(name):
    """Two tokens drawn 250 times against the exact probabilities."""
    vocabulary, draws = 3, 250
    sizes = dict(vocab_size=vocabulary, d_model=8, num_layers=1, num_heads=2)
    model = ours(**sizes)
    draft = {"n-gram": NGramDraft(2), "model": ModelDraft(ours(seed=3, **sizes), temperature=1.0)}[name]
    prompt = torch.tensor([[0, 1, 0]])
    exact = {}
    for text in product(range(vocabulary), repeat=2):
        with torch.no_grad():
            logits = model(torch.cat((prompt, torch.tensor([text])), dim=1))[0, 2:-1]
        log_probs = warp(logits, temperature=0.8).log_softmax(-1)
        exact[text] = log_probs[torch.arange(2), torch.tensor(text)].sum().exp().item()
    random, counts = torch.Generator().manual_seed(5), dict.fromkeys(exact, 0)
    for _ in range(draws):
        got = speculative_generate(model, prompt, 2, draft, num_draft=2, temperature=0.8, generator=random)
        counts[tuple(got.ids[0, 3:].tolist())] += 1
    chi = sum((counts[text] - draws * p) ** 2 / (draws * p) for text, p in exact.items())
    assert chi < 26.1  # 8 degrees of freedom: exceeded once in a thousand times


def test_the_latest_earlier_place_is_looked_up():
    draft = NGramDraft(3)
    assert draft([1, 2, 3, 9, 1, 2, 3, 8, 1, 2, 3], 2, None)[0] == [8, 1]
    assert draft([4, 7, 1, 7], 5, None)[0] == [1, 7]  # by the last token alone
    assert draft([1, 2, 3], 4, None)[0] == draft([1], 4, None)[0] == []
    assert draft([5, 5], 3, None)[0] == [5]
    assert draft([1, 2, 1], 0, None)[0] == []


def test_a_draft_model_may_be_used_for_several_texts():
    model, draft = ours(), ModelDraft(ours(seed=1), temperature=0.0)
    for ids in (IDS, IDS[:, :3], IDS.flip(1)):
        assert torch.equal(speculative_generate(model, ids, 8, draft).ids, generate(model, ids, 8))


def test_bad_input(unchecked):
    model = ours()
    with pytest.raises(ValueError, match=r"input_ids must have shape \(1, T\)"):
        speculative_generate(model, IDS.expand(2, -1), 4, NGramDraft())
    for name, wrong in (("num_draft", 0), ("temperature", -1.0), ("eos_id", 99)):
        with pytest.raises(ValueError, match=name):
            speculative_generate(model, IDS, 4, NGramDraft(), **{name: wrong})
    with pytest.raises(ValueError, match="longest must be at least 1"):
        NGramDraft(0)
    with pytest.raises(ValueError, match="temperature"):
        ModelDraft(model, temperature=-1.0)
    with pytest.raises(ValueError, match=r"draft must give probabilities of shape \(3, 40\)"):
        speculative_generate(model, IDS, 4, ModelDraft(ours(vocab_size=41)), num_draft=4)
    with pytest.raises(TypeError, match="model must be a Decoder"):
        speculative_generate(Encoder(encoder()), IDS, 4, NGramDraft())
    with pytest.raises(ValueError, match="more than the context of 64"):
        speculative_generate(model, IDS, 60, NGramDraft())
