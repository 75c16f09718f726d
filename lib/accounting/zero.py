"""ZeRO: what each of many devices holds when they share the states of training instead of copying them.

Rajbhandari et al. 2020, section 5 and figure 1. Plain data parallelism keeps everything on every device (stage 0); stage 1
shares the optimizer's states, stage 2 the gradients as well, stage 3 the weights too (PyTorch calls it fully sharded).
"""

from lib import checks
from lib.accounting.memory import MemoryBudget, MemoryRecipe, training_memory


def zero_memory(
    parameters: checks.Whole,
    recipe: str | MemoryRecipe,
    *,
    devices: checks.Whole,
    stage: checks.Whole,
    trainable: checks.Whole | None = None,
    activations: checks.Whole = 0,
) -> MemoryBudget:
    """The bytes that the fullest of `devices` holds; what is shared is cut evenly and rounded up.

    `stage` 0 shares nothing; 1 the optimizer's states and the fp32 master copy; 2 also the gradients; 3 also the weights.
    `activations` are those of one device's own batch, which ZeRO does not share. Not counted: buffers for communication, and in
    stage 3 the layer whose weights are gathered at the moment.
    Raises ValueError as `training_memory`, and for another stage or fewer than one device.

    >>> [round(zero_memory(7_500_000_000, "adam-mixed", devices=64, stage=s).total / 1e9, 1) for s in range(4)]
    [120.0, 31.4, 16.6, 1.9]
    """
    whole = training_memory(parameters, recipe, trainable=trainable, activations=activations)
    devices, stage = checks.whole("devices", devices), checks.whole("stage", stage, 0, 3)
    first_shared_in = {"optimizer": 1, "master": 1, "gradients": 2, "weights": 3}
    return MemoryBudget(
        **{
            name: -(-size // devices) if stage >= first_shared_in.get(name, 4) else size
            for name, size in whole.items().items()
        }
    )
