"""Exercise of notebook 08: what a decoder reads while it learns to write (C43)."""

import torch

from lib.exercises.engine.compare import EXACT
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture08 import gap_answers as wrong
from lib.training.denoising import shift_right

EXERCISES = ()  # denoise.py lists it


def decoder_input(labels, start_id, pad_id):
    """shift_right."""
    return shift_right(labels, start_id, pad_id)


def _labels(generator):
    drawn = torch.randint(5, 50, (3, 6), generator=generator)
    drawn[1, 4:] = drawn[2, 2:] = -100
    return [
        case("one row", torch.tensor([[11, 12, 13, 2]]), 2, 1),
        case("two rows, one of them padded", torch.tensor([[11, 12, 2], [13, 2, -100]]), 2, 1),
        case("much padding", torch.tensor([[11, 12, 13, 14, 2], [13, 2, -100, -100, -100]]), 2, 1),
        case("a start that is no end (T5: the padding token)", torch.tensor([[11, 12, 1], [13, 1, -100]]), 0, 0),
        case("labels of one token", torch.tensor([[7], [8]]), 2, 1),
        case("a label of 0", torch.tensor([[0, 5, 2], [5, 0, 2]]), 3, 1),
        case("three drawn rows", drawn, 4, 2),
    ]


DECODER_INPUT = Exercise(
    id="denoise.decoder_input",
    slides=("C43", "W21"),
    points=2,
    minutes=10,
    title="What the decoder reads",
    reference=decoder_input,
    cases=_labels,
    accepts=(wrong.shift_by_roll, wrong.shift_by_loops),
    tolerance=EXACT,
    misconceptions=(
        Misconception(
            "not_shifted",
            lambda y, start, pad: y.masked_fill(y == -100, pad),
            "The decoder reads at each place the very token that it must write there. Shift: at place t it reads token "
            "t − 1.",
        ),
        Misconception(
            "to_the_left",
            lambda y, start, pad: torch.cat([y[:, 1:], torch.full_like(y[:, :1], start)], 1).masked_fill(
                torch.cat([y[:, 1:], torch.full_like(y[:, :1], start)], 1) == -100, pad
            ),
            "You shift to the left: the decoder reads the future. The start belongs before the first token.",
        ),
        Misconception(
            "ignored_label_kept",
            lambda y, start, pad: torch.cat([torch.full_like(y[:, :1], start), y[:, :-1]], 1),
            "−100 is left in the decoder's input. No token has this number: put pad_id there.",
        ),
        Misconception(
            "one_too_long",
            lambda y, start, pad: torch.cat([torch.full_like(y[:, :1], start), y.masked_fill(y == -100, pad)], 1),
            "Your rows have one token more than the labels. What stands at the last place is written, and not read.",
        ),
        Misconception(
            "rolled",
            lambda y, start, pad: y.roll(1, dims=1).masked_fill(y.roll(1, dims=1) == -100, pad),
            "Each row begins with its own last token. It begins with start_id.",
        ),
        Misconception(
            "across_rows",
            wrong.across_rows,
            "The second row begins with the end of the first. Every row begins with start_id.",
        ),
        Misconception(
            "starts_with_padding",
            lambda y, start, pad: shift_right(y, pad, pad),
            "Your rows begin with pad_id. They begin with start_id.",
        ),
        Misconception(
            "padding_becomes_start",
            lambda y, start, pad: shift_right(y, start, start),
            "You fill the padding with start_id. It gets pad_id.",
        ),
        Misconception(
            "padding_of_the_labels",
            wrong.padding_not_shifted,
            "You put pad_id where the *labels* have −100. The decoder reads one place later, so the padding is shifted too: "
            "the last token of a padded row is read.",
        ),
        Misconception(
            "padding_is_zero",
            lambda y, start, pad: torch.cat([torch.full_like(y[:, :1], start), y[:, :-1].clamp(min=0)], 1),
            "You put 0 where a −100 would be read. The padding is pad_id, which is 0 for T5 only.",
        ),
        Misconception(
            "one_start_for_all_rows",
            lambda y, start, pad: wrong.filled(
                torch.cat([torch.tensor([[start]], dtype=y.dtype), y[:, :-1]], dim=1), pad
            ),
            "Your column of starts has one row, the labels have several. It needs the shape (B, 1), as labels[:, :1] has it.",
        ),
        Misconception(
            "in_place",
            wrong.labels_filled_in_place,
            "The labels that were given have changed, and the loss needs them. Work on a copy: masked_fill makes one.",
        ),
        Misconception(
            "all_in_place",
            wrong.shift_in_place,
            "The labels that were given have changed, and the loss needs them. Work on a copy.",
        ),
    ),
    hints=(
        "For one row [11, 12, 13, 2] and start 2: before the model writes 11 it has read 2, before it writes 12 it has "
        "read 2 and 11.",
        "Put a column of start_id in front, and leave the last column out: torch.cat along dim=1.",
    ),
)
