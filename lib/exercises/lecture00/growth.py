"""Exercises of notebook 00: months between two dates of slide C18, and how long one doubling took."""

import datetime
import math

import numpy as np
import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- growth.months_between ----------------------------------------------------------------------------------
def _year_and_month(date: str) -> tuple[int, int]:
    year, month = date.split(".")
    return int(year), int(month)


def months_between(earlier: str, later: str) -> int:
    """Whole months from one date to another, both as slide C18 writes them; negative if `later` comes first.

    >>> months_between("2022.1", "2022.11")
    10
    """
    (year_0, month_0), (year_1, month_1) = _year_and_month(earlier), _year_and_month(later)
    return 12 * (year_1 - year_0) + month_1 - month_0


def _date_cases(generator):
    years = np.sort(_draw(generator, 2010, 2024))
    drawn = [f"{year}.{month}" for year, month in zip(years, _draw(generator, 1, 13))]
    return [
        case("GPT-1 to GPT-2: over New Year", "2018.6", "2019.2"),
        case("GPT-2 to GPT-3", "2019.2", "2020.5"),
        case("InstructGPT to ChatGPT: January to November", "2022.1", "2022.11"),
        case("September to November", "2022.9", "2022.11"),
        case("January to October: “.1” and “.10”", "2022.1", "2022.10"),
        case("the same month", "2020.5", "2020.5"),
        case("over New Year, to a smaller month", "2019.11", "2020.2"),
        case("the second date before the first", "2023.3", "2022.11"),
        case("22 years", "2000.1", "2022.1"),
        case("two random dates", *drawn),
    ]


def _draw(generator, low, high):
    return torch.randint(low, high, (2,), generator=generator).tolist()


def _by_numpy(earlier, later):
    months = [np.datetime64("{}-{:02d}".format(*_year_and_month(date)), "M") for date in (earlier, later)]
    return int((months[1] - months[0]).astype(int))


def _hundredths(earlier, later):
    """As if “2022.1” were 2022.10, and so October."""
    (year_0, month_0), (year_1, month_1) = (divmod(round(100 * float(date)), 100) for date in (earlier, later))
    return 12 * (year_1 - year_0) + month_1 - month_0


def _days(earlier, later):
    first, last = (datetime.date(*_year_and_month(date), 1) for date in (earlier, later))
    return (last - first).days


MONTHS = Exercise(
    id="growth.months_between",
    slides=("C18",),
    points=2,
    minutes=5,
    title="Months between two dates",
    reference=months_between,
    cases=_date_cases,
    accepts=(_by_numpy,),
    misconceptions=(
        Misconception(
            "decimal_years",
            lambda earlier, later: round(12 * (float(later) - float(earlier))),
            "You read “2022.11” as a decimal number. It is November 2022; as a decimal it would come "
            "before “2022.9”. "
            "Split the text at the dot.",
        ),
        Misconception(
            "decimal_years_not_whole",
            lambda earlier, later: 12 * (float(later) - float(earlier)),
            "You read “2019.2” as 2019 and two tenths: float(…) takes the month for a decimal. And the answer is a "
            "whole number of months.",
        ),
        Misconception(
            "tenths_for_months",
            lambda earlier, later: round(10 * (float(later) - float(earlier))),
            "You took each tenth for a month. A year has twelve months, and “.11” comes after “.9”.",
        ),
        Misconception(
            "ten_months_a_year",
            lambda earlier, later: _weighted(earlier, later, 10, 1),
            "You count ten months to the year: do you read the date as a decimal number?",
        ),
        Misconception(
            "hundredths_for_months",
            _hundredths,
            "You took the two digits after the dot for the month, so that “.1” became October. “2022.1” is January: split "
            "the text at the dot.",
        ),
        Misconception(
            "thirty_days_a_month",
            lambda earlier, later: _days(earlier, later) // 30,
            "You divide days by 30. Twelve such months are only 360 days: over a few years there is a month too many. "
            "Count years and months.",
        ),
        Misconception(
            "reversed",
            lambda earlier, later: -months_between(earlier, later),
            "The sign is the wrong way round: from an earlier to a later date the number is positive.",
        ),
        Misconception(
            "decimal",
            lambda earlier, later: float(months_between(earlier, later)),
            "The number is right, but it is a decimal one: convert year and month by int(…), or the result.",
        ),
        Misconception(
            "years_only",
            lambda earlier, later: _weighted(earlier, later, 12, 0),
            "You count whole years only: the months after the dot are missing.",
        ),
        Misconception(
            "months_only",
            lambda earlier, later: _weighted(earlier, later, 0, 1),
            "You subtract the months and forget the years.",
        ),
        Misconception(
            "both_ends_counted",
            lambda earlier, later: months_between(earlier, later) + 1,
            "Your answer is one too large: from a month to the same month, 0 months have passed.",
        ),
        Misconception(
            "absolute",
            lambda earlier, later: abs(months_between(earlier, later)),
            "Where the second date comes first, the answer is negative; yours has lost its sign.",
        ),
    ),
    hints=(
        "date.split('.') gives year and month as text; int(…) turns them into numbers.",
        "12 * (difference of the years) + (difference of the months).",
    ),
)


