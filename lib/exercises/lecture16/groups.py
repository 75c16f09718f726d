"""Exercise of notebook 16: the size of a matrix whose weights are quantised in small groups with their own scales."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- groups.bytes_of --------------------------------------------------------------------------------------------------
def bytes_of(rows: int, columns: int, bits: int, group_size: int) -> int:
    """Bytes of rows · columns weights of `bits` bits, and of a 16-bit scale for every `group_size` weights in a row."""
    scales = rows * (columns // group_size)
    return -(-rows * columns * bits // 8) + 2 * scales


def _matrices(generator):
    def draw(low, high):
        return int(torch.randint(low, high, (1,), generator=generator))

    bits, group = draw(2, 9), 2 ** draw(4, 8)
    odd, small = 2 * draw(1, 4) + 1, 2 * draw(1, 6) + 1  # with odd sizes the last byte is not full
    return [
        case("eight bits, a scale for each row", 10, 64, 8, 64),
        case("four bits, groups of 32", 10, 64, 4, 32),
        case("four bits, groups of 128", 3, 256, 4, 128),
        case("SmolLM2's largest matrix", 3072, 576, 4, 32),
        case("two bits, groups of two", 4, 6, 2, 2),
        case("bits that do not fill whole bytes", 3, 3, 3, 3),
        case("half a byte left in each row", 4, 15, 4, 5),
        case("a scale for every weight", 2, 5, 3, 1),
        case("sixteen bits", 3, 8, 16, 4),
        case("a single weight of one bit", 1, 1, 1, 1),
        case("groups of nine", 2, 45, 8, 9),  # 8 + 16 / 9 is no exact float, and a little too large here
        case("a random matrix", draw(64, 4096), group * draw(2, 40), bits, group),
        case("a random matrix with odd sizes", 2 * draw(2, 200) + 1, small * (2 * draw(1, 30) + 1), odd, small),
    ]


def _whole_bytes(bits):
    return -(-bits // 8)


BYTES_OF = Exercise(
    id="groups.bytes_of",
    slides=("T47", "T48"),
    points=2,
    minutes=8,
    title="The size of a quantised matrix",
    reference=bytes_of,
    cases=_matrices,
    accepts=(
        lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits + 16 * (rows * columns // group)),
        lambda rows, columns, bits, group: _whole_bytes(
            sum(columns * bits + 16 * (columns // group) for _ in range(rows))
        ),
    ),
    withheld=("lib.accounting.memory.quantized_bytes",),
    misconceptions=(
        Misconception(
            "scales_forgotten",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits),
            "The scales are missing. They are stored with the integers, and with small groups there are many.",
        ),
        Misconception(
            "bits_for_bytes",
            lambda rows, columns, bits, group: rows * columns * bits + 16 * (rows * columns // group),
            "That is the number of bits. A byte has eight bits.",
        ),
        Misconception(
            "a_byte_each",
            lambda rows, columns, bits, group: rows * columns + 2 * (rows * columns // group),
            "You give each weight a whole byte. With four bits, two weights are packed into one byte.",
        ),
        Misconception(
            "groups_of_one_row",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits) + 2 * (columns // group),
            "You count the groups of a single row. Every row has its own groups.",
        ),
        Misconception(
            "a_scale_for_each_row",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits) + 2 * rows,
            "You count one scale for each row, but a row has columns / group_size groups.",
        ),
        Misconception(
            "scales_of_32_bits",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits) + 4 * (rows * columns // group),
            "Your scales have four bytes. Here they have 16 bits, which are two bytes.",
        ),
        Misconception(
            "scales_as_small_as_weights",
            lambda rows, columns, bits, group: _whole_bytes(bits * (rows * columns + rows * columns // group)),
            "You store the scales in as few bits as the weights. They are 16-bit floats, as a rounded scale would "
            "distort its "
            "whole group.",
        ),
        Misconception(
            "every_row_rounded_up",
            lambda rows, columns, bits, group: rows * (_whole_bytes(columns * bits) + 2 * (columns // group)),
            "You round up the bytes of every row. The matrix is packed without gaps and rounded up once.",
        ),
        Misconception(
            "every_group_rounded_up",
            lambda rows, columns, bits, group: rows * columns // group * (_whole_bytes(group * bits) + 2),
            "You round up the bytes of every group. The weights are packed without gaps, and rounded up once for all.",
        ),
        Misconception(
            "a_byte_too_many",
            lambda rows, columns, bits, group: rows * columns * bits // 8 + 1 + 2 * (rows * columns // group),
            "Where the bits fill their bytes, you count one byte too many: round up instead of adding one.",
        ),
        Misconception(
            "sixteen_bytes_a_scale",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits) + 16 * (rows * columns // group),
            "You add the scales in bits to the weights in bytes. 16 bits are two bytes.",
        ),
        Misconception(
            "group_size_for_groups",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits) + 2 * rows * group,
            "You count group_size scales in each row. A row has as many scales as groups: how many groups fill it?",
        ),
        Misconception(
            "bits_of_one_weight",
            lambda rows, columns, bits, group: math.ceil(rows * columns * (bits + 16 / group) / 8),
            "16 / group_size is not exact as a float, and rounding up makes a whole byte of the error. Count whole bits.",
        ),
        Misconception(
            "gaps_in_a_byte",
            lambda rows, columns, bits, group: (
                -(-rows * columns // max(8 // bits, 1)) * _whole_bytes(bits) + 2 * (rows * columns // group)
            ),
            "You let no weight cross the border of a byte. Packed without gaps, one byte's end may hold half a weight.",
        ),
        Misconception(
            "groups_in_a_column",
            lambda rows, columns, bits, group: _whole_bytes(rows * columns * bits) + 2 * columns * -(-rows // group),
            "Your groups run down the columns. A group is group_size neighbours in a row.",
        ),
        Misconception(
            "always_four_bits",
            lambda rows, columns, bits, group: -(-rows * columns // 2) + 2 * (rows * columns // group),
            "You take two weights for a byte, whatever `bits` is. That is so with four bits alone.",
        ),
        Misconception(
            "rounded_to_the_nearest",
            lambda rows, columns, bits, group: round(rows * columns * bits / 8) + 2 * (rows * columns // group),
            "You round to the nearest byte. Bits that begin a byte need it, however few they are: round up.",
        ),
        Misconception(
            "rounded_down",
            lambda rows, columns, bits, group: rows * columns * bits // 8 + 2 * (rows * columns // group),
            "You round down, but the last bits need a byte too, even if they do not fill it.",
        ),
    ),
    hints=(
        "Two terms: all weights at `bits` bits, in whole bytes; and two bytes for each of the rows · columns / "
        "group_size groups.",
        "Rounding up without floats: -(-bits // 8), or math.ceil(bits / 8).",
    ),
)

EXERCISES = (BYTES_OF,)
