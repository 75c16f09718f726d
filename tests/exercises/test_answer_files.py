"""The reader of answer files: sections, what is judged, and what is refused."""

import pytest

from tests.exercises import answer_files
from tests.exercises.answer_files import main, read_answers, rows_of

FILE = """anything before the first section
### ANSWER right: a loop
def my_perplexity(log_probs):
    every = [value for row in log_probs for value in row]
    return math.exp(-sum(every) / len(every))
### ANSWER wrong: bits are not nats, so the base does not fit
def my_perplexity(log_probs):
    every = [value for row in log_probs for value in row]
    return 2 ** (-sum(every) / len(every))
### ANSWER wrong: a helper that is not there
def my_perplexity(log_probs):
    return helper(log_probs)
### ANSWER open: what is the perplexity of nothing?
def my_perplexity(log_probs):
    return math.exp(-sum(map(sum, log_probs)) / max(sum(map(len, log_probs)), 1))
### ANSWER wrong: another name
def perplexity(log_probs):
    return 1.0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "autoregressive.perplexity.py").write_text(FILE)
    return tmp_path


def test_each_answer_has_its_row(folder):
    rows = list(rows_of(folder / "autoregressive.perplexity.py", seeds=2))
    assert [(row.wanted, row.check, row.passed, row.named) for row in rows] == [
        ("right", "right", "2/2", ""), ("wrong", "value", "0/2", "two_to_the_nats"), ("wrong", "raised", "0/2", ""),
        ("open", "right", "2/2", ""),
        ("wrong", "not defined", "0/2", ""),
    ]  # fmt: skip
    assert rows[1].what == "bits are not nats, so the base does not fit" and all(row.as_wanted for row in rows)


def test_the_command_says_what_is_not_as_wanted(folder, capsys, tmp_path):
    path = folder / "autoregressive.perplexity.py"
    assert main([str(folder), "autoregressive.perplexity", "--seeds", "1", "--csv", str(tmp_path / "rows.csv")]) == 0
    shown = capsys.readouterr().out.split("\n")
    assert "wrong: 3 of 3 fail under check and every seed, 1 are named" in shown
    assert (tmp_path / "rows.csv").read_text().startswith("exercise,wanted,check,passed,named,what")
    path.write_text(FILE.replace("right: a loop", "wrong: a loop"))
    assert main([str(folder), "--seeds", "1"]) == 1
    assert capsys.readouterr().out.startswith("! autoregressive.perplexity")


def test_what_is_no_file_of_answers_is_refused(folder):
    path = folder / "autoregressive.perplexity.py"
    for text, words in (("def f(): pass", "no line"), ("### ANSWER maybe: x\n", "a section begins with")):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_answers(path)
    with pytest.raises(ValueError, match="there is no exercise 'nothing'"):
        read_answers(folder / "nothing.py")
    with pytest.raises(ValueError, match="seeds must be 0 to 100"):
        list(rows_of(path, seeds=len(answer_files.SEEDS) + 1))
