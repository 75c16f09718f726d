"""What the processes of test_parallel do: functions of a module, for a new process has to find them."""

import os
import time
from contextlib import suppress

import torch
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer

from lib.accounting import gradient_bytes, optimizer_state_bytes, tensor_bytes
from lib.models import Decoder
from lib.objectives import autoregressive_loss
from lib.text import MaskedBatch
from lib.training import FitSettings, ShardedAdamW, add_gradients, fit, own_rows, place, predicted_tokens
from lib.training.parallel import add_up
from lib.training.recipes import next_token_loss
from tests.models import small


def model(dtype=torch.float64):
    config = small.decoder(vocab_size=40, max_positions=16)
    return Decoder(config, generator=torch.Generator().manual_seed(1)).to(dtype)


def windows(generator):
    return torch.randint(0, 40, (4, 9), generator=generator)


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()


def fitted(accumulated=1, checkpoint=None, steps=5):
    """Losses, gradient norms, tokens and final weights of a run of `fit`."""
    trained = model()
    settings = FitSettings(steps=steps, learning_rate=0.01, gradient_accumulation_steps=accumulated, checkpoint_every=2)
    history = fit(trained, next_token_loss, windows, settings, count_tokens=predicted_tokens, checkpoint=checkpoint,
                  show_progress=False)  # fmt: skip
    return history.loss, history.grad_norm, history.tokens, weights(trained)


def interrupted(checkpoint):
    """A run that ends in its fourth update; a checkpoint was written after the second."""
    drawn = []

    def stop(generator):
        drawn.append(0)
        if len(drawn) == 4:
            raise InterruptedError
        return windows(generator)

    settings = FitSettings(steps=5, learning_rate=0.01, checkpoint_every=2)
    with suppress(InterruptedError):
        fit(model(), next_token_loss, stop, settings, count_tokens=predicted_tokens, checkpoint=checkpoint,
            show_progress=False)  # fmt: skip
    return len(drawn)


def uneven_loss(module, batch):
    loss = nn.functional.cross_entropy(module(batch.input_ids).transpose(1, 2), batch.labels)
    return loss, {"twice": 2 * loss.item()}


def fitted_unevenly():
    """Rows with very different numbers of predicted tokens: the plain mean of the processes' means would be wrong."""
    ids = torch.arange(24).view(4, 6)
    labels = ids.masked_fill(torch.arange(6) >= torch.tensor([[6], [5], [1], [1]]), -100)
    trained = model()
    history = fit(trained, uneven_loss, lambda g: MaskedBatch(ids, labels), FitSettings(steps=3, learning_rate=0.01),
                  count_tokens=predicted_tokens, show_progress=False)  # fmt: skip
    return history.loss, history.metrics["twice"], history.tokens, weights(trained)


def one_optimizer(kind, dtype=torch.float64):
    """Weights after five updates, and the bytes that this process holds."""
    trained = model(dtype)
    network = (
        nn.parallel.DistributedDataParallel(trained) if kind in ("ddp", "zero") and place().processes > 1 else trained
    )
    if kind == "sharded":
        optimizer = ShardedAdamW(trained.parameters(), lr=0.01)
    elif kind == "zero":
        optimizer = ZeroRedundancyOptimizer(network.parameters(), torch.optim.AdamW, lr=0.01)
    else:
        optimizer = torch.optim.AdamW(trained.parameters(), lr=0.01)
    draw = torch.Generator().manual_seed(0)
    for _ in range(5):
        optimizer.zero_grad()
        rows = own_rows(windows(draw))
        (autoregressive_loss(network(rows), rows) / (1 if kind in ("ddp", "zero") else place().processes)).backward()
        if kind in ("plain", "sharded"):
            add_gradients(trained.parameters())
        optimizer.step()
    inner = {"sharded": lambda: optimizer.optimizer, "zero": lambda: optimizer.optim}.get(kind, lambda: optimizer)()
    held = tensor_bytes(trained), gradient_bytes(trained), optimizer_state_bytes(inner)
    return weights(trained), held


def sums():
    """What `add_up`, and `add_gradients` with a gradient that only rank 0 has, make of it."""
    rank, parameter = place().rank, nn.Parameter(torch.ones(2))
    if rank == 0:
        parameter.grad = torch.tensor([1.0, 2.0])
    add_gradients([parameter])
    return add_up([rank, 10.0]), parameter.grad.tolist()


def fail_in_the_second():
    if place().rank == 1:
        raise ArithmeticError("the second could not")
    time.sleep(60)


def die_in_the_second():
    if place().rank == 1:
        os._exit(7)
    time.sleep(60)


def sleep():
    time.sleep(60)


def no_count():
    return fit(model(), next_token_loss, windows, FitSettings(steps=1), show_progress=False)


def everything(checkpoint):
    """All of the above that ends well, in one group: to start processes takes longer than what they do."""
    results = {f"fitted {accumulated}": fitted(accumulated) for accumulated in (1, 2)}
    results |= {kind: one_optimizer(kind) for kind in ("plain", "sharded", "ddp", "zero")}
    results |= {"unevenly": fitted_unevenly(), "sums": sums(), "interrupted": interrupted(checkpoint)}
    return results | {"resumed": fitted(checkpoint=checkpoint)}
