"""Claims of the slides of 15_memory_footprint: bytes per parameter, Adam's state, sizes of models."""

from functools import cache

import torch
from torch import nn

from lib.models import KVCache, preset
from lib.slides.claimed import claims
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


@recompute("A39")
def finetuning_at_t46() -> Measured:
    """GB of T45's fine-tuning column, with the bytes per parameter measured for Adam."""
    width = round(_bytes_after_a_step())
    gigabytes = tuple(float(width * billions) for billions in _t45().params_b)
    short = [printed - due for printed, due in zip(_t45().finetune_gb, gigabytes)]
    return Measured(gigabytes, "printed beside it: " + ", ".join(f"{value:+.0f} GB" for value in short))


@recompute("X03")
def one_figure_for_finetuning() -> Measured:
    """Whether T45, T46 and W28 use the same number of bytes per parameter for full fine-tuning."""
    of_w28 = claims()["A40b"].value / claims()["C18c"].value
    widths = {*finetuning_bytes(), float(claims()["T46a"].value), of_w28}
    return Measured(len(widths) == 1, "; ".join(f"{width:.3g}" for width in sorted(widths)))


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


@recompute("A38a")
def weights_of_7b() -> Measured:
    """GB of the weights of T46's 7B parameters in float32."""
    size = _t46_parameters() * torch.float32.itemsize
    return Measured(size / 1e9, f"{size / 2**30:.2f} GiB")


@recompute("A38b")
def adam_of_7b() -> Measured:
    """GB to train T46's 7B parameters, with the bytes per parameter measured for Adam."""
    size = _t46_parameters() * round(_bytes_after_a_step())
    return Measured(size / 1e9, f"{size / 2**30:.2f} GiB")


@recompute("T46a")
def adam_per_parameter() -> float:
    """Bytes per parameter of weights, gradients and Adam's state after a step in float32."""
    return _bytes_after_a_step()


@recompute("A40b")
def adam_of_gpt3() -> float:
    """Bytes to train W28's GPT-3, with the bytes per parameter measured for Adam."""
    return float(claims()["C18c"].value * round(_bytes_after_a_step()))


@recompute("A22b")
def cache_per_token() -> tuple[int, ...]:
    """Bytes of one token in the cache of the three Llama 3, in 16 bits."""
    sizes = []
    for config in map(preset, ("llama-3-8b", "llama-3-70b", "llama-3-405b")):
        cache = KVCache(capacity=1)
        token = torch.empty(1, config.kv_heads, 1, config.head_width, dtype=torch.float16, device="meta")
        for layer in range(config.num_layers):
            cache.update(layer, token, token)
        cache.advance(1)
        sizes.append(cache.nbytes)
    return tuple(sizes)


@recompute("F28a")
def values_that_adam_keeps() -> Measured:
    """How many numbers Adam stores per parameter."""
    model, optimizer = _after_a_step()
    kept = [name for name, value in _state(optimizer).items() if value.shape == model.weight.shape]
    return Measured(len(kept), " and ".join(kept))


@recompute("F28b")
def optimizer_holds_parameters_and_gradients() -> Measured:
    """Whether Adam's state consists of the parameters and their gradients."""
    model, optimizer = _after_a_step()
    kept = _state(optimizer).values()
    among = [any(torch.equal(value, other) for value in kept) for other in (model.weight, model.weight.grad)]
    return Measured(all(among), "neither is among what torch.optim.Adam keeps" if not any(among) else "")


def _t45():
    table = load_table("memory")
    return table[table.slide == "T45"]


def _t46_parameters() -> float:
    table = load_table("memory")
    return float(table.params_b[table.slide == "T46"].iloc[0]) * 1e9


def _bytes_after_a_step() -> float:
    model, optimizer = _after_a_step()
    held = (model.weight, model.weight.grad, *_state(optimizer).values())
    return sum(tensor.numel() * tensor.element_size() for tensor in held) / model.weight.numel()


@cache
def _after_a_step() -> tuple[nn.Linear, torch.optim.Adam]:
    """A layer in float32 after one step of Adam, with its gradients."""
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
