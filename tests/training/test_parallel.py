"""Two real processes against one, and against PyTorch's own data parallelism and sharded optimizer."""

import importlib

import pytest
import torch

from lib.text import MaskedBatch
from lib.training import GroupError, ShardedAdamW, launch, own_rows, place, torchrun_group
from lib.training.processes import Place
from tests.training import in_processes as work

NUMBERS = sum(p.numel() for p in work.model().parameters())


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes return for all that they are asked here, by name, a list of one entry per rank."""
    found = launch(work.everything, 2, tmp_path_factory.mktemp("group") / "half.pt")
    return {name: [each[name] for each in found] for name in found[0]}


@pytest.mark.parametrize("accumulated", [1, 2])
def test_fit_in_two_processes_is_fit_in_one(two, accumulated):
    loss, norm, tokens, weights = work.fitted(accumulated)
    for each in two[f"fitted {accumulated}"]:
        assert each[0] == pytest.approx(loss, rel=1e-12) and each[1] == pytest.approx(norm, rel=1e-9)
        assert each[2] == tokens
        close(each[3], weights)


def test_parts_are_weighted_by_their_tokens(two):
    loss, twice, tokens, weights = work.fitted_unevenly()
    first, second = two["unevenly"]
    assert first[0] == second[0] == pytest.approx(loss, rel=1e-12) and first[1] == pytest.approx(twice, rel=1e-12)
    assert first[2] == tokens == [13] * 3
    close(first[3], weights)
    assert torch.equal(first[3], second[3])


def test_an_interrupted_group_goes_on_from_the_first_ones_checkpoint(two, tmp_path):
    loss, _, _, weights = work.fitted()
    assert two["interrupted"] == [4, 4]
    for each in two["resumed"]:
        assert each[0] == pytest.approx(loss, rel=1e-12)
        close(each[3], weights)


def test_one_process_does_not_go_on_with_what_several_began(tmp_path, monkeypatch):
    work.interrupted(tmp_path / "half.pt")
    monkeypatch.setattr(importlib.import_module("lib.training.fit"), "place", lambda: Place(0, 2))
    with pytest.raises(ValueError, match="processes"):
        work.fitted(checkpoint=tmp_path / "half.pt")


def test_a_sharded_optimizer_updates_as_one_and_holds_its_share(two):
    expected, _ = work.one_optimizer("plain")
    for processes, results in {1: [work.one_optimizer("sharded")], 2: two["sharded"]}.items():
        part = -(-NUMBERS // processes)
        for weights, (held, gradients, state) in results:
            close(weights, expected)
            assert held == gradients == 8 * part * processes
            assert state == 2 * 8 * part + 4  # two moments, and one step counter


def test_parity_with_torchs_own(two):
    """DistributedDataParallel and ZeroRedundancyOptimizer divide the work alike; the latter by whole tensors."""
    ours, held = two["sharded"][0]
    for name in ("plain", "ddp", "zero"):
        for weights, _ in two[name]:
            close(weights, ours)
    whole, theirs = two["plain"][0][1][2], [state for _, (_, _, state) in two["zero"]]
    assert two["ddp"][0][1][2] == sum(theirs) == whole
    assert held[2] - 4 <= max(theirs) < 0.7 * whole


def test_sums_over_processes(two):
    assert two["sums"] == [([1.0, 20.0], [1.0, 2.0])] * 2
    assert place() == (0, 1)


def test_in_one_process_it_is_adamw():
    weight = torch.nn.Parameter(torch.arange(5.0))
    sharded = ShardedAdamW([weight], lr=0.1)
    weight.grad.fill_(1.0)
    sharded.step()
    plain = torch.nn.Parameter(torch.arange(5.0))
    plain.grad = torch.ones(5)
    torch.optim.AdamW([plain], lr=0.1).step()
    assert torch.equal(weight, plain)
    sharded.zero_grad()
    assert weight.grad.tolist() == [0] * 5


@pytest.mark.nightly  # each starts two processes
@pytest.mark.parametrize(
    "function, processes, message",
    [
        (work.fail_in_the_second, 2, r"process 1 of 2 failed:(.|\n)*ArithmeticError: the second could not"),
        (work.die_in_the_second, 2, r"process 1 of 2 failed:\nit ended without a result"),
    ],
)
def test_what_fails_in_one_process_ends_all(function, processes, message):
    with pytest.raises(GroupError, match=message):
        launch(function, processes, timeout=50)


def test_a_group_that_takes_too_long_is_ended():
    with pytest.raises(GroupError, match="did not finish within 0.5 s"):
        launch(work.sleep, 1, timeout=0.5)


@pytest.mark.parametrize(
    "processes, timeout, message", [(0, 5, "processes must be at least 1"), (2, 0, "timeout must")]
)
def test_bad_numbers(processes, timeout, message):
    with pytest.raises(ValueError, match=message):
        launch(work.sums, processes, timeout=timeout)


def test_own_rows():
    rows = torch.arange(12).view(6, 2)
    assert torch.equal(torch.cat([own_rows(rows, Place(r, 3)) for r in range(3)]), rows)
    masked = own_rows(MaskedBatch(rows, -rows), Place(1, 2))
    assert isinstance(masked, MaskedBatch) and torch.equal(masked.labels, -rows[3:])
    assert own_rows("anything at all") == "anything at all"  # one process has all of it
    assert [part.tolist() for part in own_rows((rows[:2], rows[2:4]), Place(0, 2))] == [[[0, 1]], [[4, 5]]]
    for bad in ("text", [rows], (rows, 3), torch.tensor(1)):
        with pytest.raises(TypeError, match="batch must be a tensor or a tuple of tensors"):
            own_rows(bad, Place(0, 2))


def test_a_batch_that_cannot_be_divided_or_weighted(monkeypatch):
    with pytest.raises(ValueError, match="batch of 3 rows cannot be divided evenly among 2 processes"):
        own_rows(torch.zeros(3, 5), Place(1, 2))
    monkeypatch.setattr(importlib.import_module("lib.training.fit"), "place", lambda: Place(0, 2))
    with pytest.raises(ValueError, match="count_tokens is missing: the parts of a batch are weighted"):
        work.no_count()


def test_bad_parameters_of_a_sharded_optimizer():
    with pytest.raises(ValueError, match="parameters"):
        ShardedAdamW([])
    mixed = [torch.nn.Parameter(torch.zeros(2, dtype=kind)) for kind in (torch.float32, torch.float64)]
    with pytest.raises(ValueError, match="parameters must have one dtype"):
        ShardedAdamW(mixed)


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"RANK": "0"}, "WORLD_SIZE, MASTER_ADDR, MASTER_PORT not set; start them with torchrun"),
        (
            {"RANK": "one", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            "RANK and WORLD_SIZE must be whole numbers",
        ),
        (
            {"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            "RANK must be below WORLD_SIZE = 2, got 2",
        ),
    ],
)
def test_what_torchrun_would_set_is_wrong(monkeypatch, variables, message):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with torchrun_group() as alone:
        assert alone == (0, 1)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GroupError, match=message), torchrun_group():
        pass
