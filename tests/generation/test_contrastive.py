"""Contrastive search against the blackboard: every candidate read anew, every likeness computed anew."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from lib.generation import contrastive_search, generate
from lib.models import Decoder
from tests.models.small import decoder, llama, shaken, some_ids

IDS = some_ids(batch=1, length=5)


@torch.no_grad()
def by_hand(model, ids, steps, top_k, alpha):
    for _ in range(steps):
        probabilities = model(ids)[0, -1].softmax(-1)
        best, scores = None, []
        for token in probabilities.topk(min(top_k, len(probabilities))).indices.tolist():
            text = torch.cat((ids, torch.tensor([[token]])), dim=1)
            hidden = model.hidden(text)[0]
            likeness = max(cosine_similarity(hidden[-1], before, dim=0).item() for before in hidden[:-1])
            scores.append(((1 - alpha) * probabilities[token].item() - alpha * likeness, text))
        best = max(scores, key=lambda pair: pair[0])[1]
        ids = best
    return ids


@pytest.mark.parametrize("make", [decoder, llama], ids=["gpt2", "llama"])
@pytest.mark.parametrize("top_k, alpha", [(4, 0.6), (2, 0.3), (100, 0.9), (1, 0.6)])
def test_equals_the_blackboard(make, top_k, alpha):
    model = shaken(Decoder(make(max_positions=64)), width=0.4)
    got = contrastive_search(model, IDS, 6, top_k=top_k, alpha=alpha)
    assert torch.equal(got, by_hand(model, IDS, 6, top_k, alpha))
    if top_k == 100:
        assert not torch.equal(got, generate(model, IDS, 6))


def test_without_penalty_it_is_greedy_and_it_ends():
    model = shaken(Decoder(decoder(max_positions=64)), width=0.6)
    greedy = generate(model, IDS, 10)
    assert torch.equal(contrastive_search(model, IDS, 10, alpha=0.0), greedy)
    eos_id = int(greedy[0, 8])
    assert torch.equal(
        contrastive_search(model, IDS, 10, alpha=0.0, eos_id=eos_id), generate(model, IDS, 10, eos_id=eos_id)
    )
    assert torch.equal(contrastive_search(model, IDS, 0), IDS)


def test_bad_input(unchecked):
    model = shaken(Decoder(decoder()))
    for name, wrong in (("top_k", 0), ("alpha", 1.5), ("alpha", -0.1), ("eos_id", -1)):
        with pytest.raises(ValueError, match=name):
            contrastive_search(model, IDS, 2, **{name: wrong})
    with pytest.raises(ValueError, match=r"input_ids must have shape \(1, T\)"):
        contrastive_search(model, IDS.expand(2, -1), 2)
    with pytest.raises(ValueError, match="context of 12"):
        contrastive_search(model, IDS, 20)
