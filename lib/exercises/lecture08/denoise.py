"""Exercises of notebook 08: a text with gaps (C44), and what T5 reads and writes (C47)."""

import torch

from lib.exercises.engine.compare import EXACT
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture08 import gap_answers as wrong
from lib.exercises.lecture08.decoder_reads import DECODER_INPUT
from lib.text import denoising


def _whole(generator, low, high):
    return int(torch.randint(low, high, (1,), generator=generator))


def _text(generator, length):
    return torch.randint(10, 100, (length,), generator=generator).tolist()


# --- denoise.infill ---------------------------------------------------------------------------------------------------
def infill(ids, spans, mask_id):
    """replace_spans with positional arguments."""
    return denoising.replace_spans(ids, spans, mask_id=mask_id)


def _gaps(generator):
    text, first = _text(generator, 20), _whole(generator, 2, 5)
    return [
        case("a gap of two tokens", [11, 12, 13, 14, 15], [(1, 2)], 3),
        case("two gaps of different lengths", [11, 12, 13, 14, 15, 16, 17], [(0, 1), (3, 3)], 3),
        case("a gap of no token, in the middle", [11, 12, 13, 14], [(2, 0)], 3),
        case("gaps of no token at both ends", [11, 12, 13], [(0, 0), (3, 0)], 3),
        case("a gap at the very end", [11, 12, 13, 14, 15, 16], [(1, 1), (4, 2)], 3),
        case("two gaps that touch", [11, 12, 13, 14, 15], [(1, 1), (2, 2)], 3),
        case("gaps of no token that touch others", [11, 12, 13, 14, 15], [(1, 0), (1, 2), (3, 0), (4, 1), (5, 0)], 3),
        case("two gaps of no token at one place", [11, 12, 13], [(1, 0), (1, 0)], 3),
        case("a text of no tokens", [], [(0, 0)], 3),
        case("the whole text is one gap", [11, 12, 13], [(0, 3)], 3),
        case("no gap", [11, 12, 13], [], 3),
        case("equal tokens inside and outside a gap", [11, 11, 12, 11, 12, 12], [(2, 2)], 3),
        case("a longer text", text, [(first, 3), (first + 5, 0), (first + 7, 4)], 7),
    ]


INFILL = Exercise(
    id="denoise.infill",
    slides=("C44",),
    points=3,
    minutes=12,
    title="A text with gaps",
    reference=infill,
    cases=_gaps,
    accepts=(wrong.infill_from_the_right, wrong.infill_by_pieces),
    tolerance=EXACT,
    misconceptions=(
        Misconception(
            "a_mask_for_each_token",
            wrong.a_mask_for_each_token,
            "A gap of k tokens becomes k masks in your text: that is token masking. In text infilling it becomes one.",
        ),
        Misconception(
            "deleted",
            wrong.deleted,
            "The tokens are gone, and nothing shows where. Each gap leaves one mask_id.",
        ),
        Misconception(
            "empty_gaps_skipped",
            lambda ids, spans, mask: infill(ids, [s for s in spans if s[1]], mask),
            "Gaps of length 0 leave no trace in your text. They put a mask_id where nothing is missing.",
        ),
        Misconception(
            "moved_on",
            wrong.moved_on,
            "From the second gap on you cut at the wrong place: the list has become shorter, but the starts count in "
            "the text as it was. Go from right to left, or copy into a new list.",
        ),
        Misconception(
            "ends_for_lengths",
            lambda ids, spans, mask: infill(ids, [(s, max(e - s, 0)) for s, e in spans], mask),
            "You read the second number of a span as the place where it ends. It is how many tokens are missing.",
        ),
        Misconception(
            "one_too_many",
            wrong.one_too_many,
            "One token too many disappears in each gap: `length` of them are missing, from `start` on.",
        ),
        Misconception(
            "touching_gaps_joined",
            wrong.touching_gaps_joined,
            "Two gaps that touch leave one mask in your text. Each gap leaves one of its own.",
        ),
        Misconception(
            "tail_forgotten",
            wrong.tail_forgotten,
            "What stands behind the last gap is missing. (And a text without gaps is empty.)",
        ),
        Misconception(
            "behind_the_last_token",
            wrong.only_at_tokens,
            "A gap of length 0 behind the last token leaves no trace in your text: at that place there is no token at which "
            "your loop could stop. Go through the spans, not through the tokens.",
        ),
        Misconception(
            "one_gap_at_a_start",
            wrong.one_gap_at_a_start,
            "Two gaps may begin at the same place, if the first has length 0. A dict with the starts as keys keeps one of them.",
        ),
        Misconception(
            "by_value",
            wrong.by_value,
            "You look for the missing tokens by their value, and hit equal ones elsewhere. Go by their places.",
        ),
        Misconception(
            "in_place",
            wrong.infill_in_place,
            "The list that was given has changed. Work on a copy: `ids = list(ids)`.",
        ),
    ),
    hints=(
        "Keep a place up to which you have read, 0 at first. What stands between it and the next gap is copied.",
        "For each (start, length): copy from where you are to `start`, append mask_id, and go on at `start + length`.",
        "What is left behind the last gap is copied at the end.",
    ),
)


# --- denoise.t5_pair --------------------------------------------------------------------------------------------------
def t5_pair(ids, missing, sentinels):
    """span_corruption with a list of truth values."""
    return tuple(denoising.span_corruption(ids, torch.tensor(missing, dtype=torch.bool), sentinels=sentinels))


