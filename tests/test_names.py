import pytest

from lib.names import nearest

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
