"""Exercises of notebook 14: the size of a task's checkpoint, and the tokens that count in the loss."""

from collections.abc import Sequence

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- peft.checkpoint --------------------------------------------------------------------------------------------------
def checkpoint_size(parameters: int, bits: int) -> tuple[float, float]:
    """Megabytes (10⁶ bytes) and mebibytes (2²⁰ bytes) of a checkpoint with this number of parameters (slide W28)."""
    size = parameters * bits / 8
    return size / 1e6, size / 2**20


def _checkpoints(generator):
    few, many = torch.randint(10**5, 10**8, (2,), generator=generator).tolist()
    bits = [4, 8, 16, 32][int(torch.randint(4, (1,), generator=generator))]
    return [
        case("LoRA on GPT-3, r = 4, 16 bits", 18_874_368, 16),
        case("the same in 32 bits", 18_874_368, 32),
        case("LoRA on GPT-3, r = 8, 16 bits", 37_748_736, 16),
        case("a million weights of 8 bits", 10**6, 8),
        case("an odd number of 4-bit weights", 1_000_001, 4),
        case("three weights of 4 bits: a byte and a half", 3, 4),
        case("signs alone, 1 bit each", 1_234_567, 1),
        case("an adapter of random size, 16 bits", few, 16),
        case("a whole model of random size and width", 100 * many, bits),
    ]


