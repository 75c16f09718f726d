"""BitFit: train the biases, and nothing else (slide W28; Ben Zaken et al. 2022)."""

from torch import nn

from lib import checks
from lib.adapters.freezing import freeze


def inject_bitfit(model: nn.Module) -> list[str]:
    """Freeze everything but the biases, norms' included, and return their names; `unfreeze` undoes it.

    No parameter is added: a task needs 9d numbers of the linear layers and 2d of the norms in each of GPT's
    layers, and d of the last norm. Biases keep the model's dtype: in 16 bits a small step may be rounded away.
    Raises TypeError if `model` is no module, ValueError for a model without biases (Llama, T5).

    >>> from lib.models import Decoder, preset
    >>> import torch
    >>> with torch.device("meta"):
    ...     gpt2 = Decoder(preset("gpt-2"))
    >>> inject_bitfit(gpt2)[:2]
    ['stack.blocks.0.attention.qkv.bias', 'stack.blocks.0.attention.output.bias']
    """
    checks.instance("model", model, nn.Module)
    biases = {name: p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"}
    if not biases:
        raise ValueError(
            f"this {type(model).__name__} has no biases, so BitFit has nothing to train "
            f"(Llama and T5 were built without)"
        )
    freeze(model)
    for parameter in biases.values():
        parameter.requires_grad_(True)
    return list(biases)
