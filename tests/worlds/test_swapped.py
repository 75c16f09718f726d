import pytest
import torch

from lib.training import FitSettings, History
from lib.worlds import swapped
from lib.worlds.swapped_runs import ALL_LINEAR


def draw(split="test", count=50, seed=3):
    return swapped.draw_swapped(split, count, torch.Generator().manual_seed(seed))


def test_swapping_back_gives_a_window_of_the_text():
    batch, stream = draw(), swapped.token_stream("test").tolist()
    text = " ".join(map(str, stream))
    for ids, place in zip(batch.ids.tolist(), batch.place.tolist()):
        assert ids[place] != ids[place + 1]
        ids[place], ids[place + 1] = ids[place + 1], ids[place]
        assert f" {' '.join(map(str, ids))} " in f" {text} "


def test_every_pair_can_be_the_one():
    places = draw(count=600).place
    assert sorted(places.unique().tolist()) == list(range(swapped.PAIRS))


def test_the_splits_share_no_window():
    train = set(map(tuple, swapped.token_stream("train").unfold(0, 16, 1).tolist()))
    assert not train & set(map(tuple, draw().ids.tolist()))


def test_a_fresh_head_takes_all_pairs_to_be_equally_likely():
    model = swapped.swap_finder("head")
    assert swapped.swap_loss(model, draw()).item() == pytest.approx(torch.tensor(15.0).log().item(), abs=1e-5)


@pytest.mark.parametrize(
    "method, size, targets, trained",
    [
        ("head", 0, "", 0),
        ("full", 0, "", 1_055_488),
        ("lora", 8, "q+v", 4 * 2 * 8 * 256),
        ("qlora", 8, "q+v", 4 * 2 * 8 * 256),
        ("lora", 1, ALL_LINEAR, 4 * (4 * 256 + 2 * 640)),
        ("subspace", 64, "", 64),
        ("prompt", 8, "", 8 * 128),
        ("bottleneck", 8, "", 4 * 2 * (2 * 8 * 128 + 8 + 128)),
        (
            "last layer",
            0,
            "",
            12 * 128**2 + 13 * 128 + 2 * 128,
        ),  # its norms and biases included, and the norm at the end
    ],
)
def test_what_is_trained(method, size, targets, trained):
    model = swapped.swap_finder(method, size, targets)
    assert swapped.trained_numbers(model) == trained
    assert model(draw(count=2).ids).shape == (2, 15)


def test_training_lowers_the_loss_and_is_repeatable():
    runs = [swapped.train_swap_finder(swapped.swap_finder("head"), 0.01, 0, steps=5) for _ in range(2)]
    assert runs[0] == runs[1] and runs[0][0] == pytest.approx(2.70805, abs=1e-4) and len(runs[0]) == 5


def test_counting_pairs_is_a_strong_rule():
    assert swapped.bigram_accuracy() == pytest.approx(0.878, abs=0.005)


def test_bad_input():
    with pytest.raises(ValueError, match="split must be"):
        draw(split="trian")
    with pytest.raises(ValueError, match="count must be"):
        draw(count=0)
    with pytest.raises(ValueError, match="method must be"):
        swapped.swap_finder("loar")


class Says(torch.nn.Module):
    """A model that answers by a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, ids):
        return self.function(ids)


DRAWN = {"lora": (2, "q"), "qlora": (2, "q"), "bottleneck": (2, ""), "prompt": (3, ""), "subspace": (4, "")}
"""The methods that begin with random numbers, with a size and targets."""


@pytest.mark.parametrize("method", swapped.METHODS)
def test_what_begins_with_random_numbers_draws_them_from_the_seed(method):
    def state(seed):
        encoder = (model := swapped.swap_finder(method, *DRAWN.get(method, (0, "")), seed=seed)).encoder
        return model.state_dict() | (encoder.signs | encoder.follows if method == "subspace" else {})

    before = torch.get_rng_state()
    first, again, other = state(5), state(5), state(6)
    assert torch.equal(torch.get_rng_state(), before), "nothing is drawn from the global generator"
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(torch.equal(first[name], other[name]) for name in first) is (method not in DRAWN)


def test_a_pair_is_scored_by_the_hidden_state_of_its_first_token():
    hidden = torch.arange(24.0).view(1, 4, 6)
    model = swapped.SwapFinder(Says(lambda ids: hidden), 6)
    with torch.no_grad():
        model.head[2] = 1.0
    assert model(torch.zeros(1, 4).long()).tolist() == [[2.0, 8.0, 14.0]]


def test_an_accuracy_is_the_share_on_the_windows_of_its_split():
    """Models that know the right pairs of some windows, and are wrong about all others."""
    known = {split: draw(split, 1000, seed=1) for split in ("validation", "test")}

    def knows(split, share):
        places = {tuple(ids): place for ids, place in zip(known[split].ids.tolist()[: int(1000 * share)],
                                                          known[split].place.tolist())}  # fmt: skip
        wrong = {tuple(ids): (place + 1) % 15 for part in known.values()
                 for ids, place in zip(part.ids.tolist(), part.place.tolist())}  # fmt: skip
        guesses = wrong | places
        one_hot = torch.eye(15)
        return Says(lambda ids: torch.stack([one_hot[guesses[tuple(row)]] for row in ids.tolist()]))

    assert swapped.swap_accuracy(knows("test", 1.0)) == swapped.swap_accuracy(knows("validation", 1), "validation") == 1
    assert swapped.swap_accuracy(knows("test", 0.3)) == pytest.approx(0.3, abs=0.002)  # two windows may be the same
    assert swapped.swap_accuracy(knows("test", 1.0), "validation") == 0
    batch = known["test"]
    likely = torch.full((1000, 15), -30.0).scatter(1, batch.place[:, None], 30.0)
    assert swapped.swap_loss(Says(lambda ids: likely), batch) < 1e-6
    assert swapped.swap_loss(Says(lambda ids: -likely), batch) > 50


def test_every_run_is_trained_alike_on_windows_of_the_training_text(monkeypatch):
    seen = []

    def fit(model, loss_fn, sample, settings, **more):
        same = torch.equal(sample(torch.Generator().manual_seed(3)).ids, draw("train", swapped.WINDOWS).ids)
        seen.append((loss_fn, settings, same))
        return History(loss=[1.0])

    monkeypatch.setattr(swapped, "fit", fit)
    assert swapped.train_swap_finder(torch.nn.Linear(1, 1), 0.02, 7) == [1.0]
    assert seen == [(swapped.swap_loss, FitSettings(80, 0.02, warmup_steps=8, weight_decay=0.0, seed=7), True)]
