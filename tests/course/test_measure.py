"""`course measure` on an archive in BIG-bench's form, written here; the committed table against the slide's row."""

import csv
import io
import json
import sys
import tarfile
import types

import pytest

from lib import DATA
from lib.course.cli import main
from lib.errors import CourseError
from lib.evaluation.lead_rouge import lead_scores, lead_table, stemmed
from lib.evaluation.rouge import lead, rouge_n
from lib.text.bigbench import SETS, read_summaries
from lib.worlds import few_shot_runs

NEWS = "Cats ran . Dogs sat! “It rained.” He left. Scroll down ."
CANDIDATES = [
    {"source": NEWS, "list_candidates": ["wrong", "Cats ran .\nDogs sat"], "lbl": 1},
    {"source": "A tree fell.", "list_candidates": ["A tree fell", "wrong"], "lbl": 0},
]
EXAMPLES = [{"input": "One.\nTwo.", "target": "Two"}, {"input": "It rains.", "target": "Rain falls"}]


def lines(rows):
    return "# a canary\n# and its number\n" + "".join(json.dumps(row) + "\n" for row in rows)


FILES = {
    "factuality_of_summary/cnn_dm.json": lines(CANDIDATES),
    "factuality_of_summary/xsum.json": lines([row | {"source": "One.\nTwo."} for row in CANDIDATES]),
    "gem/xsum/task.json": json.dumps({"canary": "…", "examples": EXAMPLES}),
}


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in {"README": "…", **files}.items():
            member = tarfile.TarInfo(f"bigbench-1.0.0/bigbench/benchmark_tasks/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def stemmer(monkeypatch):
    """A stemmer that cuts an s, in the place of nltk's."""
    cutter = types.SimpleNamespace(stem=lambda word: word.removesuffix("s"))
    module = types.ModuleType("nltk.stem.porter")
    module.PorterStemmer = lambda: cutter
    for name in ("nltk", "nltk.stem"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "nltk.stem.porter", module)


def test_articles_and_the_right_one_of_their_summaries(tmp_path):
    found = read_summaries(archive(tmp_path / "b.tar.gz", FILES))
    assert list(found) == list(SETS)
    article, summary = found["CNN/DailyMail"][0]
    assert article.split("\n") == ["Cats ran .", "Dogs sat!", "“It rained.”", "He left.", "Scroll down ."]
    assert summary == "Cats ran .\nDogs sat"
    assert found["CNN/DailyMail"][1] == ("A tree fell.", "A tree fell")
    assert found["XSum factuality"][0].article == "One.\nTwo."
    assert found["XSum GEM"] == [("One.\nTwo.", "Two"), ("It rains.", "Rain falls")]


def test_the_table_is_written_whole_and_printed(tmp_path, capsys, stemmer):
    out = tmp_path / "table.csv"
    assert (
        main(["measure", "lead-rouge", "--bigbench", str(archive(tmp_path / "b.tar.gz", FILES)), "--out", str(out)])
        == 0
    )
    assert capsys.readouterr().out == out.read_text()
    rows = list(csv.DictReader(out.open()))
    assert [(row["set"], row["stemmed"], row["sentences"]) for row in rows] == [
        (name, stem, k) for name in SETS for stem in "01" for k in "123"
    ]
    gem = {(row["stemmed"], row["sentences"]): row for row in rows if row["set"] == "XSum GEM"}
    assert (gem["0", "1"]["rouge1"], gem["0", "2"]["rouge1"]) == ("0.0", "33.33")
    assert gem["1", "1"]["rouge1"] == "25.0" and gem["1", "1"]["rouge1_se"] == "25.0"  # rain(s): one of two words


def test_scores_are_means_of_rouge_and_their_errors():
    pairs = [("a b\nc", "a"), ("d\ne f", "e"), ("g\nh", "g h")]
    each = [100 * rouge_n(lead(article, 2), summary, 1).f1 for article, summary in pairs]
    found = lead_scores(pairs, 2)
    assert found["rouge1"] == pytest.approx(sum(each) / 3)
    variance = sum((value - sum(each) / 3) ** 2 for value in each) / 2
    assert found["rouge1_se"] == pytest.approx((variance / 3) ** 0.5)
    assert found["rougeLsum"] >= found["rougeL"]


def test_short_words_are_not_stemmed():
    assert stemmed("His cats: bus, cars!", lambda word: word[:-1]) == "his cat bus car"


@pytest.mark.parametrize("change, complaint", [
    ({"gem/xsum/task.json": "{}"}, "another form"),
    ({"gem/xsum/task.json": "not JSON"}, "another form"),
    ({"gem/xsum/task.json": json.dumps({"examples": []})}, "no article"),
    ({"gem/xsum/task.json": json.dumps({"examples": [{"input": 3, "target": ""}]})}, "must be texts"),
    ({"factuality_of_summary/xsum.json": lines([CANDIDATES[0] | {"lbl": 2}])}, "another form"),
    ({"factuality_of_summary/cnn_dm.json": None}, "has no .*cnn_dm.json"),
])  # fmt: skip
def test_another_archive_is_refused(tmp_path, change, complaint):
    files = {name: text for name, text in (FILES | change).items() if text is not None}
    with pytest.raises(CourseError, match=complaint):
        read_summaries(archive(tmp_path / "b.tar.gz", files))


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "text").write_text("no archive")
    whole = archive(tmp_path / "b.tar.gz", FILES).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    for name, complaint in (("text", "cannot be read"), ("cut", "cannot be read|has no"), ("none", "pip download")):
        with pytest.raises(CourseError, match=complaint):
            read_summaries(tmp_path / name)


