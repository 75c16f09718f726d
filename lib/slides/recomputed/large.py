"""Claims of the slides of 09_scaling_laws about PaLM, Megatron-Turing and Chinchilla, from the layers of their papers."""

from lib.models import TransformerConfig, count_parameters
from lib.slides.claimed import claims
from lib.slides.registry import Measured, recompute
from lib.slides.sizes import parse_size
from lib.slides.tables import load_table

# Chowdhery et al. 2022, table 1 and section 2: one key and value head, no biases, tied embeddings.
PALM = TransformerConfig(
    architecture="decoder",
    vocab_size=256_000,
    d_model=18_432,
    num_layers=118,
    num_heads=48,
    num_kv_heads=1,
    head_dim=256,
    d_ff=4 * 18_432,
    activation="silu",
    gated=True,
    bias=False,
    position="rotary",
)

# Smith et al. 2022, section 3.1: a GPT-2 of 105 layers; its vocabulary is GPT-2's, padded to 51,200.
MEGATRON_TURING = TransformerConfig(
    architecture="decoder",
    vocab_size=51_200,
    d_model=20_480,
    num_layers=105,
    num_heads=128,
    d_ff=4 * 20_480,
    max_positions=2048,
    activation="gelu_tanh",
)

# Hoffmann et al. 2022, table 4; vocabulary, norms and relative positions are Gopher's (Rae et al. 2021, section 3.1).
CHINCHILLA = TransformerConfig(
    architecture="decoder",
    vocab_size=32_000,
    d_model=8192,
    num_layers=80,
    num_heads=64,
    d_ff=4 * 8192,
    norm="rmsnorm",
    bias=False,
    position="none",
)


@recompute("A51d")
def palm_of_t43() -> int:
    """The largest PaLM from its layers."""
    return count_parameters(PALM)


@recompute("N47a")
def palm_of_n47() -> int:
    """The largest PaLM from its layers."""
    return count_parameters(PALM)


@recompute("T22d")
def palm_of_t22() -> int:
    """The largest PaLM from its layers."""
    return count_parameters(PALM)


@recompute("N47b")
def megatron_turing() -> int:
    """Megatron-Turing NLG from its layers."""
    return count_parameters(MEGATRON_TURING)


@recompute("A64")
def megatron_is_the_larger() -> Measured:
    """Whether Megatron-Turing NLG is larger than PaLM, as N47's sizes say."""
    palm, megatron = count_parameters(PALM), count_parameters(MEGATRON_TURING)
    return Measured(megatron > palm, f"PaLM has {palm:,}, Megatron-Turing {megatron:,}")


@recompute("X02")
def one_size_of_palm() -> Measured:
    """Whether N47, T22 and T43 give PaLM one size."""
    in_t43 = parse_size(load_table("foundation_models").set_index("model").params["PaLM"])
    sizes = {claims()["N47a"].value, claims()["T22d"].value, in_t43}
    return Measured(len(sizes) == 1, "; ".join(f"{size / 1e9:g}B" for size in sorted(sizes)))


@recompute("T22e")
def chinchilla() -> Measured:
    """Chinchilla from its layers; relative positions have a matrix of their own in each (Dai et al. 2019)."""
    positions = CHINCHILLA.num_layers * CHINCHILLA.d_model**2
    count = count_parameters(CHINCHILLA) + positions
    return Measured(count, f"{positions / 1e9:.1f}B of them for relative positions")
