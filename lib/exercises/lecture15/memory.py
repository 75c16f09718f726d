"""Exercises of notebook 15: the bytes of a training run from its recipe, and the recipe from the bytes."""

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
        case("T46: 7B in fp32 with Adam", 7_000_000_000, 4, "adam", False),
        case("mixed precision with a master copy", 7_000_000_000, 2, "adam", True),
        case("T45: 70B without one", 70_000_000_000, 2, "adam", False),
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
            "Your Adam stores one number per parameter, as slide T46 words it. It stores both moments, m and v.",
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
            "gigabytes",
            lambda *recipe: training_bytes(*recipe) / 1e9,
            "These are gigabytes. The exercise asks for bytes, as a whole number.",
        ),
        Misconception(
            "bits",
            lambda *recipe: 8 * training_bytes(*recipe),
            "Eight times too much: slide T46 writes a small b but means bytes.",
        ),
    ),
    hints=(
        "Up to four items for each parameter: weight, gradient, the optimizer's state, perhaps a master copy.",
        ("parameters * (weight_bytes + weight_bytes + 4 * {'adam': 2, 'momentum': 1, 'sgd': 0}[optimizer] + …)"),
    ),
)


# --- memory.which_recipes -----------------------------------------------------------------------------------
RECIPES = {
    "fp32, Adam": [4, 4, 8, 0],
    "fp32, momentum": [4, 4, 4, 0],
    "16-bit weights, Adam in fp32": [2, 2, 8, 0],
    "mixed precision, master copy": [2, 2, 8, 4],
    "16-bit weights, 8-bit Adam": [2, 2, 2, 0],
    "inference in 16 bits": [2, 0, 0, 0],
    "inference in 4 bits": [0.5, 0, 0, 0],
}


def which_recipes(gigabytes: float | int, billions: float | int, recipes: dict[str, list[float | int]]) -> list[str]:
    """The recipes whose bytes per parameter are within 0.1 of gigabytes / billions.

    >>> which_recipes(840, 70, RECIPES)
    ['fp32, momentum', '16-bit weights, Adam in fp32']
    """
    return _chosen(lambda due, items: abs(sum(items) - due) <= 0.1)(gigabytes, billions, recipes)


def _chosen(fits, ratio=lambda gigabytes, billions: gigabytes / billions):
    """An answer that keeps the recipes for which `fits(bytes per parameter, items)`."""
    return lambda gigabytes, billions, recipes: [
        name for name, items in recipes.items() if fits(ratio(gigabytes, billions), items)
    ]


def _near(due, items):
    return abs(sum(items) - due) <= 0.1


def _table_cases(generator):
    size = int(torch.randint(2, 90, (1,), generator=generator))
    drawn = _drawn_recipes(generator)
    one, other = torch.randint(1000, 20_000, (2,), generator=generator).tolist()  # hundredths of a billion
    common = list(RECIPES)[int(torch.randint(len(RECIPES), (1,), generator=generator))]
    rare = list(drawn)[int(torch.randint(len(drawn), (1,), generator=generator))]
    return [
        case("T46: 7B in 112 GB", 112, 7, RECIPES),
        case("T45: 70B in 840 GB", 840, 70, RECIPES),
        case("W28: 175B in 1.2 TB", 1200, 175, RECIPES),
        case("W28: 175B in 350 GB", 350, 175, RECIPES),
        case("less than a byte: 2B in 1 GB", 1, 2, RECIPES),
        case("a rounded size: 65.286B in 392 GB", 392, 65.286, RECIPES),
        case("a random size, at 12 bytes", 12 * size, size, RECIPES),
        case("no recipes", 112, 7, {}),
        case("a random recipe, in whole GB", round(one / 100 * sum(RECIPES[common])), one / 100, RECIPES),
        case("other random recipes", round(other / 100 * sum(drawn[rare])), other / 100, drawn),
        case("0.09 bytes too much", 846.3, 70, RECIPES),
        case("0.11 bytes too much", 847.7, 70, RECIPES),
        case("0.09 bytes too little", 833.7, 70, RECIPES),
        case("0.11 bytes too little", 832.3, 70, RECIPES),
        case("a small model: 0.35B in 4.17 GB", 4.17, 0.35, RECIPES),
        case("a small model: 0.35B in 4.15 GB", 4.15, 0.35, RECIPES),
        case("the farther one first", 24, 2, {"wide": [2, 2, 8, 0.08], "exact": [2, 2, 8, 0], "also": [4, 4, 0, 4]}),
    ]


