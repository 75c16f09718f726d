"""Which matrices a pattern names, ours, transformers' and fused ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from lib.adapters import LoraSettings, count_trainable, inject_lora
from lib.adapters.targets import find_targets, select_targets
from lib.models import Decoder, EncoderDecoder, MaskedLM, preset
from tests.adapters import adapted
from tests.models import small, theirs


def names(model, *patterns):
    return [target.name for target in select_targets(model, patterns)]


def test_query_and_value_are_rows_of_the_fused_matrix():
    model = adapted.llama()
    q, v = select_targets(model, ("*.1.attention.qkv.q", "1.attention.qkv.v"))
    assert [q.name, v.name] == ["stack.blocks.1.attention.qkv.q", "stack.blocks.1.attention.qkv.v"]
    assert (q.start, q.stop, v.start, v.stop) == (0, 16, 24, 32)  # 4 heads of 4 for q, 2 for k and for v
    assert q.module is v.module is model.stack.blocks[1].attention.qkv


def test_the_rows_are_those_that_attention_splits():
    model = adapted.llama()
    attention = model.stack.blocks[0].attention
    x = torch.randn(1, 3, 16)
    pieces = attention.qkv(x).split(attention.sizes, dim=-1)
    found = find_targets(model)
    for part, piece in zip("qkv", pieces):
        target = found[f"stack.blocks.0.attention.qkv.{part}"]
        assert torch.equal(attention.qkv(x)[..., target.start : target.stop], piece)


@pytest.mark.parametrize("make, pattern, count", [
    (adapted.llama, "qkv", 2),
    (adapted.llama, "*", 14),  # q, k, v, output, gate, up, down, as the architecture has them
    (adapted.llama, "0.attention.*", 4),
    (adapted.llama, "feed_forward.gate", 2),
    (adapted.llama, "*.1.feed_forward.gate_up", 1),
    (adapted.llama, "feed_forward.*", 6),
    (adapted.llama, "qkv.*", 6),
    (adapted.decoder, "*", 12),
    (adapted.decoder, "up", 2),
    (adapted.seq2seq, "up", 5),
    (adapted.seq2seq, "kv", 2),
    (adapted.encoder, "q", 2),
    (adapted.seq2seq, "v", 5 + 2),  # self-attention of 3 + 2 layers, cross-attention of 2
    (adapted.seq2seq, "cross.query", 2),
    (theirs.llama, "q_proj", 2),
    (theirs.llama, "[qv]_proj", 4),
    (theirs.gpt2, "c_attn", 2),
    (theirs.gpt2, "c_proj", 4),
    (theirs.gpt2, "attn.c_proj", 2),
    (theirs.bert, "query", 2),
    (theirs.t5, "SelfAttention.q", 5),
])  # fmt: skip
def test_patterns(make, pattern, count):
    assert len(names(make(), pattern)) == count


LAYER = ("q", "k", "v", "attention.output", "gate", "up", "down")


@pytest.mark.parametrize("make, parts", [(adapted.llama, LAYER), (adapted.decoder, [n for n in LAYER if n != "gate"])])
def test_every_name_means_one_linear_map(make, parts):
    model = make()
    for part in parts:
        found = select_targets(model, (part,))
        assert len(found) == 2 and not any(target.fused for target in found), part
    rows = {id(target.module): [] for target in select_targets(model, parts)}
    for target in select_targets(model, parts):
        rows[id(target.module)] += range(target.start, target.stop)
    for module in (m for m in model.modules() if id(m) in rows):
        assert sorted(rows[id(module)]) == list(range(module.weight.shape[0]))  # each output once


def test_gate_and_up_are_the_halves_that_the_layer_multiplies():
    model = adapted.llama()
    layer = model.stack.blocks[0].feed_forward
    gate, up = select_targets(model, ("0.feed_forward.gate", "0.feed_forward.up"))
    assert gate.module is up.module is layer.up and (gate.outputs, up.outputs) == (24, 24)
    x = torch.randn(1, 3, 16)
    y = layer.up(x)
    product = layer.activation(y[..., gate.start : gate.stop]) * y[..., up.start : up.stop]
    assert torch.equal(layer.down(product), layer(x))


@pytest.mark.parametrize("targets, trained", [
    (LAYER, 39_976_960),
    (("*",), 39_976_960),
    (("q", "v"), 8_388_608),
    (("gate",), 7_733_248), (("up",), 7_733_248), (("down",), 7_733_248),
    (("gate", "up"), 15_466_496),
    (("gate_up",), 13_369_344),  # one A for both
])  # fmt: skip
def test_llama_2_7b_of_rank_16(targets, trained):
    with torch.device("meta"):
        model = Decoder(preset("llama-2-7b"))
    inject_lora(model, LoraSettings(rank=16, targets=targets))
    assert count_trainable(model) == trained


def test_on_transformers_llama_as_many_numbers_are_trained():
    counts = []
    for model, targets in ((theirs.llama(), ("*_proj",)), (adapted.llama(), LAYER), (adapted.llama(), ("*",))):
        inject_lora(model, LoraSettings(rank=2, targets=targets))
        counts.append(count_trainable(model))
    assert counts[0] == counts[1] == counts[2]


def test_a_whole_matrix_wins_over_its_parts():
    assert names(adapted.llama(), "0.attention.qkv", "0.attention.qkv.q") == ["stack.blocks.0.attention.qkv"]
    assert names(adapted.llama(), "0.feed_forward.gate_up", "0.*.up") == ["stack.blocks.0.feed_forward.gate_up"]


def test_a_name_is_not_matched_from_the_middle_of_a_word():
    model = nn.ModuleDict({"eq": nn.Linear(2, 2), "q": nn.Linear(2, 2)})
    assert names(model, "q") == ["q"]


def test_output_layers_that_are_not_called_are_left_out():
    model = adapted.llama()  # untied: it has a matrix of its own, used through output_weight
    assert model.output is not None and "output" not in find_targets(model)
    untied = EncoderDecoder(replace(small.seq2seq(), tie_embeddings=False))
    assert untied.output is not None and "output" not in find_targets(untied)
    assert "head.decoder" not in find_targets(MaskedLM(small.encoder(), "slide"))


def test_a_linear_layer_with_a_forward_of_its_own_is_left_out():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    assert not find_targets(nn.Sequential(Doubled(2, 2)))
    assert list(find_targets(nn.MultiheadAttention(4, 2))) == []  # torch reads out_proj.weight itself


@pytest.mark.parametrize("pattern, suggestion", [
    ("q_prj", "q_proj"),
    ("self_atn.q_proj", "self_attn.q_proj"),
    ("query", "q_proj"),  # nothing near enough: all are named
])  # fmt: skip
def test_a_pattern_that_names_nothing(pattern, suggestion):
    message = f"'{pattern}' names no linear layer of this LlamaForCausalLM.*{suggestion}"
    with pytest.raises(ValueError, match=message):
        select_targets(theirs.llama(), ("v_proj", pattern))