def _weighted(earlier, later, year, month):
    (year_0, month_0), (year_1, month_1) = _year_and_month(earlier), _year_and_month(later)
    return year * (year_1 - year_0) + month * (month_1 - month_0)


# --- growth.doubling_time -----------------------------------------------------------------------------------
def doubling_time(months: float | int, factor: float | int) -> float | int:
    """Months per doubling, for a growth by `factor` in `months`; infinite for a factor of 1, negative below.

    >>> doubling_time(12, 4.0)
    6.0
    """
    return math.inf if factor == 1 else months / math.log2(factor)


def _growth_cases(generator):
    drawn = 1.5 + 8 * torch.rand(1, generator=generator, dtype=torch.float64).item()
    return [
        case("twice as large in a year", 12, 2.0),
        case("four times as large in a year", 12, 4.0),
        case("GPT-2 to GPT-3", 15, 175 / 1.5),
        case("InstructGPT to ChatGPT: no growth", 10, 1.0),
        case("no growth, the factor a whole number", 7, 1),
        case("one percent", 12, 1.01),
        case("hardly any growth", 12, 1 + 2**-40),
        case("hardly any loss", 12, 1 - 2**-40),
        case("half as large in two years", 24, 0.5),
        case("a tenth smaller", 3, 0.9),
        case("a random factor", 7, drawn),
    ]


def _unless_still(formula):
    return lambda months, factor: math.inf if factor == 1 else formula(months, factor)


DOUBLING = Exercise(
    id="growth.doubling_time",
    slides=("C18",),
    points=2,
    minutes=4,
    title="The time of one doubling",
    reference=doubling_time,
    cases=_growth_cases,
    accepts=(_unless_still(lambda months, factor: months * math.log(2) / math.log(factor)),),
    misconceptions=(
        Misconception(
            "no_growth_divides_by_zero",
            lambda months, factor: months / math.log2(factor),
            "ChatGPT has the size of InstructGPT: the factor is 1, its logarithm 0, and you divide by it. Without "
            "growth "
            "the size never doubles: math.inf.",
        ),
        Misconception(
            "inf_below_one",
            lambda months, factor: math.inf if factor <= 1 else months / math.log2(factor),
            "math.inf is for a factor of exactly 1. Below it the formula has an answer, a negative one: −24 for what "
            "is half as large in two years.",
        ),
        Misconception(
            "nearly_one",
            lambda months, factor: math.inf if abs(factor - 1) < 0.02 else months / math.log2(factor),
            "You take a factor near 1 for 1 (a tolerance, rounding, or float32). A growth by one percent doubles too, "
            "after a long time: only exactly 1 never does.",
        ),
        Misconception(
            "sign_lost",
            lambda months, factor: abs(doubling_time(months, factor)),
            "Below 1 the formula gives a negative number, minus the time of one halving. Yours has lost its sign.",
        ),
        Misconception(
            "natural_logarithm",
            _unless_still(lambda months, factor: months / math.log(factor)),
            "With the natural logarithm this is the time to grow 2.718-fold. Doublings are counted by log2.",
        ),
        Misconception(
            "common_logarithm",
            _unless_still(lambda months, factor: months / math.log10(factor)),
            "With log10 this is the time to grow tenfold. Doublings are counted by log2.",
        ),
        Misconception(
            "linear",
            _unless_still(lambda months, factor: months / (factor - 1)),
            "You spread the growth evenly, as if each month added the same. Doubling multiplies: fourfold growth is "
            "two "
            "doublings, not three.",
        ),
        Misconception(
            "proportional",
            _unless_still(lambda months, factor: 2 * months / factor),
            "This is not a proportion: fourfold growth in twelve months is two doublings of six months.",
        ),
        Misconception(
            "doublings_per_month",
            lambda months, factor: math.log2(factor) / months,
            "This is the number of doublings per month. Its reciprocal is the months per doubling.",
        ),
        Misconception(
            "doublings",
            lambda months, factor: math.log2(factor),
            "This is how often it doubled. How many months did each of these doublings take?",
        ),
        Misconception(
            "growth_per_month",
            lambda months, factor: factor ** (1 / months),
            "This is the factor of one month. How many months does a factor of 2 take?",
        ),
    ),
    hints=(
        "Eightfold is three doublings: log2(8) = 3. So how often did it double in all these months?",
        "months / math.log2(factor), and math.inf where factor is 1.",
    ),
)

EXERCISES = (MONTHS, DOUBLING)
