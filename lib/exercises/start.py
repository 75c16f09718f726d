"""Exercises of notebook 00: read the numbers of the slides, and put the models on the map."""

import math
import re

import numpy as np
import torch

from lib.exercises.exercise import Exercise, Misconception, case
from lib.slides import classify_era, era_ranges, parse_size
from lib.slides.claimed import DECKS

# --- start.slide_count --------------------------------------------------------------------------------------
SLIDES = sum(DECKS.values())

SLIDE_COUNT = Exercise(
    id="start.slide_count",
    slides=("C01", "T01", "N01", "W01"),
    points=1,
    minutes=2,
    title="How many slides?",
    reference=SLIDES,
    accepts=(torch.tensor(list(DECKS.values())).sum(),),
    misconceptions=(
        Misconception("without_c", SLIDES - DECKS["C"], "Deck C is missing from your sum: 52 slides."),
        Misconception("without_t", SLIDES - DECKS["T"], "Deck T is missing from your sum: 48 slides."),
        Misconception("without_n", SLIDES - DECKS["N"], "Deck N is missing from your sum: 47 slides."),
        Misconception("without_w", SLIDES - DECKS["W"], "Deck W is missing from your sum: 31 slides."),
        Misconception("decks", len(DECKS), "That is the number of decks. How many slides are in them?"),
        Misconception("a_list", list(DECKS.values()), "These are the four numbers: add them up."),
        Misconception("text", str(SLIDES), "Your answer stands in quotes: that makes it text, not a number."),
        Misconception("mean", SLIDES / len(DECKS), "That is the mean length of a deck. The total is asked."),
    ),
    hints=("The four lengths stand in the table above.", "Add them: 52 + 48 + 47 + 31."),
)


# --- start.parse_size ---------------------------------------------------------------------------------------
SCALE = {"M": 1e6, "B": 1e9, "T": 1e12}


def _size_cases(generator):
    whole, tenth, experts = torch.randint(2, 99, (3,), generator=generator).tolist()
    return [
        case("GPT-1, slide C18", "117M"),
        case("GPT-2, with a decimal point", "1.5B"),
        case("GPT-3", "175B"),
        case("GPT-4: a product and a remark", "16*110B (guessed)"),
        case("the end of slide N46's range", "1T"),
        case("a size that was drawn", f"{whole}.{tenth}M"),
        case("a product that was drawn", f"{experts}*7B"),
    ]


def _parts(text):
    """The numbers of the product, and the letter behind them."""
    first = text.split()[0]
    return [float(number) for number in first[:-1].split("*")], first[-1]


def _product(text, scale=SCALE):
    numbers, letter = _parts(text)
    return math.prod(numbers) * scale[letter]


def _by_exponents(text):
    first = text.split("(")[0].strip()
    for letter, exponent in (("M", "e6"), ("B", "e9"), ("T", "e12")):
        first = first.replace(letter, exponent)
    return math.prod(map(float, first.split("*")))


PARSE_SIZE = Exercise(
    id="start.parse_size",
    slides=("C18", "N46"),
    points=3,
    minutes=6,
    title="Sizes as the slides write them",
    reference=lambda text: float(parse_size(text)),
    cases=_size_cases,
    accepts=(_product, _by_exponents),
    misconceptions=(
        Misconception(
            "factor_dropped",
            lambda text: _parts(text)[0][-1] * SCALE[_parts(text)[1]],
            "“16*110B” came out as 110B: the factor before the star is lost, and GPT-4 is smaller than "
            "GPT-3.",
        ),
        Misconception(
            "first_number_only",
            lambda text: _parts(text)[0][0] * SCALE[_parts(text)[1]],
            "“16*110B” came out as 16B: you read the first number and pass over what follows the star.",
        ),
        Misconception(
            "sum",
            lambda text: sum(_parts(text)[0]) * SCALE[_parts(text)[1]],
            "The star means times. You added: 16 + 110.",
        ),
        Misconception(
            "all_digits_in_a_row",
            lambda text: float(re.sub(r"\D", "", text)) * SCALE[_parts(text)[1]],
            "You keep the digits and drop what is between them: “1.5B” becomes 15B, “16*110B” 16110B.",
        ),
        Misconception(
            "whole_part_only",
            lambda text: math.prod(map(int, _parts(text)[0])) * SCALE[_parts(text)[1]],
            "GPT-2 lost its half billion: int(1.5) is 1. Use float for the number before the letter.",
        ),
        Misconception(
            "powers_of_two",
            lambda text: _product(text, {"M": 2**20, "B": 2**30, "T": 2**40}),
            "Your M, B and T are powers of 2, as MiB and GiB are. Parameters are counted in powers of 10.",
        ),
        Misconception(
            "long_scale",
            lambda text: _product(text, {"M": 1e6, "B": 1e12, "T": 1e18}),
            "In many languages a billion is 10^12. The slides are English: B is 10^9, T is 10^12.",
        ),
        Misconception(
            "in_millions",
            lambda text: _product(text) / 1e6,
            "Your numbers are in millions. The plain number of parameters is asked: 117M = 117,000,000.",
        ),
    ),
    hints=(
        "text.split()[0] is what stands before the remark; its last character is the letter.",
        "Take what is before the letter apart with .split('*') and multiply: math.prod(float(p) for p in …).",
    ),
)


