"""Claims of the slides of 14_memory_footprint: bytes per parameter, what Adam keeps, whose sizes they are."""

from functools import cache

import torch
from torch import nn

from lib.slides.registry import Measured, recompute
from lib.slides.sizes import parse_size
from lib.slides.tables import load_table


@recompute("A37a")
def inference_bytes() -> tuple[float, ...]:
    """Bytes per parameter of T45's inference column."""
    return tuple(float(value) for value in _t45().inference_gb / _t45().params_b)


@recompute("A37b")
def finetuning_bytes() -> tuple[float, ...]:
    """Bytes per parameter of T45's fine-tuning column."""
    return tuple(float(value) for value in _t45().finetune_gb / _t45().params_b)


@recompute("X12")
def there_is_a_llama2_of_33b() -> Measured:
    """Whether C28 lists a Llama 2 of the size that T45 gives it."""
    table = load_table("llama")
    families = set(table.family[table.params == "33B"])
    llama2 = [parse_size(size) // 10**9 for size in table.params[table.family == "Llama 2"]]
    billions = min(llama2, key=lambda size: abs(size - 33))
    at = ", ".join(f"{billions * width}" for width in (2, 12, 16))
    words = f"33B is {' and '.join(families)}; Llama 2 has {billions}B, {at} GB at 2, 12, 16 bytes"
    return Measured("Llama 2" in families, words)


@recompute("F28a")
def values_that_adam_keeps() -> Measured:
    """How many numbers Adam keeps beside each parameter."""
    model, optimizer = _after_a_step()
    kept = [name for name, value in _state(optimizer).items() if value.shape == model.weight.shape]
    return Measured(len(kept), " and ".join(kept))


@recompute("F28b")
def optimizer_holds_parameters_and_gradients() -> Measured:
    """Whether what Adam keeps is the parameters and their gradients."""
    model, optimizer = _after_a_step()
    kept = _state(optimizer).values()
    among = [any(torch.equal(value, other) for value in kept) for other in (model.weight, model.weight.grad)]
    return Measured(all(among), "neither is among what torch.optim.Adam keeps" if not any(among) else "")


def _t45():
    table = load_table("memory")
    return table[table.slide == "T45"]


@cache
def _after_a_step() -> tuple[nn.Linear, torch.optim.Adam]:
    """A layer in float32 after one step of Adam, its gradients still there."""
    layer = nn.Linear(64, 32, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(32, 64, generator=torch.Generator().manual_seed(0)))
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 64)).square().sum().backward()
    optimizer.step()
    return layer, optimizer


def _state(optimizer: torch.optim.Adam) -> dict[str, torch.Tensor]:
    (state,) = optimizer.state.values()
    return state
