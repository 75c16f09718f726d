"""Bytes that each process of a group holds when they train one model together: measured, beside `zero_memory`."""

import torch

from lib.accounting.measured import gradient_bytes, optimizer_state_bytes, tensor_bytes
from lib.checks import Whole
from lib.models import Decoder, TransformerConfig
from lib.objectives import autoregressive_loss
from lib.training import ShardedAdamW, add_gradients, own_rows, place
from lib.training.parallel import add_up


def train_in_group(config: TransformerConfig, windows: torch.Tensor, updates: Whole, sharded: bool) -> dict:
    """Train a fresh model on `windows` (B, T), the same each time; what this process holds afterwards, in bytes.

    Meant for `lib.training.launch`; without it, it trains in this process. With `sharded`, the optimizer is ZeRO's stage 1,
    otherwise each process has a whole AdamW. Returns {"losses", "weights", "gradients", "optimizer"}; the losses are those of
    all rows, before each update.

    >>> tiny = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1, num_heads=2, d_ff=8,
    ...                          position="rotary")
    >>> held = train_in_group(tiny, torch.zeros(2, 4, dtype=torch.long), 1, sharded=True)
    >>> len(held["losses"]), held["optimizer"] == 2 * held["weights"] + 4  # one step counter
    (1, True)
    """
    model = Decoder(config, generator=torch.Generator().manual_seed(0))
    optimizer = (ShardedAdamW if sharded else torch.optim.AdamW)(model.parameters(), lr=1e-3)
    rows, losses = own_rows(windows), []  # this process's part of the batch
    for _ in range(updates):
        optimizer.zero_grad()
        loss = autoregressive_loss(model(rows), rows) / place().processes  # its part of the mean
        loss.backward()
        add_gradients(model.parameters())  # now every process has the gradient of the whole batch
        optimizer.step()
        losses.append(add_up([loss.item()])[0])
    return {
        "losses": losses,
        "weights": tensor_bytes(model),
        "gradients": gradient_bytes(model),
        "optimizer": optimizer_state_bytes(optimizer.optimizer if isinstance(optimizer, ShardedAdamW) else optimizer),
    }


def train_both_ways(config: TransformerConfig, windows: torch.Tensor, updates: Whole) -> dict[str, dict]:
    """`train_in_group` with a whole optimizer in each process, and with a sharded one."""
    ways = {"data parallel": False, "ZeRO-1": True}
    return {name: train_in_group(config, windows, updates, sharded) for name, sharded in ways.items()}
