"""Training in a random subspace of all parameters, which measures a task's intrinsic dimension (slide W27)."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lib import checks
from lib.adapters.freezing import freeze


class RandomSubspace(nn.Module):
    """A frozen model whose parameters are θ₀ + P z: only z, `dim` numbers, is trained (Li et al. 2018, section 2).

    P ∈ R^{D×d} is drawn once. Each of the D parameters follows one of the d numbers, with a random sign, so that P
    has one ±1 in each row and its columns are orthogonal. A dense P of a million rows would not fit into memory, and Li
    et al. use sparse ones too. z begins at zero: the model starts as it was. Called like the model.
    Raises ValueError if `dim` is not between 1 and the number of parameters; TypeError if `model` is no module.

    >>> small = RandomSubspace(nn.Linear(3, 2), 4)
    >>> [tuple(p.shape) for p in small.parameters() if p.requires_grad]
    [(4,)]
    """

    def __init__(self, model: nn.Module, dim: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        checks.instance("model", model, nn.Module)
        parameters = dict(model.named_parameters())
        checks.whole("dim", dim, 1, sum(p.numel() for p in parameters.values()))
        freeze(model)
        self.model = model
        self.z = nn.Parameter(torch.zeros(dim))
        self.follows = {name: torch.randint(dim, (p.numel(),), generator=generator) for name, p in parameters.items()}
        self.signs = {
            name: torch.randint(2, (p.numel(),), generator=generator) * 2.0 - 1 for name, p in parameters.items()
        }

    def change(self, name: str) -> Tensor:
        """The rows of P z that belong to the parameter `name`, in its shape.

        Raises AttributeError for another name.
        """
        shape = self.model.get_parameter(name).shape
        return (self.z.index_select(0, self.follows[name]) * self.signs[name]).view(shape)

    def forward(self, *inputs, **named):
        """What the model returns with the parameters θ₀ + P z."""
        moved = {name: self.model.get_parameter(name) + self.change(name) for name in self.follows}
        return functional_call(self.model, moved, inputs, named)
