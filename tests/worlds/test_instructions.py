from collections import Counter

import pytest
import torch

from lib.worlds.instructions import (
    END_ID,
    LETTERS,
    PAD_ID,
    VERBS,
    WORDS,
    Instruction,
    decode_words,
    encode_words,
    write_instructions,
)

RIGHT = {"first": "a", "last": "c", "copy": "a b b c", "reverse": "c b b a"}


@pytest.mark.parametrize("verb", VERBS)
def test_an_answer_does_what_the_verb_says(verb):
    item = Instruction(verb, "abbc")
    assert item.question == f"{verb} a b b c ?" and item.answer == RIGHT[verb]


def test_verbs_lengths_and_letters_are_alike_often(generator):
    drawn = write_instructions(4000, generator=generator)
    assert {len(item.letters) for item in drawn} == {3, 4}
    for counts in (Counter(item.verb for item in drawn), Counter("".join(item.letters for item in drawn))):
        mean = sum(counts.values()) / len(counts)
        assert all(abs(count - mean) < 5 * mean**0.5 for count in counts.values())
    assert {*"".join(item.letters for item in drawn)} == {*LETTERS}


def test_a_seed_draws_the_same_instructions_again():
    draws = [write_instructions(5, generator=torch.Generator().manual_seed(s)) for s in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


def test_words_survive_being_encoded(generator):
    for item in write_instructions(20, generator=generator):
        assert decode_words([*encode_words(item.question), PAD_ID]) == item.question
    assert WORDS[PAD_ID] == "<pad>" and WORDS[END_ID] == "<end>" and len(set(WORDS)) == len(WORDS)


def test_bad_input(unchecked):
    with pytest.raises(ValueError, match="number must be at least 1, got 0"):
        write_instructions(0)
    with pytest.raises(ValueError, match="got 'sort'"):
        encode_words("sort a b ?")
