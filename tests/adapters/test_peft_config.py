"""Which layers a peft configuration names: held against peft's own rule."""

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists

from lib.adapters.peft_config import named_targets

LAYERS = [
    "q", "seq", "0.q", "0.seq", "0.attention.q", "0.attention.eq", "1.attention.q", "11.attention.q",
    "blocks.0.attention.q", "blocks.1.attention.q", "blocks.10.attention.q", "layers.1.attention.q",
    "blocks.1.feed_forward.up", "blocks.1.feed_forward.up.q", "head",
]  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q"]},
        {"target_modules": ["attention.q", "head"]},
        {"target_modules": ["seq"]},
        {"target_modules": r".*\.q"},
        {"target_modules": r"q"},
        {"target_modules": r".*1.*q"},
        {"target_modules": ["q"], "exclude_modules": ["attention.q"]},
        {"target_modules": ["q", "up"], "exclude_modules": r"blocks\..*"},
        {"target_modules": ["q"], "layers_to_transform": [1]},
        {"target_modules": ["q"], "layers_to_transform": 1},
        {"target_modules": ["q"], "layers_to_transform": [0, 10], "layers_pattern": "blocks"},
        {"target_modules": ["q"], "layers_to_transform": [1], "layers_pattern": ["layers"]},
    ],
    ids=str,
)
def test_the_layers_are_those_that_peft_would_adapt(config):
    theirs = LoraConfig(**config)
    expected = [name for name in LAYERS if check_target_module_exists(theirs, name)]
    assert named_targets(config, LAYERS) == expected
    assert 0 < len(expected) < len(LAYERS)


def test_a_name_is_the_end_after_a_dot():
    assert named_targets({"target_modules": ["q"]}, ["0.q", "0.seq", "q", "seq"]) == ["0.q", "q"]


@pytest.mark.parametrize("names", [None, 3, "(q"])
def test_names_of_another_kind_are_a_damaged_file(names):
    with pytest.raises(ValueError, match="adapter_config.json is damaged"):
        named_targets({"target_modules": names}, LAYERS)