def test_a_failed_measurement_leaves_the_old_table(tmp_path, capsys, stemmer):
    out = tmp_path / "table.csv"
    out.write_text("old")
    where = archive(tmp_path / "b.tar.gz", FILES | {"gem/xsum/task.json": "{}"})
    assert main(["measure", "lead-rouge", "--bigbench", str(where), "--out", str(out)]) == 1
    assert out.read_text() == "old" and "another form" in capsys.readouterr().err


def test_without_the_stemmer_and_for_an_unknown_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk.stem.porter", None)
    monkeypatch.setitem(sys.modules, "nltk", None)
    out = ["--out", str(tmp_path / "table.csv")]
    assert main(["measure", "lead-rouge", "--bigbench", str(archive(tmp_path / "b.tar.gz", FILES)), *out]) == 1
    assert "pip install nltk" in capsys.readouterr().err
    assert main(["measure", "lead-rogue", "--bigbench", "b", *out]) == 2
    assert "lead-rouge" in capsys.readouterr().err


def test_each_measure_wants_its_own_input(tmp_path, capsys):
    out = ["--out", str(tmp_path / "table.csv")]
    assert main(["measure", "lead-rouge", *out]) == 2 and "--bigbench FILE" in capsys.readouterr().err
    assert main(["measure", "few-shot", "--bigbench", "b", *out]) == 2 and "leave" in capsys.readouterr().err


def test_runs_become_the_rows_of_a_table(tmp_path, monkeypatch):
    run = few_shot_runs.Run("draws", 0, 1, "true", "Positive", 0.5, 1.0, 0.9, 0.75)
    monkeypatch.setattr(few_shot_runs, "measure_few_shot", lambda: iter([run]))
    assert main(["measure", "few-shot", "--out", str(tmp_path / "table.csv")]) == 0
    monkeypatch.setattr(few_shot_runs, "FILE", tmp_path / "table.csv")
    assert few_shot_runs.few_shot_runs("draws") == [run]


@pytest.mark.parametrize("pairs, sentences", [([("a", "a")], 1), ([], 1), ([("a", "a"), ("b", "b")], 0)])
def test_bad_input_is_refused(pairs, sentences):
    with pytest.raises(ValueError, match="pairs|sentences"):
        lead_scores(pairs, sentences)


def test_the_committed_table_has_this_form():
    rows = list(csv.DictReader((DATA / "experiments" / "lead_rouge.csv").open()))
    example = next(iter(lead_table({"x": [("a", "a"), ("b", "c")]}, str)))
    assert list(rows[0]) == list(example) and len(rows) == 6 * len(SETS)
    assert {row["set"]: int(row["articles"]) for row in rows} == dict(zip(SETS, (150, 444, 1001)))
