import pytest

from lib.accounting import qlora_base_bytes


def test_qlora_counts_a_weight_its_scale_and_the_scale_of_scales():
    assert qlora_base_bytes(64 * 256) == 64 * 256 / 2 + 256 + 4
    assert qlora_base_bytes(64, double_quantization=False) == 32 + 4
    assert (qlora_base_bytes(10**9, double_quantization=False) - qlora_base_bytes(10**9)) * 8 / 10**9 == pytest.approx(
        0.373, abs=1e-3
    )
    with pytest.raises(ValueError, match="parameters must be"):
        qlora_base_bytes(0)
