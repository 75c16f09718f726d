"""The small fine-tuning set of lecture 14: well-formed, of one style, and its two parts apart."""

import json

from lib import DATA

ROWS = [json.loads(line) for line in (DATA / "style" / "pirate.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_row_is_a_question_with_an_answer():
    assert len(ROWS) >= 32
    for row in ROWS:
        assert set(row) == {"split", "question", "answer"} and row["split"] in ("train", "test")
        assert row["question"].endswith("?") and row["question"][0].isupper()


def test_the_style_is_one_that_anybody_sees():
    assert all(row["answer"].startswith("Arr, ") and row["answer"].endswith("matey!") for row in ROWS)


def test_no_question_is_in_both_parts():
    questions = [row["question"].casefold() for row in ROWS]
    assert len(set(questions)) == len(questions)
    assert sum(row["split"] == "test" for row in ROWS) >= 8
