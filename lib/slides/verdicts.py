"""The verdict on a printed figure: does our result round to what the slide prints, and if not, what is it?

The six verdicts
----------------
Two come out of the computation alone: `exact` and `rounded`, by the rule below. Where the computation gives neither,
a person judges which of four it is, and says why in a note:

* `convention`: another usage, right in its own way (an index that begins at 0, a name in round figures, a set's braces
  around a tuple).
* `imprecise`: wording or rounding that a reader would forgive.
* `slip`: a misprint that the same deck corrects elsewhere.
* `error`: wrong, and it matters.

What a slide quotes is judged as a quotation: a chatbot's mistake is no error of the deck.

The rule
--------
What is printed is written in `value` as one of

* `true` or `false`: a statement. The recomputed value is a bool.
* a number: `0.997`, `30,000`, `110M`, `16*110B`, `-3.4`. Its *last place* is the unit of its last significant
  digit. A digit after the point is always significant (1.0B: 0.1B), and so is every digit of a whole number
  written out (36: 1; 100: 1). A whole number with a suffix is an abbreviation: its trailing zeros aren't
  significant, but two digits always are (117M: 1M; 110M: 10M; 100M: 10M; 7B: 1B).
* a text, in double quotes: `"MLM"`. The recomputed value is a string.
* several of these, separated by `;`: the recomputed value is a tuple, item by item.

Then a number is `exact` if the two are equal (for a float: within 1e-12 of the printed value or 1e-9 of its last
place, whichever is larger). It is `rounded` if they differ by at most half the last place, so that rounding gives
the printed digits (a tie may be rounded either way). Where the slide says "about" or "roughly", a stated
`tolerance` replaces that half. Otherwise it `differs`. Statements and texts are `exact`, or they differ. Of several
items, the worst one decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from lib.slides.sizes import as_number, match_size, scale

JUDGED = ("convention", "imprecise", "slip", "error")
"""What a person judges where the computation differs, from the least to the gravest."""

VERDICTS = ("exact", "rounded", *JUDGED)
"""The six verdicts, from best to worst."""

DIFFERS = "differs"
"""What the computation says of a figure that is neither exact nor rounded. It is no verdict yet."""

_COMPUTED = ("exact", "rounded", DIFFERS)

NOISE_OF_VALUE, NOISE_OF_PLACE = Fraction(1, 10**12), Fraction(1, 10**9)
"""Differences attributed to floating point: far above float64's rounding, far below any printed digit."""


@dataclass(frozen=True)
class PrintedNumber:
    """A number as printed: its exact value, and the unit of its last place."""

    value: Decimal
    last_place: Decimal


def read_number(text: str) -> PrintedNumber:
    """The value and the last place of a printed number, by the rule above.

    Raises ValueError if the text isn't a number.

    >>> read_number("110M")
    PrintedNumber(value=Decimal('1.10E+8'), last_place=Decimal('1E+7'))
    """
    sign, bare = (-1, text[1:]) if text.startswith("-") else (1, text)
    match = match_size(bare)
    if match is None:
        raise ValueError(f"text must be a number such as '0.997' or '110M', got {text!r}")
    digits = match["digits"].replace(",", "")
    place = Decimal(digits).as_tuple().exponent
    if match["suffix"] and place == 0 and "." not in digits:
        place = min(len(digits) - len(digits.rstrip("0")), max(len(digits) - 2, 0))
    return PrintedNumber(sign * Decimal(digits) * scale(match), Decimal(1).scaleb(place) * scale(match))


def read_printed(text: str) -> bool | str | PrintedNumber | tuple:
    """The content of a `value` cell: a statement, a text, a number, or a tuple of these.

    Raises ValueError if it is none of them.

    >>> read_printed('true'), read_printed('"MLM"')
    (True, 'MLM')
    """
    if ";" in text:
        return tuple(read_printed(part.strip()) for part in text.split(";"))
    if text in ("true", "false"):
        return text == "true"
    if len(text) > 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    return read_number(text)


def plain(printed: object) -> object:
    """The result of `read_printed` as ordinary Python values: a PrintedNumber becomes an int or a float."""
    if isinstance(printed, tuple):
        return tuple(plain(item) for item in printed)
    return as_number(printed.value) if isinstance(printed, PrintedNumber) else printed


def compare(printed: object, recomputed: object, *, tolerance: Decimal | None = None) -> str:
    """`exact`, `rounded` or `differs`, by the rule at the head of this module.

    `printed` comes from `read_printed`; `tolerance`, for "about" and "roughly", is in the unit of the printed
    number. Raises TypeError where the two differ in kind, and ValueError where their lengths differ or the
    recomputed number isn't finite: in these cases the computation is wrong, not the slide.

    >>> compare(read_printed("110M"), 109_482_240), compare(read_printed("330M"), 335_141_888)
    ('rounded', 'differs')
    """
    if isinstance(printed, tuple):
        if not isinstance(recomputed, tuple):
            raise TypeError(f"recomputed must be a tuple, as printed, got {type(recomputed).__name__}")
        if len(printed) != len(recomputed):
            raise ValueError(f"recomputed must have {len(printed)} items, as printed, got {len(recomputed)}")
        items = [compare(a, b, tolerance=tolerance) for a, b in zip(printed, recomputed)]
        return max(items, key=_COMPUTED.index)
    if isinstance(printed, PrintedNumber):
        return _compare_number(printed, recomputed, tolerance)
    if type(printed) is not type(recomputed):
        kinds = (type(printed).__name__, type(recomputed).__name__)
        raise TypeError("recomputed must be {}, as printed, got {}".format(*kinds))
    return "exact" if printed == recomputed else DIFFERS


def _compare_number(printed: PrintedNumber, recomputed: object, tolerance: Decimal | None) -> str:
    if isinstance(recomputed, bool) or not isinstance(recomputed, int | float | Fraction | Decimal):
        raise TypeError(f"recomputed must be a number, as printed, got {type(recomputed).__name__}")
    if not math.isfinite(recomputed):
        raise ValueError(f"recomputed must be finite, got {recomputed}")
    value, last_place = Fraction(printed.value), Fraction(printed.last_place)
    error = abs(Fraction(recomputed) - value)
    is_float = isinstance(recomputed, float)
    noise = max(NOISE_OF_VALUE * abs(value), NOISE_OF_PLACE * last_place) if is_float else 0
    if error <= noise:
        return "exact"
    allowed = last_place / 2 if tolerance is None else Fraction(tolerance)
    return "rounded" if error <= allowed + noise else DIFFERS
