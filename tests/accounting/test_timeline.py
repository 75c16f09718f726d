import pytest
import torch
from torch import nn

from lib.accounting import (
    MemoryTimeline,
    activation_bytes,
    optimizer_state_bytes,
    saved_bytes,
    tensor_bytes,
    train_both_ways,
    train_in_group,
    zero_memory,
)  # fmt: skip
from lib.models import Decoder, count_parameters
from lib.objectives import autoregressive_loss
from lib.training import launch
from tests.models import small

CONFIG = small.decoder(vocab_size=64, d_model=32, num_layers=3)
IDS = torch.randint(0, 64, (4, 12), generator=torch.Generator().manual_seed(0))


def test_a_step_is_seen_as_it_is():
    """What is known by other means: weights, what autograd saves, gradients, Adam's state."""
    model = Decoder(CONFIG, generator=torch.Generator().manual_seed(0))
    adam, weights = torch.optim.Adam(model.parameters()), tensor_bytes(model)
    saved = saved_bytes(lambda: autoregressive_loss(model(IDS), IDS), parameters=model.parameters())
    with MemoryTimeline([*model.parameters(), *model.buffers(), IDS]) as memory:
        memory.phase("forward")
        loss = autoregressive_loss(model(IDS), IDS)
        memory.phase("backward")
        loss.backward()
        del loss
        memory.phase("update")
        adam.step()
    line, ids = memory.timeline, IDS.nbytes
    last = {phase: [n for n, p in zip(line.live, line.phase) if p == phase][-1] for phase in set(line.phase)}
    assert abs(last["forward"] - weights - saved) <= ids + 256  # positions, and the loss itself: 0.1 % of what is saved
    assert 0 <= last["backward"] - 2 * weights - ids <= 16  # and a scalar or two
    assert last["update"] >= 2 * weights + ids + optimizer_state_bytes(adam)
    assert line.peak == max(line.live) == max(line.peak_of(phase) for phase in last)
    with pytest.raises(ValueError, match="phase"):
        line.peak_of("forwards")


def test_what_is_released_is_gone_and_views_count_once():
    base = torch.zeros(100)
    with MemoryTimeline([base]) as memory:
        view = base[:50]
        twice = view * 2
        in_place = twice.add_(1)
        del twice, in_place
        other = torch.ones(1)
    assert memory.timeline.live == [400, 600, 600, 404] and len(other) == 1
    assert [size for _, size in memory.timeline.events] == [400, 200, -200, 4]
    assert MemoryTimeline(nn.Linear(3, 2)).timeline.events == [(0, 24), (1, 8)]
    with pytest.raises(TypeError, match="before"):
        MemoryTimeline([3])


@pytest.mark.nightly  # by day test_parallel has two real processes
def test_two_processes_hold_what_is_predicted():
    together = launch(train_both_ways, 2, CONFIG, IDS, 3)
    alone = train_in_group(CONFIG, IDS, 3, sharded=False)
    numbers = count_parameters(CONFIG)
    for process in together:
        for stage, (way, held) in enumerate(process.items()):
            due = zero_memory(numbers, "adam-fp32", devices=2, stage=stage)
            assert held["losses"] == pytest.approx(alone["losses"], rel=1e-5), way
            assert (held["weights"], held["gradients"]) == (due.weights, due.gradients)
            steps = 4 * (1 if way == "ZeRO-1" else len(list(Decoder(CONFIG).parameters())))
            assert held["optimizer"] == due.optimizer + steps
    assert activation_bytes(CONFIG, 2, 12)["logits"] > 0 and alone["losses"][2] < alone["losses"][0]
