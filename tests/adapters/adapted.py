"""Models with an adapter that does something, for the tests of this folder."""

import torch

from lib.adapters import LoraSettings, inject_lora, lora_parameters
from lib.models import Decoder, Encoder, EncoderDecoder
from tests.models import small

IDS = small.some_ids()


def fixed():
    """The same base at every call."""
    return torch.Generator().manual_seed(0)


def decoder(**changes):
    """A GPT-2 of two layers, in eval()."""
    return small.shaken(Decoder(small.decoder(**changes), generator=fixed()))


def llama(**changes):
    """A Llama of two layers, in eval()."""
    return small.shaken(Decoder(small.llama(**changes), generator=fixed()))


def encoder():
    """A BERT of two layers, in eval()."""
    return small.shaken(Encoder(small.encoder(), generator=fixed()))


def seq2seq():
    """A gated T5 with three encoder and two decoder layers, in eval()."""
    return small.shaken(EncoderDecoder(small.seq2seq(gated=True), generator=fixed()))


def noisy(model, name="default", seed=0):
    """Numbers in A and B, as if the adapter had been trained."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for factor in lora_parameters(model, name).values():
            factor.copy_(0.3 * torch.randn(factor.shape, generator=noise))
    return model


def adapted(model=None, name="default", seed=0, **settings):
    """A model with a trained-looking adapter on it."""
    model = llama() if model is None else model
    inject_lora(model, LoraSettings(**{"rank": 2, "alpha": 3.0} | settings), name=name)
    return noisy(model, name, seed)


def state(model):
    """A copy of all its numbers."""
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(one, other):
    """Whether two state dicts have the same names and the same bits."""
    return list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)
