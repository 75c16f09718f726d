import pytest
import torch

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
