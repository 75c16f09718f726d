import pytest

from lib.names import closest, nearest

PLANETS = ("mercury", "earth", "gas-giant", "Mars")


@pytest.mark.parametrize(
    "typed, said",
    [
        ("eart", "did you mean earth?"),
        ("EARTH", "did you mean earth?"),
        ("mars", "did you mean Mars?"),
        ("gas_giant", "did you mean gas-giant?"),
        ("gas giants", "did you mean gas-giant?"),
        ("xyz", "known are mercury, earth, gas-giant, Mars"),
        (7, "known are mercury, earth, gas-giant, Mars"),
    ],
)
def test_the_nearest_name(typed, said):
    assert nearest(typed, PLANETS) == said


def test_several_where_several_are_near():
    assert nearest("llama", ["llama-1", "llama-2", "gpt"], most=2) in (
        "did you mean llama-1 or llama-2?",
        "did you mean llama-2 or llama-1?",
    )
    assert nearest("llama", ["llama-1", "llama-2", "gpt"]).count("llama") == 1


def test_nothing_is_known_yet():
    assert nearest("a", []) == "known are none yet"


def test_what_resembles_a_name_by_the_cutoff_is_near():
    """By hand: of 4 + 4 letters 2 + 2 agree, a half."""
    assert closest("abcd", ["abxy", "wxyz"]) == ["abxy"] and closest("abcd", ["abxy"], cutoff=0.51) == []
    assert closest("abcd", ["abxy", "abcx", "abcd"], most=2) == ["abcd", "abcx"]
    assert nearest("abcde", ["abxyz"]) == "known are abxyz"
