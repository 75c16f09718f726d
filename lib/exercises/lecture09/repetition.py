"""The exercise repetition.effective of notebook 09: what a mixture is worth when parts of it are read more than once."""

import math

from lib.accounting import effective_tokens
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture09.draws import Number, uniform


# --- repetition.effective -----------------------------------------------------------------------------------
def effective(tokens: list[Number], percent: list[Number], total: Number, r_star: Number) -> list[float]:
    """Effective tokens of each set of a mixture: U + U R* (1 − e^(−R/R*)) with R repetitions (Muennighoff et al. 2023; C27).

    >>> [round(x, 1) for x in effective([410, 3], [60, 3], 300, 15.4)]  # Common Crawl and Wikipedia, billions
    [180.0, 8.6]
    """
    read = [share / 100 * total for share in percent]
    return [_worth(min(size, of_it), of_it, r_star) for size, of_it in zip(tokens, read, strict=True)]


def _worth(unique, read, r_star, repetitions=lambda read, unique: read / unique - 1):
    if unique == 0:
        return 0.0
    return float(unique + unique * r_star * (1 - math.exp(-repetitions(read, unique) / r_star)))


def _each(of_one):
    """An answer of `of_one(size, tokens read of it, r_star)` for each set."""

    def answer(tokens, percent, total, r_star):
        return [of_one(size, share / 100 * total, r_star) for size, share in zip(tokens, percent, strict=True)]

    return answer


def _mixtures(generator):
    sizes = uniform(generator, 3, 1.0, 80.0)
    first = round(uniform(generator, 1, 5, 60)[0])
    gpt3 = [410.0, 19.0, 12.0, 55.0, 3.0], [60.0, 22.0, 8.0, 8.0, 3.0]
    return [
        case("GPT-3: 300 billion tokens, percents that sum to 101", *gpt3, 300.0, 15.4),
        case("ten times as many tokens", *gpt3, 3000.0, 15.4),
        case("repetition that wears out faster", [10.0, 40.0], [50.0, 50.0], 100.0, 5.3),
        case("read once exactly", [30.0], [100.0], 30.0, 15.4),
        case("a set that is never read", [50.0, 15.0], [0.0, 100.0], 75.0, 15.4),
        case("half a per cent", [5.0, 100.0], [0.5, 99.5], 2000.0, 15.4),
        case("read half of it", [200.0, 1.0], [50.0, 50.0], 200.0, 2.0),
        case("random sets", sizes, [float(first), 30.0, 70.0 - first], 120.0, uniform(generator, 1, 2, 30)[0]),
    ]


def _by_lib(tokens, percent, total, r_star):
    """The fresh part and the rest, by the function of lib."""
    found = []
    for size, share in zip(tokens, percent, strict=True):
        read = total * share / 100
        found.append(read if read <= size else float(effective_tokens(size, read, r_star)))
    return found


