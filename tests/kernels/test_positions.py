import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from lib.kernels import RopeScaling, apply_rotary, rotary_angles, sinusoidal_positions


def test_sinusoids_by_hand():
    table = sinusoidal_positions(7, 6)
    for t in range(7):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            assert table[t, 2 * i : 2 * i + 2].tolist() == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-6)


@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
def test_rotary_equals_llama_in_transformers(theta, generator):
    config = LlamaConfig(
        hidden_size=32, num_attention_heads=4, rope_parameters={"rope_type": "default", "rope_theta": theta}
    )
    q, k = torch.randn(2, 2, 4, 9, 8, generator=generator)
    positions = torch.arange(9)[None].expand(2, -1) + torch.tensor([[0], [100]])
    cos, sin = LlamaRotaryEmbedding(config)(q, positions)
    expected = apply_rotary_pos_emb(q, k, cos, sin)
    angles = rotary_angles(positions, 8, theta)
    torch.testing.assert_close(apply_rotary(q, *angles), expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(apply_rotary(k, *angles), expected[1], atol=1e-5, rtol=1e-5)


LLAMA_3_1 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_slowed_pairs_are_those_of_llama_3_1_in_transformers(factor):
    changes = LLAMA_3_1 | {"factor": factor}
    config = LlamaConfig(
        hidden_size=4096,
        num_attention_heads=32,
        max_position_embeddings=131_072,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500_000.0, **changes},
    )
    positions = torch.tensor([[0, 1, 5000, 131_071]])
    cos, sin = LlamaRotaryEmbedding(config)(torch.zeros(1), positions)  # the halves of K are the same
    ours = rotary_angles(positions, 128, 500_000.0, RopeScaling(**changes))
    for got, expected in zip(ours, (cos, sin)):  # float32 has 0.004 radians at 131,071
        torch.testing.assert_close(got, expected[..., :64], atol=0.02, rtol=0)
        torch.testing.assert_close(got[:, :2], expected[:, :2, :64], atol=1e-6, rtol=0)
    plain = rotary_angles(positions, 128, 500_000.0)
    assert (ours[0] - plain[0]).abs().max() > 1


def test_slowed_speeds_by_hand():
    """Turns over the original context of 100 tokens: 8 (kept), 2.5 (half of both), 0.5 (slow)."""
    scaling = RopeScaling(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=100)
    turns = torch.tensor([8.0, 2.5, 0.5])
    slowed = scaling.slowed(turns * 2 * math.pi / 100) * 100 / (2 * math.pi)
    assert slowed.tolist() == pytest.approx([8.0, 2.5 * (0.5 + 0.5 / 4), 0.125], rel=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"factor": 0.5}, "factor must be a finite number of at least 1, got 0.5"),
        ({"low_freq_factor": 0}, "low_freq_factor must be a finite number above 0, got 0"),
        ({"high_freq_factor": 1.0}, "high_freq_factor must exceed low_freq_factor, 1.0, got 1.0"),
        ({"original_max_position_embeddings": 0}, "original_max_position_embeddings must be at least 1, got 0"),
    ],
)
def test_a_scaling_that_no_model_has(changes, message, unchecked):
    with pytest.raises(ValueError, match=message):
        RopeScaling(**LLAMA_3_1 | changes)


def test_scores_depend_on_the_distance_alone(generator):
    q, k = torch.randn(2, 1, 1, 1, 8, generator=generator)

    def score(i, j):
        turn = lambda x, t: apply_rotary(x, *rotary_angles(torch.tensor([t]), 8))  # noqa: E731
        return (turn(q, i) * turn(k, j)).sum().item()

    assert score(5, 2) == pytest.approx(score(45, 42), abs=1e-4)
    assert score(5, 2) != pytest.approx(score(5, 3), abs=1e-3)


def test_rotation_keeps_lengths_and_position_zero(generator):
    x = torch.randn(1, 2, 3, 8, generator=generator)
    turned = apply_rotary(x, *rotary_angles(torch.tensor([0, 1, 7]), 8))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[:, :, 0], x[:, :, 0])


