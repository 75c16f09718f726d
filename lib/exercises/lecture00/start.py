"""Exercises of notebook 00: a warm-up, and the eras with their gaps."""

import math

import numpy as np
import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.slides import classify_era, era_ranges
from lib.slides.decks import DECKS

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
        Misconception("text", str(SLIDES), "Your answer is in quotes: that makes it text, not a number."),
        Misconception("largest", max(DECKS.values()), "That is the longest deck alone. Add up all four."),
        Misconception("product", math.prod(DECKS.values()), "You multiplied the four lengths: add them."),
        Misconception(
            "decimal", float(SLIDES), "The sum is right, but it is a decimal number. Slides are counted: an int."
        ),
        Misconception(
            "mean", SLIDES / len(DECKS), "That is the mean length of a deck. The question asks for the total."
        ),
    ),
    hints=("The four lengths are in the table above.", "Add them: 52 + 48 + 47 + 31."),
)


# --- start.classify_era -------------------------------------------------------------------------------------
SMALL, MIDDLE, LARGE = era_ranges()  # in the slides' own words


def _era_cases(generator):
    exponents = 6 + 6.5 * torch.rand(3, generator=generator, dtype=torch.float64)
    named = {
        "a single parameter": 1, "DistilBERT": 66e6, "just below the first border": 1e8 - 1, "the first border": 1e8,
        "BERT": 110e6, "1B itself": 1e9, "just above 1B": 1e9 + 1, "GPT-2": 1.5e9, "GPT-3 6.7B": 6.7e9,
        "just below 7B": 7e9 - 1, "7B itself": 7e9, "GPT-3": 175e9, "1T itself": 1e12, "just above 1T": 1e12 + 1,
        "GPT-4, as guessed": 1.76e12,
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


def _range_ends(parameters):
    """As Python's range has it: the first number belongs to it, the last does not."""
    return None if parameters in (1e9, 1e12) else classify_era(parameters)


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
            "A size outside all ranges came out as “Specialized DL”. Did you take the arg max of a list of True and "
            "False? If all are False it gives 0, the first era. Check first whether any is True.",
        ),
        Misconception(
            "gap_given_to_transfer",
            _with_borders(1e8, 7e9, end=1e12),
            "You call everything below 7B “Transfer DL”. Slide N32 ends at 1B: between 1B and 7B there is no era.",
        ),
        Misconception(
            "gap_given_to_llms",
            lambda parameters: LARGE if 1e9 < parameters <= 1e12 else classify_era(parameters),
            "You call everything above 1B “LLMs”. Slide N46 begins at 7B: between 1B and 7B there is no era.",
        ),
        Misconception(
            "no_upper_end",
            _no_end,
            "Slide N46 ends at 1T, and the guess for GPT-4 is above that, in no era. Your last range has no end.",
        ),
        Misconception(
            "three_classes_for_all",
            _with_borders(1e8, 1e9 + 1),
            "You give every size an era, by two borders. The slides leave a gap from 1B to 7B and stop at 1T: None.",
        ),
        Misconception(
            "nearest_era",
            _nearest,
            "You choose the nearest era for a size in a gap. The exercise asks what the slides say: None.",
        ),
        Misconception(
            "open_ends",
            _open_ends,
            "A size exactly at an end came out as None. “100M → 1B” includes both ends: use <= there.",
        ),
        Misconception(
            "upper_ends_left_out",
            _range_ends,
            "1B and 1T themselves came out as None. Both ends of these ranges belong to them; Python's range(a, b) and a "
            "plain < leave out the upper one.",
        ),
        Misconception(
            "text_for_none",
            lambda parameters: str(classify_era(parameters)),
            'You return the text "None". The answer is the value None, without quotes.',
        ),
        Misconception(
            "nothing_returned",
            lambda parameters: None,
            "Every size came out as None. print(…) only shows an answer: return the name.",
        ),
        Misconception(
            "border_in_the_small_era",
            lambda parameters: SMALL if parameters == 100_000_000 else classify_era(parameters),
            "100M itself is not below 100M: slide N21 prints “<”, and slide N32 begins there.",
        ),
    ),
    hints=(
        "Three conditions, one per slide; if none of them holds, the answer is None.",
        "parameters < 100e6 · 100e6 <= parameters <= 1e9 · 7e9 <= parameters <= 1e12",
    ),
    withheld=("lib.slides.eras.era_ranges",),
)

EXERCISES = (SLIDE_COUNT, CLASSIFY_ERA)