CHECKPOINT = Exercise(
    id="peft.checkpoint",
    slides=("W28",),
    points=2,
    minutes=6,
    title="35 MB or 37.7 MB?",
    reference=checkpoint_size,
    cases=_checkpoints,
    tolerance=Tolerance(rtol=1e-6, atol=0.0),  # neither number may be rounded, however small
    accepts=(lambda parameters, bits: [parameters * bits / 8_000_000, parameters * bits / (8 * 1024 * 1024)],),
    misconceptions=(
        Misconception(
            "one_byte_each",
            lambda parameters, bits: (parameters / 1e6, parameters / 2**20),
            "You count one byte per number. How many bytes are `bits` bits? With this mistake 37.7 million parameters "
            "(r = 8) "
            "look like 37.7 megabytes (r = 4).",
        ),
        Misconception(
            "bits_for_bytes",
            lambda parameters, bits: (parameters * bits / 1e6, parameters * bits / 2**20),
            "These are megabits. A byte has 8 bits.",
        ),
        Misconception(
            "swapped_units",
            lambda parameters, bits: checkpoint_size(parameters, bits)[::-1],
            "The two results are swapped: a mebibyte is larger, so there are fewer of them.",
        ),
        Misconception(
            "only_decimal",
            lambda parameters, bits: (checkpoint_size(parameters, bits)[0],) * 2,
            "You return megabytes twice. A mebibyte has 2²⁰ = 1,048,576 bytes.",
        ),
        Misconception(
            "only_binary",
            lambda parameters, bits: (checkpoint_size(parameters, bits)[1],) * 2,
            "You return mebibytes twice. A megabyte has 10⁶ bytes, even if some operating systems show it otherwise.",
        ),
        Misconception(
            "always_fp32",
            lambda parameters, bits: checkpoint_size(parameters, 32),
            "You count 4 bytes per number, whatever `bits` is. Checkpoints of 16 bits are half as large.",
        ),
        Misconception(
            "whole_bytes_each",
            lambda parameters, bits: checkpoint_size(parameters, 8 * (bits // 8)),
            "You round the bytes of one number down. 4 bits are half a byte: multiply first, then divide.",
        ),
        Misconception(
            "kibibytes_by_the_thousand",
            lambda parameters, bits: (parameters * bits / 8e6, parameters * bits / 8 / 1_024_000),
            "Your mebibyte has 1024 · 1000 bytes. It has 1024 · 1024 = 2²⁰.",
        ),
        Misconception(
            "rounded",
            lambda parameters, bits: tuple(round(size, 1) for size in checkpoint_size(parameters, bits)),
            "You round the result, and a small checkpoint vanishes. Round when you print, not before.",
        ),
        Misconception(
            "whole_megabytes",
            lambda parameters, bits: tuple(float(round(size)) for size in checkpoint_size(parameters, bits)),
            "You return whole megabytes. The exercise asks for the sizes themselves: leave rounding to whoever prints them.",
        ),
        Misconception(
            "two_decimals",
            lambda parameters, bits: tuple(round(size, 2) for size in checkpoint_size(parameters, bits)),
            "You round to two decimals, and the size of a very small checkpoint becomes 0. Return what comes out.",
        ),
        Misconception(
            "whole_bytes_in_all",
            lambda parameters, bits: (parameters * bits // 8 / 1e6, parameters * bits // 8 / 2**20),
            "You drop half a byte with //: three numbers of 4 bits are 1.5 bytes here.",
        ),
        Misconception(
            "factor_turned",
            lambda parameters, bits: (parameters * bits / 8e6, parameters * bits / 8e6 * 1.048576),
            "A mebibyte is larger than a megabyte, so there are fewer of them: divide by 1.048576, do not multiply.",
        ),
        Misconception(
            "gigabytes",
            lambda parameters, bits: (parameters * bits / 8e9, parameters * bits / 8 / 2**30),
            "These are gigabytes and gibibytes; the exercise asks for megabytes and mebibytes.",
        ),
    ),
    hints=("bytes = parameters · bits / 8", "MB: divide by 10**6. MiB: divide by 2**20."),
)


# --- peft.answer_labels -----------------------------------------------------------------------------------------------
def answer_labels(prompt: Sequence[int], answer: Sequence[int]) -> list[int]:
    """At each position the next token if it belongs to the answer, else -100: log p(y_t | x, y_<t) (slide W26)."""
    ids = [*prompt, *answer]
    return [ids[t + 1] if len(prompt) <= t + 1 < len(ids) else -100 for t in range(len(ids))]


def _dialogues(generator):
    def draw(shortest, longest):
        length = int(torch.randint(shortest, longest + 1, (1,), generator=generator))
        return torch.randint(1, 50_000, (length,), generator=generator).tolist()

    return [
        case("a prompt of four tokens, an answer of three", [11, 12, 13, 14], [21, 22, 23]),
        case("one token each", [5], [6]),
        case("an answer of one token", [1, 2, 3], [9]),
        case("a prompt of one token", [7], [4, 5, 6, 8]),
        case("the answer repeats the prompt", [3, 4], [3, 4]),
        case("ids that the prompt and the answer share", [5, 6, 7, 6, 5], [6, 6, 5]),
        case("id 0 on both sides", [0, 8, 0], [0, 9, 0]),
        case("a long prompt, a short answer", draw(6, 12), draw(1, 3)),
        case("a short prompt, a long answer", draw(2, 4), draw(5, 10)),
    ]


def _unshifted(prompt, answer):
    return [-100] * len(prompt) + list(answer)


def _shifted(labels):
    return [*labels[1:], -100]


def _by_rolling(prompt, answer):
    labels = torch.tensor([*prompt, *answer]).roll(-1)
    labels[: len(prompt) - 1] = labels[-1] = -100
    return labels.tolist()


ANSWER_LABELS = Exercise(
    id="peft.answer_labels",
    slides=("W26",),
    points=3,
    minutes=10,
    title="Only the answer counts",
    reference=answer_labels,
    cases=_dialogues,
    accepts=(
        lambda prompt, answer: _shifted(_unshifted(prompt, answer)),
        lambda prompt, answer: [-100] * (len(prompt) - 1) + list(answer) + [-100],
        _by_rolling,
    ),
    withheld=("lib.objectives.autoregressive.shift_labels", "lib.objectives.sft.response_labels"),
    misconceptions=(
        Misconception(
            "prompt_not_masked",
            lambda prompt, answer: _shifted([*prompt, *answer]),
            "You also train on the prompt. Slide W26's sum is over the |y| tokens of the answer; x is given.",
        ),
        Misconception(
            "not_shifted",
            _unshifted,
            "Position t has token t as its label, which the model has just read. The label is the token after it.",
        ),
        Misconception(
            "first_token_lost",
            lambda prompt, answer: [-100] * len(prompt) + _shifted(list(answer)),
            "The first token of the answer is not predicted. It is the label of the prompt's last position.",
        ),
        Misconception(
            "shifted_the_wrong_way",
            lambda prompt, answer: [-100, *_unshifted(prompt, answer)[:-1]],
            "Your labels are shifted to the right: the label of each position is the token before it.",
        ),
        Misconception(
            "answer_masked",
            lambda prompt, answer: [*list(prompt)[1:], *[-100] * (len(answer) + 1)],
            "You train on the prompt and mask the answer: swap them.",
        ),
        Misconception(
            "one_label_short",
            lambda prompt, answer: answer_labels(prompt, answer)[:-1],
            "A label is missing: one for each position, and the last one, which nothing follows, has −100.",
        ),
        Misconception(
            "one_label_long",
            lambda prompt, answer: [*_unshifted(prompt, answer), -100],
            "You have one label more than there are positions, and none is shifted. Where does the first label belong?",
        ),
        Misconception(
            "by_membership",
            lambda prompt, answer: [*(i if i in answer else -100 for i in [*prompt, *answer][1:]), -100],
            "You ask whether an id occurs in the answer, but the prompt may contain it too. What counts is its place.",
        ),
        Misconception(
            "wraps_around",
            lambda prompt, answer: [*answer_labels(prompt, answer)[:-1], prompt[0]],
            "Your last position predicts the first id of the prompt. Nothing follows it: its label is −100.",
        ),
        Misconception(
            "zero_for_ignored",
            lambda prompt, answer: [0 if label == -100 else label for label in answer_labels(prompt, answer)],
            "0 is a token: those positions would be trained to predict it. Losses ignore the value -100.",
        ),
    ),
    hints=(
        "Put both together, ids = [*prompt, *answer]; position t predicts ids[t + 1].",
        "The first position with a label is the last of the prompt; the very last position has none.",
    ),
)

EXERCISES = (CHECKPOINT, ANSWER_LABELS)
