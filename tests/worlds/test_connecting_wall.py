import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.slides import example
from lib.worlds.connecting_wall import count_partitions, parse_groups, score_wall

WALL = example("E9")
WORDS, SOLUTION = WALL["texts"], list(WALL["solution"].values())


def marked(text):
    return score_wall(parse_groups(text, WORDS), WORDS, SOLUTION)


def test_the_chat_model_only_chops_the_question():
    text = WALL["answers"]["Llama-2-7B-chat"]
    assert parse_groups(text, WORDS) == [WORDS[i : i + 4] for i in range(0, 16, 4)]
    score = marked(text)
    assert score.correct == 0 and score.well_formed and score.sizes == (4, 4, 4, 4)


def test_the_base_model_invents_and_forgets():
    score = marked(WALL["answers"]["Llama-2-7B"])
    assert score.sizes == (3, 6, 8) and score.correct == 0 and not score.well_formed
    assert score.invented == ("KESTONE", "ELM", "DOUBT", "CRADF")
    assert score.missing == ("Bluegrass", "Keystone", "Craft") and score.repeated == ()


def test_a_blank_answer_scores_nothing():
    assert parse_groups("I cannot help with that, sorry.", WORDS) == []
    score = score_wall([], WORDS, SOLUTION)
    assert score.correct == 0 and score.missing == tuple(WORDS) and not score.well_formed