def test_bad_input(unchecked):
    with pytest.raises(ValueError, match="K must be even .*, got 5"):
        rotary_angles(torch.arange(3), 5)
    with pytest.raises(ValueError, match="theta must be a finite number above 0, got 0.0"):
        rotary_angles(torch.arange(3), 4, theta=0.0)
    with pytest.raises(TypeError, match="positions must be an integer tensor, got torch.float32"):
        rotary_angles(torch.zeros(3), 4)
    with pytest.raises(ValueError, match="T must be at least 0, got -1"):
        sinusoidal_positions(-1, 4)
    with pytest.raises(ValueError, match="D must be even .*, got 5"):
        sinusoidal_positions(3, 5)
    cos, sin = rotary_angles(torch.arange(3), 4)
    with pytest.raises(ValueError):
        apply_rotary(torch.zeros(1, 1, 3, 6), cos, sin)
    with pytest.raises(ValueError):
        apply_rotary(torch.zeros(1, 1, 2, 4), cos, sin)


def test_scalings_at_the_edge_and_turns_at_either_end():
    edge = RopeScaling(**LLAMA_3_1 | {"factor": 1.0, "low_freq_factor": 3.99, "original_max_position_embeddings": 1})
    speeds = torch.tensor([0.1, 1.0])
    torch.testing.assert_close(edge.slowed(speeds), speeds)  # a factor of 1 slows nothing
    ends = RopeScaling(**LLAMA_3_1).slowed(torch.tensor([1.0, 4.0, 3.0]) * 2 * math.pi / 8192) * 8192 / (2 * math.pi)
    assert ends.tolist() == pytest.approx([1 / 8, 4, 3 * (2 / 3 + 1 / 3 / 8)], rel=1e-5)


@pytest.mark.parametrize("name", ["factor", "low_freq_factor", "high_freq_factor"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_numbers_of_a_scaling_are_finite(name, bad, unchecked):
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        RopeScaling(**LLAMA_3_1 | {name: bad})
    with pytest.raises(TypeError, match="original_max_position_embeddings must be a whole number"):
        RopeScaling(**LLAMA_3_1 | {"original_max_position_embeddings": 8.5})


def test_tables_of_one_width_and_half_precision(generator, unchecked):
    assert sinusoidal_positions(0, 2).shape == (0, 2)
    for width in (0, -2):
        with pytest.raises(ValueError, match="D must be at least 1"):
            sinusoidal_positions(3, width)
    x = torch.randn(2, 3, 4, 6, generator=generator)
    angles = rotary_angles(torch.arange(4), 6)
    assert angles[0].dtype == torch.float32 and apply_rotary(x.half(), *angles).dtype == torch.float16
    assert apply_rotary(x.double(), *angles).dtype == torch.float64
    with pytest.raises(ValueError, match="sin must have the shape of cos"):
        apply_rotary(x, angles[0], angles[1][:, :2])
    own = rotary_angles(torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]]), 6)  # each row by its own positions
    torch.testing.assert_close(apply_rotary(x, *own)[0], apply_rotary(x, *angles)[0])
    torch.testing.assert_close(apply_rotary(x, *own)[1], apply_rotary(x, *rotary_angles(torch.arange(5, 9), 6))[1])


def test_positions_are_exact_far_out_and_heads_turn_alike(generator):
    cos, sin = rotary_angles(torch.tensor([[1000], [3]]), 4, theta=100.0)
    assert cos.shape == (2, 1, 2)
    for row, position in enumerate((1000, 3)):
        for pair in range(2):
            angle = position * 100.0 ** (-2 * pair / 4)
            assert cos[row, 0, pair].item() == pytest.approx(math.cos(angle), abs=2e-4)
            assert sin[row, 0, pair].item() == pytest.approx(math.sin(angle), abs=2e-4)
    x = torch.randn(2, 3, 1, 4, generator=generator)
    turned = apply_rotary(x, cos, sin)
    for b in range(2):
        for h in range(3):
            for i in range(2):
                first, second = x[b, h, 0, i], x[b, h, 0, i + 2]
                torch.testing.assert_close(turned[b, h, 0, i], first * cos[b, 0, i] - second * sin[b, 0, i])
                torch.testing.assert_close(turned[b, h, 0, i + 2], second * cos[b, 0, i] + first * sin[b, 0, i])


def test_which_angles_turn_which_queries(unchecked):
    x = torch.zeros(2, 3, 4, 6)
    for batch in ((), (1,), (2,)):
        angles = torch.zeros(*batch, 4, 3)
        assert apply_rotary(x, angles, angles).shape == x.shape
    for shape in ((3, 4, 3), (4, 6), (4, 2), (1, 3), (2, 3, 4, 3)):
        with pytest.raises(ValueError, match="cos and sin must have shape"):
            apply_rotary(x, torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(ValueError, match="K, the width of x, must be even .*, got 5"):
        apply_rotary(x[..., :5], torch.zeros(4, 3), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="K must be at least 1, got 0"):
        rotary_angles(torch.arange(3), 0)
