"""What is trained and what stays as it is: the base of every method of slides W25 and W28."""

from torch import nn

from lib import checks

REMEMBERED = "_trainable_before_adapters"  # by `freeze`
ENTERED = "_trainable_before_each_adapter"  # by `begin_adapter`: {kind: names}, in the order in which they came


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that an optimizer gets, a shared one once.

    >>> layer = nn.Linear(3, 2)
    >>> _ = layer.weight.requires_grad_(False)
    >>> [tuple(parameter.shape) for parameter in trainable_parameters(layer)]
    [(2,)]
    """
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def count_trainable(model: nn.Module) -> int:
    """How many numbers are trained (slides W25, W28); works on the meta device.

    >>> count_trainable(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in trainable_parameters(model))


def freeze(model: nn.Module) -> None:
    """Train nothing in a model. What was trained before is remembered, for `unfreeze`.

    >>> layer = nn.Linear(3, 2)
    >>> freeze(layer)
    >>> count_trainable(layer)
    0
    """
    if not hasattr(model, REMEMBERED):
        trained = tuple(name for name, p in model.named_parameters() if p.requires_grad)
        setattr(model, REMEMBERED, trained)
    model.requires_grad_(False)


def unfreeze(model: nn.Module) -> None:
    """Train again what was trained before `freeze`, or before an adapter was put on the model.

    >>> layer = nn.Linear(3, 2)
    >>> freeze(layer)
    >>> unfreeze(layer)
    >>> count_trainable(layer)
    8
    """
    if not hasattr(model, REMEMBERED):
        return
    trained = set(getattr(model, REMEMBERED))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    delattr(model, REMEMBERED)


def begin_adapter(model: nn.Module, kind: str) -> None:
    """Freeze a model for adapters of a kind, "lora" say; what was trained is remembered, for `end_adapter`.

    >>> layer = nn.Linear(3, 2)
    >>> begin_adapter(layer, "lora")
    >>> count_trainable(layer)
    0
    """
    entered = model.__dict__.setdefault(ENTERED, {})
    entered.setdefault(kind, {name for name, p in model.named_parameters() if p.requires_grad})
    freeze(model)


def end_adapter(model: nn.Module, kind: str) -> None:
    """Train again what was trained before the adapters of a kind came, unless others that came later are still on.

    Then these go on being trained, and what was trained before is remembered for them.

    >>> layer = nn.Linear(3, 2)
    >>> begin_adapter(layer, "lora")
    >>> end_adapter(layer, "lora")
    >>> count_trainable(layer)
    8
    """
    entered = getattr(model, ENTERED, {})
    kinds = list(entered)
    if kind not in entered:
        return
    trained = entered.pop(kind)
    later = kinds[kinds.index(kind) + 1 :]
    if later:
        entered[later[0]] = trained
        return
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    if not entered:
        delattr(model, ENTERED)
        if set(getattr(model, REMEMBERED, ())) == trained:
            delattr(model, REMEMBERED)


def freeze_layers(model: nn.Module, layers: int) -> list[str]:
    """Freeze the embeddings and the first `layers` layers (slide W25); the layers after them are still trained.

    Layers are the members of the outermost `nn.ModuleList`s (of an encoder, then of a decoder), in ours and
    in transformers' models alike. Everything before the first trained layer is frozen, and so is a tied output
    layer. Returns the names of the frozen parameters. `unfreeze` undoes it.
    Raises TypeError if `layers` is no whole number, and ValueError if it is negative or more than there are.

    >>> from lib.models import Decoder, TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=10, d_model=8, num_layers=3,
    ...                            num_heads=2, d_ff=16, max_positions=6)
    >>> model = Decoder(config)
    >>> frozen = freeze_layers(model, 2)
    >>> {name.split(".")[2] for name, p in model.named_parameters() if p.requires_grad and "blocks" in name}
    {'2'}
    """
    prefixes = _layer_prefixes(model)
    checks.whole("layers", layers, 0, len(prefixes))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    names = [name for name, _ in model.named_parameters()]
    frozen = names[: _end_of_layers(names, prefixes, layers)]
    freeze(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained.difference(frozen))
    return frozen


def _layer_prefixes(model: nn.Module) -> list[str]:
    """What the parameters of each layer begin with, layer by layer."""
    lists = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    outermost = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    return [f"{name}.{index}." for name in outermost for index in range(len(model.get_submodule(name)))]


def _end_of_layers(names: list[str], prefixes: list[str], layers: int) -> int:
    """How many of the names, in the model's order, belong to the embeddings and the first layers."""
    if layers < len(prefixes):
        return next(index for index, name in enumerate(names) if name.startswith(tuple(prefixes[layers:])))
    inside = [index for index, name in enumerate(names) if name.startswith(tuple(prefixes))]
    return inside[-1] + 1 if inside else 0