def _spoilt(generator):
    marks, text = [99, 98, 97, 96, 95], _text(generator, 12)
    gap = _whole(generator, 1, 4)
    drawn = [i // gap % 2 == 1 for i in range(12)]
    flags = lambda word: [letter == "x" for letter in word]  # noqa: E731
    return [
        case("two gaps, of two tokens and of one", [11, 12, 13, 14, 15, 16], flags(".xx.x."), marks),
        case("the text begins with a gap", [11, 12, 13, 14], flags("xx.."), marks),
        case("the text ends with a gap", [11, 12, 13, 14], flags("..xx"), marks),
        case("three gaps of one token", [11, 12, 13, 14, 15, 16], flags("x.x.x."), marks),
        case("nothing is missing", [11, 12, 13], flags("..."), marks),
        case("everything is missing", [11, 12, 13], flags("xxx"), marks),
        case("a gap at both ends", [11, 12, 13, 14, 15], flags("x..xx"), marks),
        case("no tokens", [], [], marks),
        case("marks in no order", [11, 12, 13, 14, 15], flags(".x.xx"), [70, 3, 200, 5]),
        case("as many marks as are needed", [11, 12, 13, 14, 15], flags("x.x.."), [99, 98, 97]),
        case("a longer text", text, drawn if gap > 1 else flags(".xxx..x..xx."), [199 - i for i in range(9)]),
    ]


T5_PAIR = Exercise(
    id="denoise.t5_pair",
    slides=("C47",),
    points=4,
    minutes=20,
    title="What T5 reads and what it writes",
    reference=t5_pair,
    cases=_spoilt,
    accepts=(wrong.pair_by_groups, wrong.pair_by_edges),
    tolerance=EXACT,
    misconceptions=(
        Misconception(
            "no_last_sentinel",
            lambda *given: (t5_pair(*given)[0], t5_pair(*given)[1][:-1]),
            "The target must end with one more sentinel, the next one that is not used. It says: nothing follows.",
        ),
        Misconception(
            "last_sentinel_repeated",
            wrong.last_sentinel_repeated,
            "Your target ends with a sentinel that was used before. The one at the end is the next in the list.",
        ),
        Misconception(
            "a_sentinel_for_each_token",
            wrong.a_sentinel_for_each_token,
            "Neighbouring missing tokens get a sentinel each in your pair. A span of them shares one.",
        ),
        Misconception(
            "one_sentinel_for_all",
            wrong.one_sentinel_for_all,
            "You use the first sentinel for every gap. Then nobody can tell which answer belongs where: each gap has its own.",
        ),
        Misconception(
            "target_without_sentinels",
            lambda ids, gone, marks: (t5_pair(ids, gone, marks)[0], [t for t, g in zip(ids, gone) if g]),
            "The target holds the missing tokens only. Before those of each gap stands its sentinel.",
        ),
        Misconception(
            "whole_text_as_target",
            lambda ids, gone, marks: (t5_pair(ids, gone, marks)[0], list(ids)),
            "Your target is the whole text: that is BART's. T5 writes only what is missing, each span behind its sentinel.",
        ),
        Misconception(
            "source_without_sentinels",
            lambda ids, gone, marks: ([t for t, g in zip(ids, gone) if not g], t5_pair(ids, gone, marks)[1]),
            "The source does not show where something is missing. Each gap leaves its sentinel there.",
        ),
        Misconception(
            "from_the_back",
            lambda ids, gone, marks: t5_pair(ids, gone, marks[::-1]),
            "You take the sentinels from the end of the list. The first gap gets sentinels[0].",
        ),
        Misconception(
            "counted_down",
            lambda ids, gone, marks: t5_pair(ids, gone, [marks[0] - i for i in range(len(ids) + 1)]),
            "You count down from the first sentinel. They need not be neighbours: take the next one of the list.",
        ),
        Misconception(
            "counted_up",
            lambda ids, gone, marks: t5_pair(ids, gone, [marks[0] + i for i in range(len(ids) + 1)]),
            "You count up from the first sentinel. They need not be neighbours: take the next one of the list.",
        ),
        Misconception(
            "last_of_the_list",
            lambda ids, gone, marks: (t5_pair(ids, gone, marks)[0], [*t5_pair(ids, gone, marks)[1][:-1], marks[-1]]),
            "Your target ends with the last sentinel of the list. It ends with the next one that is not used yet.",
        ),
        Misconception(
            "nothing_missing_is_nothing",
            lambda ids, gone, marks: t5_pair(ids, gone, marks) if any(gone) else (list(ids), []),
            "Where nothing is missing your target is empty. It still ends with the next unused sentinel, here the first.",
        ),
        Misconception(
            "open_at_the_end",
            wrong.closed_before_a_rest,
            "If the text ends with a span your target has no sentinel at its end. It always ends with the next unused one.",
        ),
        Misconception(
            "before_the_first",
            wrong.looks_behind_the_first,
            "At the first token missing[i - 1] is missing[-1], the *last* one. A text that begins and ends with a span then "
            "gets no sentinel at its beginning.",
        ),
        Misconception(
            "swapped",
            lambda *given: t5_pair(*given)[::-1],
            "You return (target, source). Asked for is (source, target).",
        ),
        Misconception(
            "kept_for_missing",
            lambda ids, gone, marks: t5_pair(ids, [not g for g in gone], marks),
            "You have taken the kept tokens for the missing ones: True means missing.",
        ),
    ),
    hints=(
        "Go through the tokens once, with a counter of the gaps so far. A gap begins where a token is missing and the one "
        "before it is not (or there is none before it).",
        "Where a gap begins, its sentinel goes into both lists. Then each token goes into one of them.",
        "At the end the target gets sentinels[number of gaps].",
    ),
)


EXERCISES = (INFILL, T5_PAIR, DECODER_INPUT)
