"""What training and inference hold in memory: weights, gradients, optimizer state, master copy, the rest.

Slide T46 counts 16 bytes a parameter for Adam in fp32, slide T45 implies 16 for one model and 12 for two
others, slide W28 implies 6.86: each is a recipe, or none. A recipe is bytes per parameter; activations and
caches depend on the batch, and are counted in `activations` and `cache`.
"""

from dataclasses import dataclass

from lib import checks
from lib.accounting.parameters import parameter_breakdown
from lib.models import TransformerConfig


@dataclass(frozen=True)
class MemoryRecipe:
    """Bytes per parameter of one way to train, or to run. Raises ValueError for a negative share."""

    name: str
    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0  # what the optimizer keeps: Adam's first and second moment, say
    master: float = 0.0  # an fp32 copy of weights that are computed with in 16 bits
    note: str = ""

    def __post_init__(self) -> None:
        for share in ("weights", "gradients", "optimizer", "master"):
            checks.number(share, getattr(self, share), "[0, inf)")

    @property
    def per_parameter(self) -> float:
        """Bytes per parameter altogether."""
        return self.weights + self.gradients + self.optimizer + self.master


MEMORY_RECIPES = {
    recipe.name: recipe
    for recipe in (
        MemoryRecipe("inference-fp32", 4.0, note="slide T46: 7B in 28 GB"),
        MemoryRecipe("inference-fp16", 2.0, note="fp16 or bf16; slide T45's column for inference"),
        MemoryRecipe("inference-int8", 1.0, note="weights of one byte; their scales come on top"),
        MemoryRecipe("inference-int4", 0.5, note="two weights in a byte; their scales come on top"),
        MemoryRecipe("sgd-fp32", 4.0, 4.0, note="no state at all"),
        MemoryRecipe("sgd-momentum-fp32", 4.0, 4.0, 4.0, note="one moment"),
        MemoryRecipe("adam-fp32", 4.0, 4.0, 8.0, note="slide T46; both moments in fp32 (Kingma & Ba 2015)"),
        MemoryRecipe("adam-mixed", 2.0, 2.0, 8.0, 4.0, note="16-bit weights and gradients; fp32 master copy, "
                     "moments (Micikevicius et al. 2018; Rajbhandari et al. 2020, section 3.1)"),
        MemoryRecipe("adam-bf16-fp32-moments", 2.0, 2.0, 8.0, note="no master copy; moments in fp32"),
        MemoryRecipe("adam-bf16", 2.0, 2.0, 4.0, note="everything in bf16: small updates are rounded away"),
        MemoryRecipe("adam-8bit", 2.0, 2.0, 2.0, 4.0, note="moments in one byte each (Dettmers et al. 2022)"),
        MemoryRecipe("adam-8bit-bf16", 2.0, 2.0, 2.0, note="moments in one byte each, no master copy"),
    )
}  # fmt: skip
"""Named ways to train and to run, in bytes per parameter."""


@dataclass(frozen=True)
class MemoryBudget:
    """Bytes by what they hold."""

    weights: int
    gradients: int
    optimizer: int
    master: int
    activations: int = 0
    kv_cache: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.items().values())

    def items(self) -> dict[str, int]:
        """The items by name, those of zero bytes too."""
        return dict(self.__dict__)


def recipe_named(recipe: str | MemoryRecipe) -> MemoryRecipe:
    """A recipe by its name, or the recipe itself.

    Raises ValueError, with the nearest name, if there is none.

    >>> recipe_named("adam-fp32").per_parameter
    16.0
    """
    if isinstance(recipe, MemoryRecipe):
        return recipe
    return MEMORY_RECIPES[checks.one_of("recipe", recipe, MEMORY_RECIPES)]


def training_memory(
    parameters: checks.Whole,
    recipe: str | MemoryRecipe,
    *,
    trainable: checks.Whole | None = None,
    activations: checks.Whole = 0,
    kv_cache: checks.Whole = 0,
) -> MemoryBudget:
    """The bytes of training `parameters` parameters, of which `trainable` (None: all) have gradients.

    With fewer trainable ones, as in LoRA, all weights are held, but gradients, moments and master copies only
    of the trainable ones (slides T46, W28). Adapters count among the parameters.

    Raises ValueError for sizes below 1 (activations and cache: below 0), an unknown recipe, or more trainable
    parameters than there are.

    >>> training_memory(7_000_000_000, "adam-fp32").total
    112000000000
    >>> training_memory(175_000_000_000, "adam-mixed", trainable=18_874_368).total
    350264241152
    """
    recipe, parameters = recipe_named(recipe), checks.whole("parameters", parameters)
    trained = parameters if trainable is None else checks.whole("trainable", trainable)
    if trained > parameters:
        raise ValueError(f"trainable must be at most parameters = {parameters:,}, got {trained:,}")
    return MemoryBudget(
        _times(parameters, recipe.weights),
        *(_times(trained, share) for share in (recipe.gradients, recipe.optimizer, recipe.master)),
        activations=checks.whole("activations", activations, 0),
        kv_cache=checks.whole("kv_cache", kv_cache, 0),
    )


def explain_bytes_per_parameter(value: checks.Number, tolerance: checks.Number = 0.05) -> list[MemoryRecipe]:
    """The recipes that take `value` bytes per parameter, within `tolerance` bytes; none is an answer too.

    >>> [recipe.name for recipe in explain_bytes_per_parameter(12)]
    ['sgd-momentum-fp32', 'adam-bf16-fp32-moments']
    >>> explain_bytes_per_parameter(1.2e12 / 175e9)  # slide W28: 1.2 TB for GPT-3
    []
    """
    value, tolerance = checks.number("value", value, "[0, inf)"), checks.number("tolerance", tolerance, "[0, inf)")
    return [recipe for recipe in MEMORY_RECIPES.values() if abs(recipe.per_parameter - value) <= tolerance]


def quantized_bytes(
    parameters: checks.Whole | TransformerConfig,
    bits: checks.Whole,
    *,
    group_size: checks.Whole | None = None,
    scale_bytes: checks.Whole = 2,
) -> int:
    """Bytes of weights of `bits` bits, with one scale for each group (None: no scales counted; slide T47).

    A configuration stands for all parameters of its model; `lib.models.quantize_model` leaves embeddings and
    norms as they are. Raises ValueError for sizes below 1, or more than 32 bits.

    >>> quantized_bytes(1024, 4, group_size=32)  # half a byte each, and 32 scales of 2 bytes
    576
    """
    if isinstance(parameters, TransformerConfig):
        parameters = sum(parameter_breakdown(parameters).values())
    parameters, bits = checks.whole("parameters", parameters), checks.whole("bits", bits, 1, 32)
    scales = 0 if group_size is None else -(-parameters // checks.whole("group_size", group_size))
    return -(-parameters * bits // 8) + scales * checks.whole("scale_bytes", scale_bytes, 0)


def _times(parameters: int, per_parameter: float) -> int:
    """Whole bytes, without a float in between where it would lose some."""
    return int(parameters * per_parameter) if per_parameter % 1 else parameters * int(per_parameter)
