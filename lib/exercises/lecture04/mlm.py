"""Exercises of notebook 04: masking, the distribution at one position, the loss."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture04.mask_answers import (
    check_masking,
    fate_by_place,
    fate_of_the_row,
    fixed_number,
    in_place,
    limits_of_15,
    mask_tokens,
    no_copy,
    rate_of_all,
    split_of_all,
    wrong_masking,
)
from lib.exercises.lecture04.masked_loss import LOSS
from lib.exercises.lecture04.slots import SLOT_PROBABILITIES


# --- mlm.mask_tokens --------------------------------------------------------------------------------------------------
def _mask_cases(generator):
    def batch(rows, length, rate):
        ids = torch.randint(5, 1000, (rows, length), generator=generator)
        ids[:, 0], ids[:, -1] = 2, 3
        return ids, 4, 1000, [0, 1, 2, 3, 4], rate, seeded()

    def seeded():
        return torch.Generator().manual_seed(int(torch.randint(1, 10_000, (1,), generator=generator)))

    small = torch.randint(
        4, 63, (64, 256), generator=generator
    )  # and id 0; 1, 2 and 3 are special, 63 is not in the text
    small = small.masked_fill(torch.rand(64, 256, generator=generator) < 0.1, 0)
    small[:, 0], small[:, -1] = 1, 2

    padded, *rest = batch(64, 256, 0.15)
    padded[:, 128:] = 0

    only_special = torch.tensor([[2, 3, 0, 0], [2, 1, 3, 0]])
    return [
        case("64 rows of 256 tokens, 15 %", *batch(64, 256, 0.15)),
        case("64 rows of 128 tokens, 40 %", *batch(64, 128, 0.40)),
        case("every ordinary token is selected", *batch(64, 64, 1.0)),
        case("every ordinary token of a small vocabulary", small, 3, 64, [1, 2, 3], 1.0, seeded()),
        case("rows of which half is padding", padded, *rest),
        case("nothing is selected", *batch(2, 8, 0.0)),
        case("only special tokens", only_special, 4, 1000, [0, 1, 2, 3, 4], 1.0, torch.Generator().manual_seed(0)),
    ]


MASK_TOKENS = Exercise(
    id="mlm.mask_tokens",
    slides=("C08", "W11"),
    points=4,
    minutes=20,
    title="Masking as BERT does it",
    reference=mask_tokens,
    cases=_mask_cases,
    decide=check_masking,
    accepts=(wrong_masking(), fixed_number),  # the first one without a mistake
    withheld=(
        "lib.training.recipes.mlm_sampler",
        "lib.text.masking._chance",
        "lib.text.masking._draw_words",
        "lib.text.masking._replace",
    ),
    misconceptions=(
        Misconception(
            "always_mask",
            wrong_masking((1.0, 0.0)),
            "Every selected token becomes [MASK]. BERT does this to 80 %: the model must also learn to doubt the "
            "tokens that it can read, since the texts it is used on contain no [MASK].",
        ),
        Misconception(
            "labels_everywhere",
            wrong_masking(labels="everywhere"),
            "Every token has a label. The model reads 85 % of them unchanged, and would mostly learn to copy. "
            "Elsewhere the label is −100.",
        ),
        Misconception(
            "labels_at_mask_only",
            wrong_masking(labels="masked"),
            "Your random tokens have no label. All selected tokens are predicted, whatever they were replaced with.",
        ),
        Misconception(
            "no_labels_on_kept",
            wrong_masking(labels="changed"),
            "The tokens that were selected and kept have no label, so they do not differ from the rest. They are "
            "predicted too: this makes the model check visible words.",
        ),
        Misconception(
            "special_tokens_selected",
            wrong_masking(specials=True),
            "[CLS], [SEP] or padding are selected as well. They are always there, so predicting them teaches nothing.",
        ),
        Misconception(
            "split_of_all_tokens",
            split_of_all,
            "You apply 80/10/10 to all tokens. First select with the rate, then split the selected ones.",
        ),
        Misconception(
            "never_kept",
            wrong_masking((0.8, 0.2)),
            "A fifth becomes random and nothing is kept. Of the selected tokens, a tenth becomes random and a tenth is "
            "kept.",
        ),
        Misconception(
            "never_random",
            wrong_masking((0.8, 0.0)),
            "No selected token becomes random: a fifth is kept. Of the selected tokens, a tenth becomes a random token.",
        ),
        Misconception(
            "tenth_of_the_rest",
            wrong_masking(rest=True),
            "Your second draw takes a tenth of those that [MASK] left over: 2 % of the selected. Take half of them.",
        ),
        Misconception(
            "labels_from_corrupted",
            wrong_masking(labels="corrupted"),
            "Your labels come from the corrupted ids: the right answer to [MASK] would be [MASK]. Take them from ids.",
        ),
        Misconception(
            "same_for_every_row",
            wrong_masking(per_column=True),
            "The same positions are selected in all rows: draw a number for each token of the batch, not for each "
            "column.",
        ),
        Misconception("rate_ignored", wrong_masking(rate_used=0.15), "You always select 15 %, whatever `rate` is."),
        Misconception(
            "one_random_word",
            wrong_masking(one_word=True),
            "All random replacements are the same token: draw a new one for each position.",
        ),
        Misconception(
            "not_every_id",
            wrong_masking(lowest=1),
            "Some ids never come as a random token. torch.randint(vocab_size, …) draws from 0 to vocab_size − 1: its upper "
            "end is left out already, and 0 is an id like any other.",
        ),
        Misconception(
            "generator_unused",
            wrong_masking(own_draws="all"),
            "Your draws do not depend on `generator`. Pass it to every draw (generator=generator) and do not seed it anew: "
            "with the same seed the same tokens are masked.",
        ),
        Misconception(
            "some_draws_without_generator",
            wrong_masking(own_draws="words"),
            "You choose with `generator`, but draw the fates or the random tokens without it. Pass it to every draw "
            "(randint_like and rand_like do not take one).",
        ),
        Misconception(
            "rate_of_all",
            rate_of_all,
            "You choose more of the ordinary tokens, to make up for the special ones. `rate` is the probability of each "
            "ordinary token, however many special ones there are.",
        ),
        Misconception(
            "limits_of_15",
            limits_of_15,
            "Your limits belong to a rate of 15 %. Of the chosen tokens 80 % become [MASK], at every rate.",
        ),
        Misconception(
            "fate_by_place",
            fate_by_place,
            "You hand out the fates in the order of the text: [MASK] first, kept tokens at the end. Each chosen token draws "
            "its own fate.",
        ),
        Misconception(
            "fate_of_the_row",
            fate_of_the_row,
            "All chosen tokens of a row have the same fate. Draw one number for each token, not for each row.",
        ),
        Misconception(
            "special_by_order",
            wrong_masking(specials="by order"),
            "You take every id up to the largest special one for special. The list may have gaps: torch.isin looks each id "
            "up.",
        ),
        Misconception(
            "no_copy",
            no_copy,
            "`corrupted = ids` makes no copy: both names are the same tensor, so the labels hold corrupted ids, and the text "
            "itself is overwritten. Work on ids.clone().",
        ),
        Misconception(
            "in_place",
            in_place,
            "You overwrite the text itself, so the next epoch would read the corrupted text. Work on ids.clone().",
        ),
    ),
    hints=(
        "One random number for each token decides whether it is chosen. torch.isin finds the special ones.",
        "A second random number for each chosen token decides its fate. Where would you cut the numbers from 0 to 1?",
        "Both results begin with ids, and ids must stay: masked_fill and torch.where return new tensors.",
    ),
)


EXERCISES = (MASK_TOKENS, SLOT_PROBABILITIES, LOSS)
