"""Exercises of notebook 15: the bytes of a training run from its recipe; the peak of a step is in `memory_peak`."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture15.memory_peak import PEAK

# --- memory.training_bytes ----------------------------------------------------------------------------------
VALUES = {"adam": 2, "momentum": 1, "sgd": 0}  # numbers that an optimizer stores per parameter


def training_bytes(parameters: int, weight_bytes: int, optimizer: str, master: bool) -> int:
    """Bytes of weights, gradients, the optimizer's state (fp32), and of an fp32 master copy if there is one.

    >>> training_bytes(7_000_000_000, 4, "adam", False)
    112000000000
    """
    return parameters * (2 * weight_bytes + 4 * VALUES[optimizer] + 4 * master)


def _recipe_cases(generator):
    drawn = int(torch.randint(10**6, 10**9, (1,), generator=generator))
    return [
        case("7B in fp32 with Adam", 7_000_000_000, 4, "adam", False),
        case("mixed precision with a master copy", 7_000_000_000, 2, "adam", True),
        case("70B without one", 70_000_000_000, 2, "adam", False),
        case("plain gradient descent", 11_000_000_000, 4, "sgd", False),
        case("momentum and a master copy", drawn, 2, "momentum", True),
        case("a single parameter", 1, 2, "sgd", True),
        case("fp32 weights, and a master copy all the same", 6_738_415_616, 4, "adam", True),
        case("fp32 weights, momentum and a master copy", drawn + 1, 4, "momentum", True),
        case("weights of one byte, momentum", 1_000_003, 1, "momentum", False),
    ]


def _itemised(weights=1, gradients=1, values=VALUES, value_bytes=lambda width: 4, master_bytes=4):
    """The sum with one item changed."""

    def count(parameters, weight_bytes, optimizer, master):
        kept = values[optimizer] * value_bytes(weight_bytes)
        return parameters * ((weights + gradients) * weight_bytes + kept + master_bytes * master)

    return count


def _item_by_item(parameters, weight_bytes, optimizer, master):
    items = [weight_bytes, weight_bytes]
    items += [4, 4] if optimizer == "adam" else [4] if optimizer == "momentum" else []
    if master:
        items.append(4)
    return sum(parameters * item for item in items)


TRAINING = Exercise(
    id="memory.training_bytes",
    slides=("T45", "T46"),
    points=3,
    minutes=10,
    title="The bytes of a training run",
    reference=training_bytes,
    cases=_recipe_cases,
    accepts=(_itemised(), _item_by_item),
    withheld=("lib.accounting.memory.training_memory",),
    misconceptions=(
        Misconception(
            "second_moment_only",
            _itemised(values={"adam": 1, "momentum": 1, "sgd": 0}),
            "Your Adam stores one number per parameter. It stores both moments, m and v.",
        ),
        Misconception(
            "no_optimizer_state",
            _itemised(values={"adam": 0, "momentum": 0, "sgd": 0}),
            "The optimizer's state is missing: two numbers for Adam, one for momentum.",
        ),
        Misconception(
            "adam_for_all",
            _itemised(values={"adam": 2, "momentum": 2, "sgd": 2}),
            "You count Adam's two moments for every optimizer. Momentum stores one number, plain SGD none.",
        ),
        Misconception(
            "sgd_as_adam",
            _itemised(values=VALUES | {"sgd": 2}),
            "You count two moments for plain SGD. It keeps none; only Adam keeps two.",
        ),
        Misconception(
            "momentum_as_adam",
            _itemised(values=VALUES | {"momentum": 2}),
            "You count two numbers for momentum. It keeps one, the running mean of the gradients.",
        ),
        Misconception(
            "sgd_without_gradients",
            lambda parameters, weight_bytes, optimizer, master: (
                training_bytes(parameters, weight_bytes, optimizer, master)
                - parameters * weight_bytes * (optimizer == "sgd")
            ),
            "Plain SGD keeps nothing of its own, but it needs the gradients: they are in the sum for every optimizer.",
        ),
        Misconception(
            "master_with_adam_only",
            lambda parameters, weight_bytes, optimizer, master: training_bytes(
                parameters, weight_bytes, optimizer, master and optimizer == "adam"
            ),
            "You add the master copy for Adam alone. It belongs to the weights: `master` decides, for every optimizer.",
        ),
        Misconception(
            "no_gradients",
            _itemised(gradients=0),
            "The gradients are missing. Each is as wide as its weight.",
        ),
        Misconception(
            "moments_as_wide_as_weights",
            _itemised(value_bytes=lambda width: width),
            "Your moments are as wide as the weights. Here they are always in fp32, 4 bytes.",
        ),
        Misconception(
            "no_master_copy",
            _itemised(master_bytes=0),
            "If `master` is True, a second copy of the weights is stored too, in fp32.",
        ),
        Misconception(
            "master_replaces_weights",
            lambda parameters, weight_bytes, optimizer, master: (
                training_bytes(parameters, weight_bytes, optimizer, master) - parameters * weight_bytes * master
            ),
            "You keep the master copy instead of the weights. The forward pass still needs those: keep both.",
        ),
        Misconception(
            "no_copy_of_fp32_weights",
            lambda parameters, weight_bytes, optimizer, master: training_bytes(
                parameters, weight_bytes, optimizer, master and weight_bytes != 4
            ),
            "You leave the master copy out where the weights are in fp32 already. `master` alone decides.",
        ),
        Misconception(
            "master_as_wide_as_weights",
            lambda parameters, weight_bytes, optimizer, master: (
                training_bytes(parameters, weight_bytes, optimizer, False) + parameters * weight_bytes * master
            ),
            "Your master copy is as wide as the weights. It is in fp32, 4 bytes, whatever they are.",
        ),
        Misconception(
            "gradients_in_fp32",
            lambda parameters, weight_bytes, optimizer, master: (
                training_bytes(parameters, weight_bytes, optimizer, master) + parameters * (4 - weight_bytes)
            ),
            "Your gradients are always in fp32. Here each is as wide as its weight.",
        ),
        Misconception(
            "sixteen_bytes",
            lambda parameters, weight_bytes, optimizer, master: 16 * parameters,
            "16 bytes per parameter are fp32 with Adam alone. Weights, optimizer and master copy may be others.",
        ),
        Misconception(
            "gigabytes",
            lambda *recipe: training_bytes(*recipe) / 1e9,
            "These are gigabytes. The exercise asks for bytes, as a whole number.",
        ),
        Misconception(
            "bits",
            lambda *recipe: 8 * training_bytes(*recipe),
            "Eight times too much: the exercise asks for bytes, not bits.",
        ),
    ),
    hints=(
        "Up to four items for each parameter: weight, gradient, the optimizer's state, perhaps a master copy.",
        "Two of them are as wide as weight_bytes says, the others have 4 bytes. How many numbers does each optimizer keep?",
    ),
)

EXERCISES = (TRAINING, PEAK)
