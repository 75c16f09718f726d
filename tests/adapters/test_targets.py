"""Which matrices a pattern names, ours, transformers' and fused ones."""

import pytest
import torch
from torch import nn

from lib.adapters.targets import find_targets, select_targets
from lib.models import MaskedLM
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
    (adapted.llama, "*", 8),  # whole matrices: the parts of one that is named are not named again
    (adapted.llama, "up.gate", 2),
    (adapted.llama, "qkv.*", 6),
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


def test_a_whole_matrix_wins_over_its_parts():
    assert names(adapted.llama(), "0.attention.qkv", "0.attention.qkv.q") == ["stack.blocks.0.attention.qkv"]


def test_a_name_is_not_matched_from_the_middle_of_a_word():
    model = nn.ModuleDict({"eq": nn.Linear(2, 2), "q": nn.Linear(2, 2)})
    assert names(model, "q") == ["q"]


def test_output_layers_that_are_not_called_are_left_out():
    model = adapted.llama()  # untied: it has a matrix of its own, used through output_weight
    assert model.output is not None and "output" not in find_targets(model)
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
