"""Which layers a peft configuration names: held against peft's own rule."""

import json

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists

from lib.adapters.peft_config import named_targets, read_config

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


@pytest.mark.parametrize("field, value", [
    ("task_type", "CAUSAL_LM"), ("auto_mapping", {"base_model_class": "GPT2Model"}), ("peft_version", "0.19.1"),
    ("base_model_name_or_path", "gpt2"), ("revision", "main"), ("inference_mode", True), ("r", 4), ("target_modules", ["q"]),
    ("exclude_modules", ["k"]), ("lora_alpha", 8), ("lora_dropout", 0.1), ("fan_in_fan_out", True), ("use_rslora", True),
    ("rank_pattern", {"q": 2}), ("alpha_pattern", {"q": 2}), ("layers_to_transform", [1]), ("layers_pattern", "blocks"),
    ("megatron_core", "megatron.core"), ("qalora_group_size", 16), ("bias", "none"), ("init_lora_weights", True),
    ("init_lora_weights", False), ("init_lora_weights", "gaussian"), ("init_lora_weights", "orthogonal"),
    ("modules_to_save", None), ("use_dora", False), ("loftq_config", {}),
])  # fmt: skip
def test_fields_that_leave_w_plus_s_ba_as_it_is_are_read(tmp_path, field, value):
    said = {"peft_type": "LORA", field: value}
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(said))
    assert read_config(path) == said


@pytest.mark.parametrize("field, value", [
    ("use_dora", True), ("modules_to_save", ["head"]), ("bias", "all"), ("bias", "lora_only"), ("init_lora_weights", "pissa"),
    ("init_lora_weights", "olora"), ("loftq_config", {"bits": 4}), ("trainable_token_indices", [1]), ("lora_bias", True),
    ("use_qalora", True), ("layer_replication", [[0, 2]]), ("eva_config", {"rho": 2}), ("corda_config", {"a": 1}),
    ("peft_type", "LOHA"), ("a_field_of_next_year", 1),
])  # fmt: skip
def test_fields_that_say_more_are_refused_by_their_name(tmp_path, field, value):
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({"peft_type": "LORA"} | {field: value}))
    with pytest.raises(ValueError, match="LOHA" if field == "peft_type" else field):
        read_config(path)
