"""Exercises of lecture 05 about BERT's input and heads: `bert.pack_pair` and `bert.best_span`."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture05 import pack_answers as answers
from lib.exercises.lecture05.bert_spans import BEST_SPAN


# --- bert.pack_pair ---------------------------------------------------------------------------------------------------
def _pack_cases(generator):
    def ids(number):
        return torch.randint(1000, 2000, (number,), generator=generator).tolist()

    special = (101, 102, 0)
    return [
        case("both fit, with padding", ids(3), ids(2), 12, *special),
        case("exactly full", ids(4), ids(5), 12, *special),
        case("a long second text", ids(3), ids(15), 12, *special),
        case("a long first text", ids(15), ids(3), 12, *special),
        case("two long texts, even room", ids(20), ids(20), 13, *special),
        case("two long texts, odd room", ids(20), ids(20), 14, *special),
        case("two long texts of different length", ids(7), ids(9), 11, *special),
        case("an empty second text", ids(4), [], 9, *special),
        case("an empty first text", [], ids(4), 9, *special),
        case("room for the special tokens alone", ids(2), ids(2), 3, *special),
        case("room for one token", ids(3), ids(3), 4, *special),
        case("other special tokens, padding 1", ids(2), ids(2), 9, 0, 2, 1),
        case("the padding's id occurs in a text", [5, 0, 7], [0, 9], 12, *special),
        case("a separator written in a text", [5, 102, 7], [101, 9], 11, *special),
    ]


PACK_PAIR = Exercise(
    id="bert.pack_pair",
    slides=("C11", "W10", "W14"),
    points=6,
    minutes=25,
    title="Pack a pair",
    reference=answers.pack_pair,
    cases=_pack_cases,
    accepts=(answers.by_formula,),
    withheld=("lib.text.pairs.pack_pairs", "lib.text.pairs.cut_longest_first", "lib.text.pairs._ids"),
    misconceptions=(
        Misconception(
            "second_cut_only",
            answers.cut_by(answers.second_only),
            "You cut the second text alone (and the first where nothing else helps). The longer one loses, whichever it is.",
        ),
        Misconception(
            "first_cut_only",
            answers.cut_by(answers.first_only),
            "You cut the first text alone (and the second where nothing else helps). The longer one loses, whichever it is.",
        ),
        Misconception(
            "half_each",
            answers.cut_by(answers.half_each),
            "You give each text half of the room. A short text leaves the rest of its half to the long one.",
        ),
        Misconception(
            "tie_to_the_first",
            answers.cut_by(answers.tie_to_first),
            "Of two texts that are equally long, the *second* loses a token. With an odd room the first keeps one more.",
        ),
        Misconception(
            "cut_at_the_front",
            answers.cut_by(answers.from_the_front),
            "You take tokens from the beginning of a text. Its last token goes first.",
        ),
        Misconception(
            "room_for_two",
            answers.room_by(2),
            "You leave room for two special tokens. There are three: [CLS] and two [SEP].",
        ),
        Misconception(
            "no_room_for_special_tokens",
            answers.room_by(0),
            "You cut the two texts to max_length, and then add three special tokens. They need room too.",
        ),
        Misconception(
            "row_cut_at_its_end",
            answers.cut_whole_row,
            "You cut the finished row at its end. It loses its last [SEP], and only the second text is shortened. Cut the "
            "texts first.",
        ),
        Misconception("not_cut", answers.not_cut, "Your row can be longer than max_length. Cut the texts first."),
        Misconception(
            "not_padded", answers.not_padded, "Short rows must be padded: all three lists have max_length items."
        ),
        Misconception(
            "first_separator_in_second_segment",
            answers.laid_out(answers.middle_in_second),
            "Your first [SEP] belongs to segment 1. It ends the first text, so it is in segment 0.",
        ),
        Misconception(
            "last_separator_in_first_segment",
            answers.laid_out(answers.specials_zero),
            "Your last [SEP] belongs to segment 0. It ends the second text, so it is in segment 1.",
        ),
        Misconception(
            "cls_before_each",
            answers.laid_out(answers.cls_twice),
            "You put [CLS] before both texts. It stands once, at the beginning of the row.",
        ),
        Misconception(
            "no_last_separator",
            answers.laid_out(answers.no_last_separator),
            "The [SEP] after the second text is missing.",
        ),
        Misconception(
            "one_text_without_second",
            answers.one_text_without_second,
            "Where the second text is empty your row has one [SEP]. The row has the same form for empty texts: its second "
            "[SEP] stays, and is in segment 1.",
        ),
        Misconception(
            "empty_left_out",
            answers.empty_left_out,
            "You leave out the [SEP] of a text that is empty. The row has the same form for empty texts: two [SEP].",
        ),
        Misconception(
            "segments_from_one",
            answers.laid_out(answers.from_one),
            "You number the segments 1 and 2. They are 0 and 1.",
        ),
        Misconception(
            "one_segment",
            answers.laid_out(answers.all_zero),
            "All your tokens are in segment 0. The second text and its [SEP] are in segment 1.",
        ),
        Misconception(
            "padding_in_second_segment",
            answers.padded_as(pad_type=1),
            "You number padding as segment 1. Here padding has segment 0.",
        ),
        Misconception(
            "padded_on_the_left", answers.padded_as(left=True), "You pad on the left. Padding comes at the end."
        ),
        Misconception(
            "padded_with_zero",
            answers.padded_as(zero=True),
            "You pad with the id 0. The padding's id is an argument: pad_id.",
        ),
        Misconception(
            "mask_upside_down",
            answers.mask_of(lambda i, m, special, pad: 1 - m),
            "Your mask is 1 at padding. It is 1 for real tokens.",
        ),
        Misconception(
            "mask_without_special_tokens",
            answers.mask_of(lambda i, m, special, pad: int(m and i not in special)),
            "Your mask hides [CLS] and [SEP]. They are real tokens: only padding is hidden.",
        ),
        Misconception(
            "mask_by_id",
            answers.mask_of(lambda i, m, special, pad: int(i != pad)),
            "You look for the padding's id. It may occur in a text: count how many tokens the row has.",
        ),
        Misconception(
            "mask_of_ones",
            answers.mask_of(lambda i, m, special, pad: 1),
            "Your mask is 1 everywhere. It is 0 at padding.",
        ),
        Misconception(
            "another_order",
            answers.another_order,
            "You return ids, mask, segments. The order is ids, segments, mask.",
        ),
        Misconception(
            "in_place",
            answers.in_place,
            "You take tokens away from the caller's lists. Work on copies: first = list(first).",
        ),
    ),
    hints=(
        "Three special tokens need places: what is left for the two texts?",
        "A while loop is the easiest: as long as the two are too long together, one of them loses its last token. Which one?",
        "Count before you pad: the mask is as many ones as the row has tokens, then zeros.",
    ),
)


EXERCISES = (PACK_PAIR, BEST_SPAN)