WAYS = {
    "one line": lambda groups: " ".join(f"Group {i}: {', '.join(g)}" for i, g in enumerate(groups, 1)),
    "lines": lambda groups: "\n".join(", ".join(g) for g in groups),
    "sentences": lambda groups: ". ".join(", ".join(g) for g in groups) + ".",
    "numbered": lambda groups: "\n".join(f"{i}. {', '.join(g)}" for i, g in enumerate(groups, 1)),
    "explained": lambda groups: "\n".join(f"{', '.join(g)} (all of one kind)" for g in groups),
    "dashed": lambda groups: "\n".join(f"- {', '.join(g)} - they are all alike, you see" for g in groups),
    "named": lambda groups: "Sure, here they are!\n" + "\n".join(f"**Cheeses, say:** {', '.join(g)}" for g in groups),
    "and": lambda groups: "\n".join(f"{', '.join(g[:-1])}, and {g[-1]}." for g in groups),
    "quoted": lambda groups: "\n".join(", ".join(f'"{w}"' for w in g) for g in groups),
    "bullets": lambda groups: "\n\n".join(f"**Group {i}:**\n" + "\n".join(f"* {w}" for w in g)
                                          for i, g in enumerate(groups, 1)),
    "numbered bullets": lambda groups: "\n".join("Title\n" + "\n".join(f"{j}. {w}" for j, w in enumerate(g, 1))
                                                 for g in groups),
    "bulleted headings": lambda groups: "\n".join(f"- Kind {i}:\n" + "\n".join(f"  - {w}" for w in g)
                                                  for i, g in enumerate(groups, 1)),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_solution_is_found_however_it_is_written(way):
    score = marked(WAYS[way](SOLUTION))
    assert score.correct == 4 and score.well_formed, parse_groups(WAYS[way](SOLUTION), WORDS)


@settings(max_examples=40)
@given(st.permutations(WORDS), st.sampled_from(sorted(WAYS)))
def test_any_partition_survives_being_written_and_read(order, way):
    groups = [list(order[i : i + 4]) for i in range(0, 16, 4)]
    assert parse_groups(WAYS[way](groups), WORDS) == groups
    score = score_wall(groups, WORDS, SOLUTION)
    assert score.well_formed
    assert score.correct == sum(set(g) == set(s) for g in groups for s in SOLUTION)


def test_one_group_more_than_once_counts_once_and_its_words_are_repeated():
    score = score_wall([SOLUTION[1], SOLUTION[1]], WORDS, SOLUTION)
    assert score.correct == 1 and score.repeated == ("Blackberry", "Eskimo", "Mud", "Rabbit")
    assert score_wall([SOLUTION[1] + ["Mud"]], WORDS, SOLUTION).correct == 0


def test_an_answer_is_well_formed_when_it_obeys_the_instruction():
    a, b, c, d = SOLUTION
    assert score_wall([b, d, a[::-1], c], WORDS, SOLUTION).well_formed
    faulty = [
        [WORDS],  # each word once, and all in one group
        [a + b[:1], b[1:], c, d],
        [a, b, c],
        [a, b, c, d, d],
        [a, b, c, d[:3] + [c[0]]],
        [a, b, c, d[:3] + ["Elm"]],
    ]
    assert not any(score_wall(groups, WORDS, SOLUTION).well_formed for groups in faulty)


def test_capitals_and_spaces_do_not_matter_but_letters_do():
    score = score_wall([["grand  CANYON", "silver", "Keystone", "bluegrass"]], WORDS, SOLUTION)
    assert score.correct == 1 and score.invented == ()
    assert score_wall([["Silver", "Kestone"]], WORDS, SOLUTION).invented == ("Kestone",)


@pytest.mark.parametrize("n, g", [(4, 2), (6, 2), (6, 3), (4, 4), (3, 1)])
def test_partitions_are_counted_as_by_hand(n, g):
    size = n // g
    found = {frozenset(frozenset(order[i : i + size]) for i in range(0, n, size))
             for order in itertools.permutations(range(n))}  # fmt: skip
    assert count_partitions(n, g) == len(found)


def test_bad_input(unchecked):
    with pytest.raises(ValueError, match="words must be one or more different words"):
        parse_groups("a, b", [])
    with pytest.raises(ValueError, match="different words, got"):
        score_wall([], ["Mud", "mud"], [["Mud", "mud"]])
    with pytest.raises(ValueError, match="solution must hold each word of the wall once"):
        score_wall([], ["Mud", "Silver"], [["Mud"]])
    with pytest.raises(ValueError, match="must divide evenly"):
        count_partitions(15, 4)
    with pytest.raises(ValueError, match="at least 1 group"):
        count_partitions(4, 0)


@pytest.mark.parametrize(
    "text, groups",
    [
        ("Mud, one two three", [["Mud", "one two three"]]),
        ("Mud, one two three four", []),  # a sentence with a comma in it
        ("Mud", []), ("Sliver, Gold", []), ("Gold, MUD", [["Gold", "MUD"]]),
        ("Group a: Mud, Hunt Group D: Silver, Gold", [["Mud", "Hunt"], ["Silver", "Gold"]]),
        ("Groups of Mud, Hunt", [["Groups of Mud", "Hunt"]]),
        ("#### ANSWER #### Mud, Hunt", [["Mud", "Hunt"]]),
        ("Mud (wet), Hunt – of foxes, mostly", [["Mud", "Hunt"]]),
        ("Here: they are: Mud, Hunt", [["Mud", "Hunt"]]),
        ("- Mud\n- Hunt\n\nSilver, Gold", [["Mud", "Hunt"], ["Silver", "Gold"]]),
        ("- Mud\ntext\n- Hunt", []),  # bullets that do not follow each other
    ],
)  # fmt: skip
def test_a_group_is_told_from_a_sentence(text, groups):
    assert parse_groups(text, ["Mud", "Hunt", "Silver"]) == groups


@pytest.mark.parametrize("bullet", ["-", "*", "•", "+", "1.", "2)", "(3)", "12."])
def test_each_kind_of_bullet_is_one(bullet):
    assert parse_groups(f"{bullet} Mud\n  {bullet} Hunt", ["Mud", "Hunt"]) == [["Mud", "Hunt"]]


@pytest.mark.parametrize("words, groups", [(0, 1), (3, 4), (0, 0), (4, -1), (4, 3)])
def test_what_cannot_be_parted_is_refused(words, groups, unchecked):
    with pytest.raises(ValueError, match="must divide evenly"):
        count_partitions(words, groups)
    assert count_partitions(1, 1) == count_partitions(5, 5) == 1


def test_words_are_listed_in_the_order_of_the_wall_and_items_in_that_of_the_answer():
    score = score_wall([["x", "c", "b"], ["b", "y", "C"]], ["A", "B", "C", "D"], [["a", "b"], ["c", "d"]])
    assert (score.invented, score.missing, score.repeated) == (("x", "y"), ("A", "D"), ("B", "C"))
    assert (score.sizes, score.asked, score.correct) == ((3, 3), (2, 2), 0)
    with pytest.raises(ValueError, match="different words"):
        score_wall([], ["a", " "], [["a"]])
    with pytest.raises(ValueError, match="solution must hold"):
        score_wall([], ["a", "b"], [["a", "b"], ["b"]])