def _drawn_recipes(generator):
    """Eight random recipes: bytes for weights, gradients, the optimizer's state and a master copy."""
    items = [[0.5, 1, 2, 4], [0, 1, 2, 4], [0, 1, 2, 4, 6, 8], [0, 2, 4]]
    return {
        f"recipe {letter}": [choice[int(torch.randint(len(choice), (1,), generator=generator))] for choice in items]
        for letter in "ABCDEFGH"
    }


def _nearest(gigabytes, billions, recipes):
    off = {name: abs(sum(items) - gigabytes / billions) for name, items in recipes.items()}
    return [name for name in off if off[name] == min(off.values())]


WHICH = Exercise(
    id="memory.which_recipes",
    slides=("T45", "T46", "W28"),
    points=3,
    minutes=10,
    title="Which recipe did the slide use?",
    reference=which_recipes,
    cases=_table_cases,
    accepts=(_chosen(lambda due, items: due - 0.1 <= sum(items) <= due + 0.1),),
    withheld=("lib.accounting.memory.explain_bytes_per_parameter",),
    misconceptions=(
        Misconception(
            "always_the_nearest",
            _nearest,
            "You always name the nearest recipe, however far away. If none is within 0.1 byte, the answer is [].",
        ),
        Misconception(
            "equal",
            _chosen(lambda due, items: sum(items) == due),
            "You test for equality. Sizes are rounded (65.286B in 392 GB): allow 0.1 byte on either side.",
        ),
        Misconception(
            "rounded",
            _chosen(lambda due, items: sum(items) == round(due)),
            "You round to whole bytes. 4 bits are half a byte, and 12.4 bytes are not 12: compare the difference.",
        ),
        Misconception(
            "the_nearest_within",
            lambda *table: [name for name in _nearest(*table) if name in which_recipes(*table)][:1],
            "You name only the nearest of those within 0.1 byte. Rounded figures do not tell them apart: name all.",
        ),
        Misconception(
            "a_tenth_of_a_gigabyte",
            lambda gigabytes, billions, recipes: [
                name for name, items in recipes.items() if abs(sum(items) * billions - gigabytes) <= 0.1
            ],
            "You allow 0.1 GB for the whole model. It is 0.1 byte *per parameter*: compare after dividing.",
        ),
        Misconception(
            "one_sided",
            _chosen(lambda due, items: 0 <= due - sum(items) <= 0.1),
            "You allow a difference on one side only. A figure may be rounded up or down: take its absolute value.",
        ),
        Misconception(
            "sorted_names",
            lambda *table: sorted(which_recipes(*table)),
            "You sort the names. They are asked for in the order of `recipes`.",
        ),
        Misconception(
            "the_first_only",
            lambda *table: which_recipes(*table)[:1],
            "You stop at the first. Several recipes may have the same size: name them all.",
        ),
        Misconception(
            "whatever_fits",
            _chosen(lambda due, items: sum(items) <= due + 0.1),
            "You list every recipe that would fit into this memory. List only those that need exactly this much.",
        ),
        Misconception(
            "weights_and_gradients",
            _chosen(lambda due, items: _near(due, items[:2])),
            "You add only weights and gradients. The optimizer's state and the master copy count too.",
        ),
        Misconception(
            "no_master_copy",
            _chosen(lambda due, items: _near(due, items[:3])),
            "You leave out the last item, the master copy.",
        ),
        Misconception(
            "gibibytes",
            _chosen(_near, lambda gigabytes, billions: gigabytes * 2**30 / (billions * 1e9)),
            "You treat GB as GiB (2³⁰ bytes). The slides' GB are 10⁹ bytes: GB / billions is bytes per parameter.",
        ),
        Misconception(
            "upside_down",
            _chosen(_near, lambda gigabytes, billions: billions / gigabytes),
            "You divided parameters by bytes. Bytes *per* parameter is gigabytes / billions.",
        ),
    ),
    hints=(
        "gigabytes / billions is the number of bytes per parameter: the two 10⁹ cancel.",
        "[name for name, items in recipes.items() if abs(sum(items) - …) <= 0.1]",
    ),
)

EXERCISES = (TRAINING, WHICH)
