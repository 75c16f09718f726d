"""The recipe that a slide's figures imply: an exercise of `memory`."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case

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
            "half_a_byte",
            _chosen(lambda due, items: abs(sum(items) - due) <= 0.5),
            "You allow half a byte, as rounding does. The exercise allows 0.1 byte per parameter.",
        ),
        Misconception(
            "weights_alone",
            _chosen(lambda due, items: _near(due, items[:1])),
            "You compare the weights alone. A recipe is the sum of its four items.",
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