# --- start.classify_era -------------------------------------------------------------------------------------
SMALL, MIDDLE, LARGE = era_ranges()  # in the slides' own words


def _era_cases(generator):
    exponents = 6 + 6.5 * torch.rand(3, generator=generator, dtype=torch.float64)
    named = {
        "DistilBERT": 66e6, "just below the first border": 1e8 - 1, "the first border": 1e8, "BERT": 110e6,
        "1B itself": 1e9, "GPT-2": 1.5e9, "GPT-3 6.7B": 6.7e9, "7B itself": 7e9, "GPT-3": 175e9,
        "1T itself": 1e12, "GPT-4, as guessed": 1.76e12,
    }  # fmt: skip
    drawn = {f"drawn size {i}": 10**exponent for i, exponent in enumerate(exponents.tolist(), start=1)}
    return [case(what, int(size)) for what, size in (named | drawn).items()]


def _first_true(parameters):
    inside = [parameters in sizes for sizes in era_ranges().values()]
    return list(era_ranges())[int(np.argmax(inside))]


def _with_borders(lower, upper, end=math.inf):
    """An era for every size: two borders, and perhaps an end."""

    def classify(parameters):
        if parameters > end:
            return None
        return SMALL if parameters < lower else MIDDLE if parameters < upper else LARGE

    return classify


def _no_end(parameters):
    return LARGE if parameters > 1e12 else classify_era(parameters)


def _nearest(parameters):
    if parameters >= 1e8:
        ends = ((1e8, MIDDLE), (1e9, MIDDLE), (7e9, LARGE), (1e12, LARGE))
        nearest = min(ends, key=lambda pair: abs(math.log(parameters / pair[0])))[1]
        return classify_era(parameters) or nearest
    return SMALL


def _open_ends(parameters):
    return None if parameters in (1e8, 1e9, 7e9, 1e12) else classify_era(parameters)


def _by_comparisons(parameters):
    if parameters < 100e6:
        return SMALL
    if parameters <= 1e9:
        return MIDDLE
    return LARGE if 7e9 <= parameters <= 1e12 else None


CLASSIFY_ERA = Exercise(
    id="start.classify_era",
    slides=("N21", "N32", "N46"),
    points=3,
    minutes=6,
    title="Which era does a size belong to?",
    reference=lambda parameters: classify_era(parameters),
    cases=_era_cases,
    accepts=(_by_comparisons,),
    misconceptions=(
        Misconception(
            "first_true_of_none",
            _first_true,
            "A size in no range came out as “Specialized DL”. Did you take the arg max of a list of True "
            "and False? "
            "Where all are False it gives 0, the first era. Ask first whether any is True.",
        ),
        Misconception(
            "gap_given_to_transfer",
            _with_borders(1e8, 7e9, end=1e12),
            "You call everything below 7B “Transfer DL”. Slide N32 ends at 1B: between 1B and 7B there is "
            "no era.",
        ),
        Misconception(
            "gap_given_to_llms",
            lambda parameters: LARGE if 1e9 < parameters <= 1e12 else classify_era(parameters),
            "You call everything above 1B “LLMs”. Slide N46 begins at 7B: between 1B and 7B there is no era.",
        ),
        Misconception(
            "no_upper_end",
            _no_end,
            "Slide N46 ends at 1T, and the guess for GPT-4 lies above: no era has it. Your last range has "
            "no end.",
        ),
        Misconception(
            "three_classes_for_all",
            _with_borders(1e8, 1e9 + 1),
            "You give every size an era, by two borders. The slides leave a gap from 1B to 7B and stop at "
            "1T: None.",
        ),
        Misconception(
            "nearest_era",
            _nearest,
            "You choose the nearest era for a size in a gap. The exercise asks what the slides say: None.",
        ),
        Misconception(
            "open_ends",
            _open_ends,
            "A size exactly at an end came out as None. “100M → 1B” has both its ends: use <= there.",
        ),
        Misconception(
            "border_in_the_small_era",
            lambda parameters: SMALL if parameters == 100_000_000 else classify_era(parameters),
            "100M itself is not below 100M: slide N21 prints “<”, and slide N32 begins there.",
        ),
    ),
    hints=(
        "Three conditions, one per slide; whatever none of them catches is None.",
        "parameters < 100e6 · 100e6 <= parameters <= 1e9 · 7e9 <= parameters <= 1e12",
    ),
)

EXERCISES = (SLIDE_COUNT, PARSE_SIZE, CLASSIFY_ERA)
