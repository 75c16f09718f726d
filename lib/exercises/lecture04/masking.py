"""Exercises of notebook 04: how many tokens are masked, and whole-word masking."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- masking.whole_words ----------------------------------------------------------------------------------------------
def whole_words(word_ids: Int[Tensor, " T"], chosen: Sequence[int]) -> Bool[Tensor, " T"]:
    """True at every piece of the chosen words.

    >>> whole_words(torch.tensor([-1, 0, 0, 1, -1]), [0]).tolist()
    [False, True, True, False, False]
    """
    return torch.isin(word_ids, torch.tensor(chosen, dtype=torch.long))


def _word_cases(generator):
    lengths = torch.randint(1, 4, (12,), generator=generator)
    long = torch.arange(12).repeat_interleave(lengths)
    chosen = torch.randperm(12, generator=generator)[:4].sort().values.tolist()
    return [
        case("a word of three pieces", torch.tensor([-1, 0, 0, 0, 1, 2, 2, -1]), [0]),
        case("two words apart", torch.tensor([-1, 0, 1, 1, 2, 3, 3, -1, -1]), [1, 3]),
        case("the later word first", torch.tensor([-1, 0, 0, 1, 2, 2, -1]), [2, 0]),
        case("no word chosen", torch.tensor([-1, 0, 1, 1, -1]), []),
        case("every word chosen", torch.tensor([-1, 0, 0, 1, -1]), [0, 1]),
        case("twelve words, no special tokens", long, chosen),
    ]


def _picked(word_ids, chosen):
    return whole_words(word_ids, chosen)


def _begins(word_ids):
    return torch.cat([torch.ones(1, dtype=torch.bool), word_ids[1:] != word_ids[:-1]])


def _first_piece(word_ids, chosen):
    return _picked(word_ids, chosen) & _begins(word_ids)


def _continuations(word_ids, chosen):
    return _picked(word_ids, chosen) & ~_begins(word_ids)


def _positions(word_ids, chosen):
    return torch.isin(torch.arange(len(word_ids)), torch.tensor(chosen, dtype=torch.long))


def _from_first_to_last(word_ids, chosen):
    if not chosen:
        return torch.zeros_like(word_ids, dtype=torch.bool)
    return (word_ids >= min(chosen)) & (word_ids <= max(chosen))


def _first_word_only(word_ids, chosen):
    return _picked(word_ids, chosen[:1])


def _word_by_word(word_ids, chosen):
    found = torch.zeros(len(word_ids), dtype=torch.bool)
    for word in chosen:
        found |= word_ids == word
    return found


WHOLE_WORDS = Exercise(
    id="masking.whole_words",
    slides=("C08", "W10"),
    points=2,
    minutes=8,
    title="Whole-word masking",
    reference=whole_words,
    cases=_word_cases,
    accepts=(_word_by_word, lambda w, c: torch.tensor([int(i) in c for i in w], dtype=torch.bool)),
    misconceptions=(
        Misconception(
            "first_piece_only",
            _first_piece,
            "Only the first piece of each chosen word is selected. The rest stays readable and gives the word away.",
        ),
        Misconception(
            "continuations_only",
            _continuations,
            "You select the pieces that continue a word and leave its first piece readable. That piece is part of the "
            "word.",
        ),
        Misconception(
            "positions_for_words",
            _positions,
            "`chosen` holds numbers of words, not positions: compare it with the entries of word_ids.",
        ),
        Misconception(
            "inverted",
            lambda word_ids, chosen: ~_picked(word_ids, chosen),
            "True and False are swapped: True marks the pieces that are selected.",
        ),
        Misconception(
            "special_tokens_too",
            lambda word_ids, chosen: _picked(word_ids, chosen) | (word_ids == -1),
            "You also select where word_ids is −1. Those are [CLS] and [SEP]: they belong to no word and are never "
            "selected.",
        ),
        Misconception(
            "everything_between",
            _from_first_to_last,
            "You select everything from the first chosen word to the last. The words between them were not chosen "
            "(masking a whole span is what SpanBERT does).",
        ),
        Misconception(
            "last_word_only",
            lambda word_ids, chosen: _picked(word_ids, chosen[-1:]),
            "Only the last of the chosen words is selected: each turn of your loop overwrites what the one before found. "
            "Collect with |=.",
        ),
        Misconception(
            "no_words_fail",
            lambda word_ids, chosen: torch.stack([word_ids == word for word in chosen]).any(dim=0),
            "torch.stack of nothing fails, but the list of chosen words may be empty: then no piece is selected.",
        ),
        Misconception(
            "numbers",
            lambda word_ids, chosen: _picked(word_ids, chosen).long(),
            "The pattern is right, but these are the numbers 0 and 1: the answer is True or False for each piece.",
        ),
        Misconception(
            "one_word_only",
            _first_word_only,
            "Only the first of the chosen words is selected: is there a `return` inside your loop?",
        ),
    ),
    hints=(
        "word_ids[i] is the number of the word that piece i belongs to: the question is whether this number is chosen.",
        "torch.isin(word_ids, torch.tensor(chosen, dtype=torch.long)), or a loop over chosen with |=.",
    ),
)


# --- masking.expected_counts ------------------------------------------------------------------------------------------
def expected_counts(N: int, rate: float, split: Sequence[float]) -> dict[str, float]:
    """Expected numbers of the N tokens that become [MASK], become random, are selected but kept, are not selected.

    >>> {k: round(v, 1) for k, v in expected_counts(1000, 0.15, (0.8, 0.1, 0.1)).items()}
    {'mask': 120.0, 'random': 15.0, 'kept': 15.0, 'untouched': 850.0}
    """
    selected = N * rate
    mask, random, kept = (selected * part for part in split)
    return {"mask": mask, "random": random, "kept": kept, "untouched": N - selected}


def _count_cases(generator):
    N = int(torch.randint(100, 1000, (1,), generator=generator))
    return [
        case("BERT on 1,000 tokens", 1000, 0.15, (0.8, 0.1, 0.1)),
        case("the 13 pieces of slide C07 at 40 %", 13, 0.40, (0.8, 0.1, 0.1)),
        case("seven tokens", 7, 0.15, (0.8, 0.1, 0.1)),
        case("a fifth kept", N, 0.15, (0.5, 0.3, 0.2)),
        case("everything selected", 20, 1.0, (0.8, 0.1, 0.1)),
        case("only ever [MASK]", N, 0.15, (1.0, 0.0, 0.0)),
        case("another split", N, 0.30, (0.6, 0.3, 0.1)),
        case("nothing selected", 50, 0.0, (0.8, 0.1, 0.1)),
    ]


def _counts(mask, random, kept, untouched):
    return {"mask": mask, "random": random, "kept": kept, "untouched": untouched}


def _of_everything(N, rate, split):
    return _counts(*(N * part for part in split), N * (1 - rate))


def _kept_twice(N, rate, split):
    found = expected_counts(N, rate, split)
    return found | {"untouched": found["untouched"] + found["kept"]}


def _fractions(N, rate, split):
    return {fate: count / N for fate, count in expected_counts(N, rate, split).items()}


def _whole_numbers(N, rate, split):
    return {fate: round(count) for fate, count in expected_counts(N, rate, split).items()}


def _rounded_down(N, rate, split):
    selected = int(N * rate)
    return _counts(*(int(selected * part) for part in split), N - selected)


def _part_of_the_rest(N, rate, split):
    to_mask, to_random, _ = split
    selected = N * rate
    mask = selected * to_mask
    random = (selected - mask) * to_random
    return _counts(mask, random, selected - mask - random, N - selected)


def _all_masked(N, rate, split):
    return expected_counts(N, rate, split) | {"mask": N * rate}


def _subtracted(N, rate, split):
    mask, random = N * rate * split[0], N * rate * split[1]
    kept = N * rate - mask - random
    return _counts(mask, random, kept, N - mask - random - kept)


EXPECTED_COUNTS = Exercise(
    id="masking.expected_counts",
    slides=("C08", "W11"),
    points=2,
    minutes=6,
    title="What happens to N tokens?",
    reference=expected_counts,
    cases=_count_cases,
    accepts=(_subtracted,),
    misconceptions=(
        Misconception(
            "split_of_all_tokens",
            _of_everything,
            "You split all N tokens. Slide W11's 80/10/10 are parts of the selected ones: multiply by the rate first.",
        ),
        Misconception(
            "kept_counted_twice",
            _kept_twice,
            "Your four numbers sum to more than N. Kept tokens were selected, so they do not count as untouched too.",
        ),
        Misconception(
            "fractions",
            _fractions,
            "These are shares of the tokens. The question is how many: multiply by N.",
        ),
        Misconception(
            "rounded",
            _whole_numbers,
            "You round to whole tokens. An expectation is a mean over many texts and need not be a whole number.",
        ),
        Misconception(
            "rounded_down",
            _rounded_down,
            "int(…) cuts off what is behind the point. An expectation is a mean over many texts and need not be whole.",
        ),
        Misconception(
            "fixed_split",
            lambda N, rate, split: expected_counts(N, rate, (0.8, 0.1, 0.1)),
            "You always split 80/10/10. The shares are in `split`.",
        ),
        Misconception(
            "fixed_rate",
            lambda N, rate, split: expected_counts(N, 0.15, split),
            "You always select 15 %. The share is `rate`.",
        ),
        Misconception(
            "random_and_kept_swapped",
            lambda N, rate, split: expected_counts(N, rate, (split[0], split[2], split[1])),
            "The second share of `split` is for random tokens, the third for kept ones: yours are swapped.",
        ),
        Misconception(
            "part_of_the_rest",
            _part_of_the_rest,
            "You take the random tokens from those that [MASK] left over. Each part of the split is a share of all "
            "selected "
            "tokens.",
        ),
        Misconception(
            "all_selected_masked",
            _all_masked,
            "You count every selected token as [MASK]. Some become random or stay: your numbers sum to more than N.",
        ),
    ),
    hints=(
        "First the selected tokens: N · rate. Then each part of the split is a share of those.",
        "untouched is N − N · rate; the four numbers sum to N.",
    ),
)

EXERCISES = (WHOLE_WORDS, EXPECTED_COUNTS)
