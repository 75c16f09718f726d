"""Exercises of notebook 15: the bytes of a training run from its recipe, and the peak of a step."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case

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


# --- memory.step_peak ---------------------------------------------------------------------------------------
def step_peak(fixed: int, saved: list[int], inputs: list[int], gradients: list[int], recompute: bool) -> int:
    """The most bytes that live at once in a training step of a model of blocks, without temporary buffers.

    >>> step_peak(10, [5, 5], [1, 1], [2, 2], False), step_peak(10, [5, 5], [1, 1], [2, 2], True)
    (22, 20)
    """
    kept = inputs if recompute else saved
    live = peak = fixed + sum(kept)
    for i in reversed(range(len(saved))):
        live += gradients[i]
        peak = max(peak, live + saved[i] * recompute)
        live -= kept[i]
    return peak


def _peak_cases(generator):
    def drawn(low, high, n):
        return torch.randint(low, high, (n,), generator=generator).tolist()

    def random_blocks(name, large, n, recompute):
        return case(
            name, *drawn(1, 10**6, 1), drawn(1000, 90_000, n), drawn(50, 900, n), drawn(10, large, n), recompute
        )

    return [
        case("two equal blocks", 10, [5, 5], [1, 1], [2, 2], False),
        case("two equal blocks, recomputed", 10, [5, 5], [1, 1], [2, 2], True),
        case("many activations, small gradients", 1000, [700, 800, 900], [70, 80, 90], [10, 20, 30], False),
        case("few activations, large gradients", 1000, [10, 20, 30], [1, 2, 3], [700, 800, 900], False),
        case("few activations, large gradients, recomputed", 1000, [10, 20, 30], [4, 5, 6], [700, 800, 900], True),
        case("the peak is in the middle", 0, [10, 90, 90, 10], [1, 9, 9, 1], [5, 60, 95, 5], False),
        case("the peak is in the middle, recomputed", 7, [10, 500, 90, 10], [11, 40, 9, 31], [5, 60, 95, 5], True),
        case("one block", 100, [50], [5], [30], False),
        case("one block, recomputed", 100, [50], [5], [30], True),
        case("a block without parameters, one that saves nothing", 64, [40, 0, 70], [8, 8, 8], [0, 90, 20], False),
        case("large inputs, recomputed", 200, [30, 40, 300], [90, 80, 70], [5, 5, 5], True),
        random_blocks("random blocks", 2000, 6, False),
        random_blocks("random blocks, large gradients", 150_000, 7, False),
        random_blocks("random blocks, recomputed", 2000, 6, True),
        random_blocks("random blocks, large gradients, recomputed", 150_000, 7, True),
    ]


def _moments(live):
    """An answer: the largest of `live(i, fixed, kept, saved, gradients, recompute)` over the blocks i."""

    def answer(fixed, saved, inputs, gradients, recompute):
        kept = inputs if recompute else saved
        return max(live(i, fixed, kept, saved, gradients, recompute) for i in range(len(saved)))

    return answer


PEAK = Exercise(
    id="memory.step_peak",
    slides=("T46",),
    points=4,
    minutes=20,
    title="The peak of a step",
    reference=step_peak,
    cases=_peak_cases,
    accepts=(
        _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + saved[i] * again + sum(g[i:])),
    ),
    misconceptions=(
        Misconception(
            "sum_of_all",
            lambda fixed, saved, inputs, gradients, recompute: (
                fixed + sum(gradients) + (sum(inputs) + max(saved) if recompute else sum(saved))
            ),
            "This is the sum of all parts. They do not all live at once: activations go while gradients come.",
        ),
        Misconception(
            "end_of_forward",
            lambda fixed, saved, inputs, gradients, recompute: fixed + sum(inputs if recompute else saved),
            "This is the end of the forward pass. In the backward pass gradients are added: look at each of its moments.",
        ),
        Misconception(
            "end_of_backward",
            lambda fixed, saved, inputs, gradients, recompute: fixed + sum(gradients),
            "This is the end of the backward pass, when all activations are gone. Look at the moments before it.",
        ),
        Misconception(
            "only_the_two_ends",
            lambda fixed, saved, inputs, gradients, recompute: (
                fixed + max(sum(inputs if recompute else saved), sum(gradients))
            ),
            "You compare the two ends of the backward pass. At a block in between, some activations and some gradients live.",
        ),
        Misconception(
            "first_block_first",
            _moments(
                lambda i, fixed, kept, saved, g, again: fixed + sum(kept[i:]) + saved[i] * again + sum(g[: i + 1])
            ),
            "Your backward pass begins at the first block. It goes from the last block to the first.",
        ),
        Misconception(
            "freed_too_early",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[:i]) + sum(g[i:])),
            "You free what a block has put aside before its gradients are there. While it is at work, both live.",
        ),
        Misconception(
            "gradients_too_late",
            _moments(
                lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + saved[i] * again + sum(g[i + 1 :])
            ),
            "You add a block's gradients only after it is done. They are there in full beside what it has put aside.",
        ),
        Misconception(
            "gradients_freed",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + saved[i] * again + g[i]),
            "You free the gradients of each block after it. All of them stay until the update.",
        ),
        Misconception(
            "activations_stay",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept) + saved[i] * again + sum(g[i:])),
            "In your step nothing is freed in the backward pass. What a block has put aside goes when it is done.",
        ),
        Misconception(
            "recompute_ignored",
            lambda fixed, saved, inputs, gradients, recompute: step_peak(fixed, saved, inputs, gradients, False),
            "You ignore `recompute`. If it is True, the forward pass keeps inputs[i] of each block, not saved[i].",
        ),
        Misconception(
            "block_in_full_forgotten",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + sum(g[i:])),
            "With recomputation the block at work has saved[i] bytes besides its input, for a moment.",
        ),
        Misconception(
            "inputs_forgotten",
            lambda fixed, saved, inputs, gradients, recompute: step_peak(
                fixed, saved, [0] * len(inputs) if recompute else inputs, gradients, recompute
            ),
            "With recomputation the inputs of all blocks before still wait: they belong to the sum.",
        ),
        Misconception(
            "recomputed_stays",
            _moments(
                lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + sum(saved[i:]) * again + sum(g[i:])
            ),
            "What a block computes again lives while this block is at work. You keep it to the end.",
        ),
        Misconception(
            "without_fixed",
            lambda fixed, *rest: step_peak(0, *rest),
            "Weights and moments are missing: `fixed` bytes are there all the time.",
        ),
    ),
    hints=(
        "How much lives at the end of the forward pass? Keep this number, and change it as the backward pass goes on.",
        "At each block, from the last to the first: what appears, what lives at this moment, and only then what goes?",
    ),
)

EXERCISES = (TRAINING, PEAK)
