"""Claims of the slides of 14_lora_and_peft: trainable parameters, memory, the table of W28."""

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from lib.models import count_parameters, preset
from lib.slides.claimed import claims
from lib.slides.registry import Measured, recompute
from lib.slides.tables import load_table

GPT3_PARAMETERS = 175 * 10**9  # as W28 prints it


@recompute("A45")
def shares_between_the_printed_ends() -> Measured:
    """Whether all seven methods of W28 train between 0.01 % and 1 % of the parameters."""
    table = load_table("lora_gpt3")
    shares = [float(share) for share in 100 * table.trainable_m[1:] / table.trainable_m[0]]
    inside = sum(0.01 <= share <= 1 for share in shares)
    words = f"{inside} of {len(shares)} do; from {min(shares):.4f} % to {max(shares):.4f} %"
    return Measured(inside == len(shares), words)


@recompute("A46")
def all_of_gpt3() -> Measured:
    """GPT-3 from its layers, in millions."""
    config = preset("gpt-3-175b")
    untied = count_parameters(replace(config, tie_embeddings=False)) / 1e6
    return Measured(count_parameters(config) / 1e6, f"{untied:,.1f} with an output layer of its own")


@recompute("A47")
def gpt3_of_w26() -> int:
    """GPT-3 from its layers."""
    return count_parameters(preset("gpt-3-175b"))


@recompute("X07")
def one_size_of_gpt3() -> Measured:
    """Whether W26 gives GPT-3 the size that the other slides give it."""
    sizes = {claims()["A47"].value, claims()["C18c"].value}
    return Measured(len(sizes) == 1, " and ".join(f"{size / 1e9:g}B" for size in sorted(sizes)))


@recompute("F10")
def theta_reaches_full_finetuning() -> Measured:
    """Whether W26's formula, with theta of low rank, can express a step of full fine-tuning."""
    step = _step_of_full_finetuning()
    rank = int(torch.linalg.matrix_rank(step))
    left = float((step - _best_of_rank(step, 4)).norm() / step.norm())
    words = f"a gradient step has rank {rank} of {min(step.shape)}; the best of rank 4 misses {left:.0%}"
    return Measured(left < 1e-6, words)


@recompute("W27a")
def nothing_changes_at_the_start() -> bool:
    """Whether W0 + BA gives bit for bit the same as W0 when B is zero and A is random."""
    x, base, down, up = _layer()
    return torch.equal(x @ (base + torch.zeros_like(up) @ down).T, x @ base.T)


@recompute("W27b")
def outputs_are_summed() -> bool:
    """Whether W0 x + BA x is (W0 + BA) x."""
    x, base, down, up = _layer()
    return torch.allclose(x @ base.T + (x @ down.T) @ up.T, x @ (base + up @ down).T, rtol=1e-12, atol=1e-12)


@recompute("W27c")
def larger_rank_comes_closer() -> Measured:
    """Whether the part of a full update that BA misses decreases with r and vanishes at r = min(d, k)."""
    step = _step_of_full_finetuning()
    missed = [float((step - _best_of_rank(step, rank)).norm() / step.norm()) for rank in range(1, 13)]
    falls = all(after < before for before, after in zip(missed, missed[1:]))
    words = "r = 1, 4, 8, 12 miss " + ", ".join(f"{missed[rank - 1]:.0%}" for rank in (1, 4, 8, 12))
    return Measured(falls and missed[-1] < 1e-9, words)


@recompute("A40a")
def reduction_of_memory() -> float:
    """The share of 1.2 TB that is saved when 350 GB remain."""
    return (1200 - 350) / 1200


@recompute("A41")
def weights_of_gpt3() -> tuple[float, float]:
    """GB of GPT-3's weights at two bytes each, and this divided by 35 MB."""
    weights = 2 * GPT3_PARAMETERS
    return weights / 1e9, weights / 35e6


@recompute("W28a")
def comparable_to_full_finetuning() -> Measured:
    """Whether, in every column of W28, one of the two LoRA rows is at least as good as full fine-tuning."""
    table = load_table("lora_gpt3")
    scores = table[["wikisql", "mnli_m", "samsum_r1", "samsum_r2", "samsum_rl"]]
    gains = scores[table.method == "GPT-3 (LoRA)"].max() - scores.iloc[0]
    words = "the better one gains " + ", ".join(f"{gain:.1f}" for gain in gains)
    return Measured(bool((gains >= 0).all()), words)


def _layer() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs x, weights W0 (12 by 16) and LoRA's A (4 by 16) and B (12 by 4), all random."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((64, 16), (12, 16), (4, 16), (12, 4))
    return tuple(torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in shapes)


@cache
def _step_of_full_finetuning() -> Tensor:
    """The gradient of a squared error for a 12 by 16 layer: the update of full fine-tuning, up to scale."""
    x, base, _, _ = _layer()
    weights = base.clone().requires_grad_()
    targets = torch.randn(64, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(((x @ weights.T - targets) ** 2).mean(), weights)
    return gradient


def _best_of_rank(matrix: Tensor, rank: int) -> Tensor:
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)  # Eckart and Young: the nearest matrix of this rank
    return (u[:, :rank] * s[:rank]) @ v[:rank]
