"""Claims of the slides of 09_scaling_laws that are formulas: Kaplan's laws, compute, energy."""

import math

from lib.accounting import (
    POUND,
    co2_kg,
    data_multiplier,
    energy_kwh,
    kaplan_loss,
    kaplan_loss_c,
    kaplan_loss_d,
    kaplan_loss_n,
    mixture_epochs,
    training_flops,
)
from lib.slides.recomputed.scaling import GPT3_TRAINING_TOKENS
from lib.slides.registry import Measured, recompute
from lib.slides.tables import load_table

ENDLESS = 1e30  # tokens, in place of infinitely many
BERT_WATTS, BERT_HOURS, PUE = 12_041.5, 79, 1.58  # Strubell et al. 2019, table 3 and section 2
POUNDS_PER_KWH, POUNDS_OF_FLIGHT = 0.954, 1984  # the same, section 2 and table 1: New York to San Francisco


@recompute("A17a")
def epochs_of_gpt3() -> tuple[float, ...]:
    """Epochs over each of C27's data sets in 300B tokens of its proportions."""
    table = load_table("gpt3_data")
    tokens, weights = 1e9 * table.tokens_billion.to_numpy(), table.weight_pct.to_numpy() / 100
    return tuple(float(value) for value in mixture_epochs(tokens, weights, GPT3_TRAINING_TOKENS))


@recompute("A23d")
def training_compute() -> tuple[float, float]:
    """FLOPs (in 10^24) to train GPT-3 and Llama 3 405B, by the sizes that the slides print."""
    return training_flops(175e9, GPT3_TRAINING_TOKENS) / 1e24, training_flops(405e9, 15e12) / 1e24


@recompute("A62")
def small_and_long_against_large_and_short() -> tuple[float, float, float]:
    """Llama-1-13B (1.0T tokens) against GPT-3 (300B): size, tokens per parameter, compute."""
    small, large, read = 13e9, 175e9, 1e12
    compute = training_flops(large, GPT3_TRAINING_TOKENS) / training_flops(small, read)
    return large / small, (read / small) / (GPT3_TRAINING_TOKENS / large), compute


@recompute("T08a")
def loss_falls_as_a_power() -> bool:
    """Whether each tenfold increase of parameters, data or compute lowers the loss by the same factor."""
    for law in (kaplan_loss_n, kaplan_loss_d, kaplan_loss_c):
        losses = [float(law(10.0**power)) for power in (6, 7, 8, 9)]
        shares = [after / before for before, after in zip(losses, losses[1:])]
        if not (max(shares) < 1 and math.isclose(min(shares), max(shares), rel_tol=1e-9)):
            return False
    return True


@recompute("A33")
def data_for_eight_times_the_model() -> Measured:
    """By what factor the data must grow for an eight times larger model, by three published exponents."""
    exponents = (0.74, 0.076 / 0.103, 0.076 / 0.095)
    words = f"exactly 5 would be 8 to the power {math.log(5) / math.log(8):.3f}"
    return Measured(tuple(float(data_multiplier(8, exponent)) for exponent in exponents), words)


@recompute("A34")
def penalties() -> tuple[float, ...]:
    """Loss relative to that with infinite data: a model, one 8 times as large, the same with 5 times the data."""
    return tuple(_penalty(n, d) for n, d in ((1e8, 1e10), (8e8, 1e10), (8e8, 5e10)))


@recompute("T09a")
def one_factor_bottlenecks() -> bool:
    """Whether each tenfold increase of one factor gains less than the one before, with the other factor fixed."""
    for grow in (lambda x: (x, 1e10), lambda x: (1e9, x)):
        losses = [math.log(float(kaplan_loss(*grow(10.0**power)))) for power in range(8, 14)]
        gains = [before - after for before, after in zip(losses, losses[1:])]
        if not all(later < earlier for earlier, later in zip(gains, gains[1:])):
            return False
    return True


@recompute("T10a")
def larger_models_need_less_data() -> Measured:
    """Whether a larger model needs fewer tokens to reach the same loss."""
    loss = float(kaplan_loss(1e8, 1e10))
    tokens = [_tokens_for(loss, parameters) for parameters in (1e8, 1e9, 1e10)]
    words = "what 0.1B parameters learn from 10B tokens, 1B and 10B learn from "
    words += " and ".join(f"{count / 1e9:.2g}B" for count in tokens[1:])
    return Measured(tokens == sorted(tokens, reverse=True), words)


@recompute("A53")
def bert_in_flights() -> Measured:
    """CO2 of training BERT-base on GPUs, divided by that of one passenger's flight."""
    energy = energy_kwh(BERT_WATTS, BERT_HOURS, PUE)
    flights = co2_kg(energy, POUNDS_PER_KWH * POUND) / (POUNDS_OF_FLIGHT * POUND)
    return Measured(flights, f"{energy:,.0f} kWh")


def _penalty(parameters: float, tokens: float) -> float:
    return float(kaplan_loss(parameters, tokens) / kaplan_loss(parameters, ENDLESS))


def _tokens_for(loss: float, parameters: float) -> float:
    """By bisection, since the loss falls with the tokens."""
    low, high = 0.0, 20.0  # powers of ten
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if kaplan_loss(parameters, 10**middle) > loss else (low, middle)
    return 10**high
