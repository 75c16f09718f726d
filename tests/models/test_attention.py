"""Attention with its projections, against loops over heads; T5's buckets against transformers'."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.models.attention import (
    AttentionContext,
    CrossAttention,
    RelativeBias,
    SelfAttention,
    merge_heads,
    relative_bucket,
    split_heads,
)
from tests.models import small

X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kernel", ["fused", "reference", "tiled"])
@pytest.mark.parametrize("scaled", [True, False])
def test_self_attention_head_by_head(kernel, scaled):
    config = small.decoder(num_kv_heads=2, head_dim=6, attention=kernel, scale_attention=scaled)
    layer = small.shaken(SelfAttention(config, 0))
    q, k, v = (X @ layer.qkv.weight.T + layer.qkv.bias).split([24, 12, 12], dim=-1)
    heads = []
    for head in range(4):
        group = head // 2  # neighbouring query heads share a key head
        qh, kh, vh = q[..., head * 6 :][..., :6], k[..., group * 6 :][..., :6], v[..., group * 6 :][..., :6]
        scores = qh @ kh.mT / (math.sqrt(6) if scaled else 1)
        heads.append(torch.softmax(scores, dim=-1) @ vh)
    expected = torch.cat(heads, dim=-1) @ layer.output.weight.T + layer.output.bias
    torch.testing.assert_close(layer(X, AttentionContext()), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scaled", [True, False])
def test_cross_attention_reads_the_memory_not_itself(scaled):
    layer = small.shaken(CrossAttention(small.seq2seq(scale_attention=scaled, bias=True), 0))
    memory = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(4))
    maps = []
    got = layer(X, AttentionContext(memory=memory, cross_maps=maps))
    q = split_heads(X @ layer.query.weight.T + layer.query.bias, 4)
    k, v = (split_heads(part, 4) for part in (memory @ layer.kv.weight.T + layer.kv.bias).chunk(2, dim=-1))
    weights = torch.softmax(q @ k.mT / (2 if scaled else 1), dim=-1)
    torch.testing.assert_close(maps[0], weights)
    expected = merge_heads(weights @ v) @ layer.output.weight.T + layer.output.bias
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_heads_are_split_and_merged_back():
    heads = split_heads(X, 4)
    assert heads.shape == (2, 4, 5, 4)
    assert torch.equal(heads[1, 2, 3], X[1, 3, 8:12])
    assert torch.equal(merge_heads(heads), X)


@given(buckets=st.sampled_from([4, 8, 32, 64]), extra=st.integers(1, 200), both=st.booleans())
def test_buckets_are_those_of_transformers(buckets, extra, both):
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-150, 151)[None]
    theirs = T5Attention._relative_position_bucket(
        distance, bidirectional=both, num_buckets=buckets, max_distance=buckets // 2 + extra
    )
    ours = relative_bucket(distance, num_buckets=buckets, max_distance=buckets // 2 + extra, bidirectional=both)
    assert torch.equal(ours, theirs)
    assert ours.min() >= 0 and ours.max() < buckets


def test_a_causal_bias_tells_no_future_distances_apart():
    bias = small.shaken(RelativeBias(small.seq2seq(), bidirectional=False))
    full = bias(6, 6)
    for t in range(6):
        for s in range(t, 6):
            assert torch.equal(full[:, t, s], bias.weight.weight[0])
    torch.testing.assert_close(bias(2, 6), full[:, 4:])  # the last queries, as with a cache


def test_the_bias_depends_on_the_distance_alone():
    full = small.shaken(RelativeBias(small.seq2seq(), bidirectional=True))(9, 9)
    for offset in range(-8, 9):
        diagonal = full.diagonal(offset, dim1=1, dim2=2)
        assert torch.equal(diagonal, diagonal[:, :1].expand_as(diagonal))
    assert not torch.equal(full[:, 0, 1], full[:, 1, 0])  # before and after differ


def test_a_memory_of_the_wrong_width_is_refused(unchecked):
    layer = CrossAttention(small.seq2seq(), 0)
    with pytest.raises(RuntimeError):
        layer(X, AttentionContext(memory=torch.randn(2, 3, 15)))


def test_cross_attention_with_grouped_heads_head_by_head():
    layer = small.shaken(CrossAttention(small.seq2seq(num_kv_heads=2, head_dim=6), 0))
    memory = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(4))
    mask = torch.tensor([[True, True, False], [True, True, True]])[:, None, None]
    q, (k, v) = X @ layer.query.weight.T, (memory @ layer.kv.weight.T).split([12, 12], dim=-1)
    heads = []
    for head in range(4):
        group = head // 2
        qh, kh, vh = q[..., head * 6 :][..., :6], k[..., group * 6 :][..., :6], v[..., group * 6 :][..., :6]
        scores = (qh @ kh.mT).masked_fill(~mask[:, 0], -torch.inf)
        heads.append(torch.softmax(scores, dim=-1) @ vh)
    expected = torch.cat(heads, dim=-1) @ layer.output.weight.T
    got = layer(X, AttentionContext(memory=memory, memory_mask=mask))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
