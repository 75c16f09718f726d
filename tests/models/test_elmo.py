"""ELMo: PyTorch's LSTM as the oracle, derivatives for what is seen, noise for the leak."""

import math

import pytest
import torch

from lib.evaluation import receptive_field
from lib.models import BidirectionalLM, ScalarMix, StackedBidirectionalLM
from lib.models.elmo import around, sees_itself
from lib.training import FitSettings, fit

IDS = torch.tensor([[1, 4, 2, 0, 3], [2, 2, 1, 4, 0]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def test_states_are_those_of_one_lstm_of_pytorch_for_each_direction():
    model = BidirectionalLM(5, 4, num_layers=2, generator=seeded())
    states = model(IDS)
    for layers, half, flip in ((model.forwards, slice(0, 4), False), (model.backwards, slice(4, 8), True)):
        theirs = torch.nn.LSTM(4, 4, num_layers=2, batch_first=True)
        parts = {f"{n[:-1]}{i}": p for i, layer in enumerate(layers) for n, p in layer.named_parameters()}
        theirs.load_state_dict(parts)
        x = model.tokens[IDS]
        expected = theirs(x.flip(1))[0].flip(1) if flip else theirs(x)[0]
        torch.testing.assert_close(states[2][..., half], expected)
    assert torch.equal(states[0], torch.cat([model.tokens[IDS]] * 2, dim=-1))


@torch.no_grad()
def test_the_loss_is_the_mean_of_both_directions():
    model = BidirectionalLM(5, 4, generator=seeded())
    model.output.normal_(generator=seeded())
    ahead, back = (half @ model.output.T for half in model(IDS)[-1].chunk(2, dim=-1))
    ahead, back = ahead.log_softmax(-1), back.log_softmax(-1)
    terms = [-ahead[b, t, IDS[b, t + 1]] - back[b, t + 1, IDS[b, t]] for b in range(2) for t in range(4)]
    torch.testing.assert_close(model.loss(IDS), sum(terms) / 16)


def fields():
    x = torch.randn(5, 4, generator=seeded()).double()
    model = BidirectionalLM(5, 4, generator=seeded()).double()
    stacked = {n: StackedBidirectionalLM(5, 4, n, generator=seeded()).double() for n in (1, 2)}
    yield "separate", receptive_field(lambda x: around(*model.states(x[None])[-1].chunk(2, dim=-1))[0], x)
    for n, other in stacked.items():
        yield f"stacked {n}", receptive_field(lambda x, other=other: other.around(x[None])[0], x)


def test_what_a_word_is_predicted_from():
    found = dict(fields())
    others = ~torch.eye(5, dtype=torch.bool)
    assert torch.equal(found["separate"], others) and torch.equal(found["stacked 1"], others)
    assert found["stacked 2"].all()
    assert [sees_itself(field) for field in found.values()] == [False, False, True]


@pytest.mark.parametrize("model, leaks", [(BidirectionalLM, False), (StackedBidirectionalLM, True)])
def test_only_a_leak_falls_below_the_entropy_of_noise(model, leaks):
    net = model(6, 12, generator=seeded())
    loss = fit(net, lambda m, ids: m.loss(ids), lambda g: torch.randint(6, (24, 6), generator=g),
               FitSettings(steps=160, learning_rate=0.03, weight_decay=0.0), show_progress=False).loss  # fmt: skip
    last = sum(loss[-10:]) / 10
    assert last < 0.7 * math.log(6) if leaks else last > 0.97 * math.log(6)


def test_the_mixture_is_the_formula_and_learns():
    mix = ScalarMix(3).double()
    states = torch.randn(3, 2, 4, 5, generator=seeded()).double()
    torch.testing.assert_close(mix(states), states.mean(dim=0))
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.0, 1.0, -2.0]))
        mix.gamma.fill_(2.5)
    s = mix.weights
    torch.testing.assert_close(mix(list(states)), 2.5 * (s[0] * states[0] + s[1] * states[1] + s[2] * states[2]))
    mix(states).square().sum().backward()
    assert mix.scores.grad.abs().sum() > 0 and mix.gamma.grad != 0


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: BidirectionalLM(5, 4)(torch.tensor([[5]])), ValueError, "ids must be ids from 0 to 4, got 5"),
        (lambda: BidirectionalLM(5, 4)(torch.zeros(1, 0).long()), ValueError, "ids must not be empty"),
        (lambda: BidirectionalLM(5, 4)(torch.zeros(1, 2)), TypeError, "ids must be an integer tensor"),
        (lambda: BidirectionalLM(5, 4).loss(torch.zeros(2, 1).long()), ValueError, "length of the sentences must be"),
        (lambda: StackedBidirectionalLM(5, 4, 0), ValueError, "num_layers must be at least 1"),
        (lambda: ScalarMix(2)(torch.zeros(3, 1, 1, 1)), ValueError, "states must have shape"),
        (
            lambda: around(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3)),
            ValueError,
            "backward must have the shape of forward",
        ),
        (lambda: sees_itself(torch.zeros(2, 3).bool()), ValueError, "receptive must have shape"),
    ],
)
def test_bad_input_is_named(call, error, words, unchecked):
    with pytest.raises(error, match=words):
        call()
