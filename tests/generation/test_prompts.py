"""Prompts line by line."""

import pytest

from lib.generation import Demonstration, few_shot_prompt
from lib.text import smollm2_tokenizer

SLIDE = [
    Demonstration("Circulation revenue has increased by 5% in Finland.", "Positive"),
    Demonstration("Panostaja did not disclose the purchase price.", "Neutral"),
    Demonstration("Paying off the national debt will be extremely painful.", "Negative"),
]
QUERY = "The company anticipated its operating profit to improve."


def test_the_prompt_of_slide_c29_line_by_line():
    lines = few_shot_prompt(SLIDE, QUERY).splitlines()
    assert len(lines) == 4
    assert lines[0] == "Circulation revenue has increased by 5% in Finland. // Positive"
    assert lines[3] == "The company anticipated its operating profit to improve. //"


def test_none_one_and_an_instruction():
    assert few_shot_prompt([], "x") == "x //"
    assert few_shot_prompt(SLIDE[:1], "x", instruction="Say how it sounds.", separator="\n\n").split("\n\n")[0] == (
        "Say how it sounds."
    )
    assert few_shot_prompt(SLIDE[:1], "q", template="Q: {text}\nA:{label}").endswith("Positive\nQ: q\nA:")
    assert few_shot_prompt([Demonstration("{x}", "y")], "{z}") == "{x} // y\n{z} //"


def test_prompt_and_label_are_encoded_as_the_text_that_they_make():
    """The space belongs to the label: encoded apart, prompt and label are the tokens of the whole."""
    tokenizer = smollm2_tokenizer()
    prompt = few_shot_prompt(SLIDE, QUERY)
    for label in ("Positive", "Neutral", "Negative"):
        apart = tokenizer.encode(prompt) + tokenizer.encode(" " + label)
        assert apart == tokenizer.encode(f"{prompt} {label}")


def test_bad_input():
    for template in ("{text}", "{label}", "{label} {text}", "nothing"):
        with pytest.raises(ValueError, match="template must hold"):
            few_shot_prompt(SLIDE, QUERY, template=template)
    with pytest.raises(TypeError, match="query"):
        few_shot_prompt(SLIDE, 3)
