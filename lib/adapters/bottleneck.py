"""Bottleneck adapters: two small matrices with a nonlinearity between them, after a sublayer (slide W28, Adapter^H)."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib import checks
from lib.adapters.freezing import begin_adapter, end_adapter
from lib.adapters.targets import WHOLE, find_targets, linear_shape, select_targets, trained_like
from lib.models.layers import ACTIVATIONS
from lib.models.linear import Linear, undrawn

OURS = ("attention.output", "cross.output", "feed_forward.down")  # what ends a sublayer in our models
NAME = "bottleneck"


class Bottleneck(nn.Module):
    """y + up(act(down(y))): down ∈ R^{r×d}, up ∈ R^{d×r}; 2dr + r + d numbers (Houlsby et al. 2019, §2.1).

    `up` begins at zero, so that the layer begins as the identity; `down` is drawn with a standard deviation of 0.01.
    Raises ValueError if `rank` is not between 1 and `width`, or `activation` is unknown.

    >>> y = torch.randn(3, 8)
    >>> torch.equal(Bottleneck(8, 2)(y), y)
    True
    """

    def __init__(
        self, width: int, rank: int, *, activation: str = "gelu", generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        checks.whole("rank", rank, 1, width)
        self.activation = ACTIVATIONS[checks.one_of("activation", activation, ACTIVATIONS)]
        with undrawn():
            self.down, self.up = Linear(width, rank), Linear(rank, width)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        if not self.down.weight.is_meta:
            nn.init.normal_(self.down.weight, std=0.01, generator=generator)

    def forward(self, y: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Change the output of a sublayer a little."""
        change = self.up(self.activation(self.down(y.to(self.down.weight.dtype))))
        return (y + change).to(y.dtype)


def inject_bottleneck(
    model: nn.Module,
    rank: int,
    *,
    targets: Iterable[str] | None = None,
    activation: str = "gelu",
    generator: torch.Generator | None = None,
) -> list[str]:
    """Put a `Bottleneck` after each linear layer that ends a sublayer, in place, and train only these.

    `targets` None means the last matrices of attention and of the feed-forward layer in our models, two per
    layer as in Houlsby et al.: 2L (2dr + r + d) numbers. For others name them: ("o_proj", "down_proj"). They are
    float32 also beside a model in 16 bits or fewer.
    Returns the layers' names; `remove_bottleneck` undoes it.
    Raises ValueError, and changes nothing, for a bad `rank` or `activation`, a target that names no layer, or
    a layer that has a bottleneck already.

    >>> from lib.adapters import count_trainable
    >>> from lib.models import Decoder, preset
    >>> with torch.device("meta"):
    ...     gpt3 = Decoder(preset("gpt-3-175b"))
    >>> len(inject_bottleneck(gpt3, rank=1)), count_trainable(gpt3)
    (192, 7078080)
    """
    chosen = select_targets(model, _ours(model) if targets is None else checks.strings("targets", targets))
    checks.not_empty(targets=chosen)
    made = []
    for target in chosen:
        if target.part != WHOLE:
            raise ValueError(f"targets: {target.name} is a part of a fused matrix; name the whole one")
        if hasattr(target.module, NAME):
            raise ValueError(f"{target.name} has a bottleneck already: call remove_bottleneck first")
        width, like = linear_shape(target.module)[0], trained_like(target.module)
        with torch.device("meta" if like["device"].type == "meta" else "cpu"):
            bottleneck = Bottleneck(width, rank, activation=activation, generator=generator)
        made.append((target.module, bottleneck.to(**like)))
    begin_adapter(model, "bottleneck")
    for module, bottleneck in made:
        bottleneck.train(module.training).requires_grad_(True)
        module.add_module(NAME, bottleneck)
        module.register_forward_hook(_apply)
    return [target.name for target in chosen]


def remove_bottleneck(model: nn.Module) -> None:
    """Remove every `Bottleneck`: the model is bit for bit what it was, and trained as before they came.

    Raises ValueError if there is none.
    """
    adapted = [module for module in model.modules() if isinstance(getattr(module, NAME, None), Bottleneck)]
    if not adapted:
        raise ValueError(f"this {type(model).__name__} has no bottleneck to remove")
    for module in adapted:
        delattr(module, NAME)
        for key, hook in list(module._forward_hooks.items()):
            if hook is _apply:
                del module._forward_hooks[key]
    end_adapter(model, "bottleneck")


def _apply(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return getattr(module, NAME)(output)


def _ours(model: nn.Module) -> list[str]:
    names = tuple(find_targets(model))
    present = [pattern for pattern in OURS if any(f".{name}".endswith(f".{pattern}") for name in names)]
    if not present:
        raise ValueError(
            f"targets must be given for a {type(model).__name__}: name the layers after which the bottlenecks go"
        )
    return present
