"""What models cost and what scale buys: parameters, memory, FLOPs, energy and scaling laws."""

from lib.accounting.activations import activation_bytes, megatron_activation_bytes
from lib.accounting.allocation import (
    Allocation,
    AllocationFit,
    allocation_exponents,
    compute_optimal,
    envelope_fit,
    isoflop_fit,
    kaplan_optimal,
)
from lib.accounting.cache import kv_cache_bytes
from lib.accounting.energy import POUND, co2_kg, energy_kwh
from lib.accounting.fitting import PowerLawFit, fit_power_law, fit_power_law_with_floor
from lib.accounting.flops import forward_flops, palm_flops_per_token, training_flops
from lib.accounting.group import train_both_ways, train_in_group
from lib.accounting.measured import gradient_bytes, optimizer_state_bytes, saved_bytes, tensor_bytes
from lib.accounting.memory import (
    MEMORY_RECIPES,
    MemoryBudget,
    MemoryRecipe,
    explain_bytes_per_parameter,
    quantized_bytes,
    training_memory,
)
from lib.accounting.parameters import (
    attention_parameters,
    feed_forward_parameters,
    non_embedding_parameters,
    parameter_breakdown,
)
from lib.accounting.peft import adapter_parameters, break_even_rank, low_rank_parameters, qlora_base_bytes
from lib.accounting.resampling import Bootstrap, bootstrap
from lib.accounting.scaling import (
    BESIROGLU,
    HOFFMANN,
    KAPLAN,
    KAPLAN_C,
    KAPLAN_D,
    KAPLAN_N,
    PF_DAY,
    ChinchillaLaw,
    KaplanLaw,
    PowerLaw,
    chinchilla_loss,
    data_multiplier,
    effective_tokens,
    kaplan_loss,
    kaplan_loss_c,
    kaplan_loss_d,
    kaplan_loss_n,
    mixture_epochs,
)
from lib.accounting.surface import SurfaceFit, fit_loss_surface
from lib.accounting.timeline import MemoryTimeline, Timeline
from lib.accounting.units import format_bytes, gb, gib, gpus_needed
from lib.accounting.uses import bytes_of_uses
from lib.accounting.zero import zero_memory

__all__ = [
    "BESIROGLU",
    "HOFFMANN",
    "KAPLAN",
    "KAPLAN_C",
    "KAPLAN_D",
    "KAPLAN_N",
    "MEMORY_RECIPES",
    "PF_DAY",
    "POUND",
    "Allocation",
    "AllocationFit",
    "Bootstrap",
    "ChinchillaLaw",
    "KaplanLaw",
    "MemoryBudget",
    "MemoryRecipe",
    "MemoryTimeline",
    "PowerLaw",
    "PowerLawFit",
    "SurfaceFit",
    "Timeline",
    "activation_bytes",
    "adapter_parameters",
    "allocation_exponents",
    "attention_parameters",
    "bootstrap",
    "break_even_rank",
    "bytes_of_uses",
    "chinchilla_loss",
    "co2_kg",
    "compute_optimal",
    "data_multiplier",
    "effective_tokens",
    "energy_kwh",
    "envelope_fit",
    "explain_bytes_per_parameter",
    "feed_forward_parameters",
    "fit_loss_surface",
    "fit_power_law",
    "fit_power_law_with_floor",
    "format_bytes",
    "forward_flops",
    "gb",
    "gib",
    "gpus_needed",
    "gradient_bytes",
    "isoflop_fit",
    "kaplan_loss",
    "kaplan_loss_c",
    "kaplan_loss_d",
    "kaplan_loss_n",
    "kaplan_optimal",
    "kv_cache_bytes",
    "low_rank_parameters",
    "megatron_activation_bytes",
    "mixture_epochs",
    "non_embedding_parameters",
    "optimizer_state_bytes",
    "palm_flops_per_token",
    "parameter_breakdown",
    "qlora_base_bytes",
    "quantized_bytes",
    "saved_bytes",
    "tensor_bytes",
    "train_both_ways",
    "train_in_group",
    "training_flops",
    "training_memory",
    "zero_memory",
]
