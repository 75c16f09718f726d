"""Lectures that had another name: what somebody typed, stored or handed in under it is still understood."""

from collections.abc import Iterator
from pathlib import Path

RENAMED = {
    "01_attention_and_masks": "01_attention",
    "03_mlm_masking": "04_mlm_masking",
    "05_autoregressive_objective": "06_autoregressive_objective",
    "08_scaling_laws": "09_scaling_laws",
    "09_alignment_and_sft": "10_alignment_and_sft",
    "10_bradley_terry_reward": "11_bradley_terry_reward",
    "11_reinforce": "12_reinforce",
    "12_rlhf_ppo_dpo": "13_rlhf_ppo_dpo",
    "13_lora_and_peft": "14_lora_and_peft",
    "14_memory_footprint": "15_memory_footprint",
    "15_int8_and_kernels": "16_int8",
}
"""A lecture's former name and its present one, both without .ipynb. A name that was once in use is never given again."""


def present_name(stem: str) -> str:
    """What the lecture `stem` is called now; `stem` itself where it has always been called so.

    >>> present_name("03_mlm_masking"), present_name("04_mlm_masking")
    ('04_mlm_masking', '04_mlm_masking')
    """
    return RENAMED.get(stem, stem)


def all_names(stem: str) -> tuple[str, ...]:
    """Every name that the lecture `stem` has or had, the present one first.

    >>> all_names("16_int8")
    ('16_int8', '15_int8_and_kernels')
    """
    now = present_name(stem)
    return now, *(old for old, new in RENAMED.items() if new == now)


def left_alone(folder: Path) -> Iterator[str]:
    """One line for each notebook in `folder` that still has a former name: it is somebody's work, and stays as it is."""
    for old, new in RENAMED.items():
        if (folder / f"{old}.ipynb").is_file():
            yield f"{old}.ipynb: now {new}; yours is left as it is"
