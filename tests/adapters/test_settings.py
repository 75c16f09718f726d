"""Ranks and scales by pattern, and the settings that no adapter has."""

import math

import pytest

from lib.adapters import LoraSettings

SETTINGS = LoraSettings(
    rank=8, alpha=16, rank_pattern={"down": 4, r".*\.1\..*": 2, "q|v": 3}, alpha_pattern={r"blocks\.0\.q": 6, "q": 5}
)


@pytest.mark.parametrize(
    ("target", "rank", "alpha"),
    [
        ("down", 4, 16),
        ("blocks.0.down", 4, 16),
        ("blocks.1.down", 4, 16),  # the first that fits
        ("blocks.1.up", 2, 16),
        ("blocks.0.shutdown", 8, 16),  # an end after a dot, not in the middle of a word
        ("down.up", 8, 16),  # nor a beginning
        ("blocks.0.q", 3, 6),
        ("blocks.2.q", 3, 5),
        ("blocks.1.q", 2, 5),
        ("blocks.2.v", 3, 16),
        ("blocks.2.vq", 8, 16),
        ("", 8, 16),
    ],
)
def test_rank_and_scale_of_a_target(target, rank, alpha):
    assert SETTINGS.rank_of(target) == rank and SETTINGS.scale_of(target) == alpha / rank
    stable = LoraSettings(**vars(SETTINGS) | {"rslora": True})
    assert stable.scale_of(target) == pytest.approx(alpha / math.sqrt(rank))
    assert SETTINGS.scale == 2 and stable.scale == pytest.approx(16 / math.sqrt(8))


@pytest.mark.parametrize("pattern", ["rank_pattern", "alpha_pattern"])
def test_a_pattern_fits_some_target(pattern):
    settings = LoraSettings(**{pattern: {"q": 1, "down": 2}})
    settings.require_patterns(iter(["0.q", "0.down"]))
    with pytest.raises(ValueError, match=f"{pattern}: 'down' fits none of the targets"):
        settings.require_patterns(["0.q", "0.k"])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rank": 0}, ValueError, "rank must be at least 1, got 0"),
        ({"rank": 2.0}, TypeError, "rank must be a whole number"),
        ({"alpha": 0}, ValueError, "alpha must be a finite number above 0, got 0"),
        ({"alpha": math.inf}, ValueError, "alpha must be a finite number above 0, got inf"),
        ({"alpha": math.nan}, ValueError, "alpha must be"),
        ({"rslora": 1}, TypeError, "rslora must be a bool, got int"),
        ({"dropout": 1.0}, ValueError, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, ValueError, r"dropout must lie in \[0, 1\), got -0.1"),
        ({"targets": ()}, ValueError, "targets must hold at least one pattern and no empty one"),
        ({"targets": ("q", "")}, ValueError, "targets must hold at least one pattern and no empty one"),
        ({"targets": "q"}, TypeError, "targets must be a sequence of strings, got one string"),
        ({"targets": ("q", 3)}, TypeError, "targets must be a sequence of strings, got 3 in it"),
        ({"rank_pattern": [("q", 2)]}, TypeError, "rank_pattern must be a Mapping, got list"),
        ({"rank_pattern": {"q": 0}}, ValueError, r"rank_pattern\['q'\] must be at least 1, got 0"),
        ({"rank_pattern": {"k": 1, "q": 2.5}}, TypeError, r"rank_pattern\['q'\] must be a whole number"),
        ({"alpha_pattern": {"k": 1, "q": -1}}, ValueError, r"alpha_pattern\['q'\] must be a finite number above 0"),
        ({"alpha_pattern": {3: 1}}, TypeError, "alpha_pattern must be a sequence of strings, got 3 in it"),
        ({"rank_pattern": {"(q": 1}}, ValueError, r"rank_pattern must have regular expressions for keys, got '\(q'"),
    ],
)
def test_settings_that_make_no_sense(changes, error, message, unchecked):
    with pytest.raises(error, match=message):
        LoraSettings(**changes)


def test_settings_at_the_edge_and_usual_ones(unchecked):
    assert LoraSettings(rank=1, alpha=0.5, dropout=0.0, targets=["q"]).targets == ("q",)
    usual = LoraSettings()
    assert (usual.rank, usual.alpha, usual.targets, usual.rslora, usual.dropout) == (8, 16.0, ("q", "v"), False, 0.0)
    patterns = {"q": 2}
    settings = LoraSettings(rank_pattern=patterns)
    patterns["q"] = 9  # what is given is read once
    assert settings.rank_of("q") == 2 and hash(settings) == hash(LoraSettings())