EFFECTIVE = Exercise(
    id="repetition.effective",
    slides=("C27",),
    points=4,
    minutes=15,
    title="What is a mixture worth?",
    reference=effective,
    cases=_mixtures,
    accepts=(
        _by_lib,
        _each(lambda size, read, r: min(read, size) - min(read, size) * r * math.expm1(-max(read / size - 1, 0) / r)),
    ),
    misconceptions=(
        Misconception(
            "first_time_counts_as_repetition",
            _each(lambda size, read, r: _worth(min(size, read), read, r, lambda read, unique: read / unique)),
            "You counted epochs where the formula has repetitions. A text that is read once is repeated 0 times.",
        ),
        Misconception(
            "unread_text_counts",
            _each(lambda size, read, r: float(max(size, _worth(size, max(size, read), r)))),
            "A set that is not read to its end counts as a whole in your answer. Only what was read can count: U is the "
            "smaller of the two.",
        ),
        Misconception(
            "negative_repetitions",
            _each(lambda size, read, r: _worth(size, read, r)),
            "Where less than one epoch is read, your R is negative. There U is what was read, and R = 0.",
        ),
        Misconception(
            "repeated_text_is_new",
            _each(lambda size, read, r: float(read)),
            "That is the number of tokens read. A token counts less each time that it comes again.",
        ),
        Misconception(
            "repeated_text_is_worthless",
            _each(lambda size, read, r: float(min(size, read))),
            "That is the number of different tokens. Reading a text again is worth less than new text, but not nothing.",
        ),
        Misconception(
            "percent_taken_for_share",
            lambda tokens, percent, *rest: effective(tokens, [100 * p for p in percent], *rest),
            "60 is a percentage: its share of the tokens is 0.60.",
        ),
        Misconception(
            "normalised",
            lambda tokens, percent, *rest: effective(tokens, [100 * p / sum(percent) for p in percent], *rest),
            "You divided by the sum of the percentages, 101 for GPT-3. A fair correction, but here the numbers are taken "
            "as printed.",
        ),
        Misconception(
            "not_multiplied_by_U",
            _each(lambda size, read, r: min(size, read) + r * (1 - math.exp(-max(read / size - 1, 0) / r))),
            "The second term has a factor U as well: it says how many *tokens* the repetitions are worth.",
        ),
        Misconception(
            "r_star_forgotten_before",
            _each(lambda size, read, r: min(size, read) * (2 - math.exp(-max(read / size - 1, 0) / r))),
            "The factor R* before the bracket is missing. For few repetitions R*(1 − e^(−R/R*)) must be nearly R.",
        ),
        Misconception(
            "limit",
            _each(lambda size, read, r: float(read if read <= size else size * (1 + r))),
            "U(1 + R*) is what endless repetition is worth. Put the number of repetitions into the exponential.",
        ),
        Misconception(
            "added_up",
            lambda *args: sum(effective(*args)),
            "You added up the sets. Return a list with one number for each.",
        ),
        Misconception(
            "whole_mixture",
            lambda tokens, percent, total, r: [p / 100 * _worth(min(sum(tokens), total), total, r) for p in percent],
            "You treated the mixture as one text. Each set is read at its own rate, so each has its own repetitions.",
        ),
        Misconception(
            "rounded",
            lambda *args: [round(x, 1) for x in effective(*args)],
            "Return the numbers as they are: rounding is for a table.",
        ),
        Misconception(
            "whole_tokens",
            lambda *args: [float(round(x)) for x in effective(*args)],
            "Return the numbers as they are: the sizes may be in billions, and then a fraction is many tokens.",
        ),
        Misconception(
            "whole_percents",
            lambda tokens, percent, *rest: effective(tokens, [float(int(p)) for p in percent], *rest),
            "Your shares are whole percentages. A share can be 0.5 as well.",
        ),
        Misconception(
            "whole_epochs",
            _each(lambda size, read, r: read if read <= size else _worth(size, read, r, lambda read, U: read // U - 1)),
            "You count whole epochs only. A set that is read 3.4 times has R = 2.4.",
        ),
        Misconception(
            "constant_of_the_paper",
            lambda tokens, percent, total, r_star: effective(tokens, percent, total, 15.4),
            "You use 15.4 for R*. It is an argument of the function.",
        ),
        Misconception(
            "repetitions_alone",
            _each(lambda size, read, r: read if read <= size else _worth(size, read, r) - size),
            "That is what the repetitions add. The first reading of the set, U, counts as well.",
        ),
        Misconception(
            "one_minus_forgotten",
            _each(lambda size, read, r: read if read < size else size + size * r * math.exp(-(read / size - 1) / r)),
            "The bracket is 1 − e^(−R/R*). For R = 0 the repetitions must be worth nothing.",
        ),
        Misconception(
            "multiplied_in_the_exponent",
            _each(
                lambda size, read, r: read if read <= size else size + size * r * (1 - math.exp(-(read / size - 1) * r))
            ),
            "The exponent is −R/R*: the repetitions are divided by R*, not multiplied.",
        ),
        Misconception(
            "never_read_left_out",
            lambda tokens, percent, *rest: [
                x for x, p in zip(effective(tokens, percent, *rest), percent, strict=True) if p
            ],
            "Your list has no place for a set with share 0. It is worth 0, and the list has one number for each set.",
        ),
        Misconception(
            "never_read_counts",
            _each(lambda size, read, r: _worth(min(size, read), read, r) if read else float(size)),
            "A set with share 0 counts as a whole in your answer. Nothing of it is read, so it is worth 0.",
        ),
    ),
    hints=(
        "How many tokens of each set are read in the whole training? Is that more than the set has?",
        "If it is not more, nothing is repeated. If it is, how often does the set go through, and which of these times is "
        "no repetition?",
        "Put both cases into one formula, or write an `if`. Look at a set with weight 0: does anything divide by zero?",
    ),
)

EXERCISES = (EFFECTIVE,)
