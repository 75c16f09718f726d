"""The list of sources: well formed, and every work that lib and the lectures cite is in it."""

import csv
import re

import pytest

from lib import DATA, NOTEBOOKS, ROOT
from lib.lectures.notebooks import load
from lib.lectures.references import HEADER, Reference, read_references, reference, references

GOOD = dict(zip(HEADER, ["hu2021", "Hu et al.", "2021", "LoRA", "2106.09685", ""]))
OTHER = dict(zip(HEADER, ["williams1992", "Williams", "1992", "REINFORCE", "", "10.1007/BF00992696"]))

CITED = re.compile(
    r"(?P<first>[A-Z][\w’-]*[a-z])(?:\set\sal\.?|\s(?:and|&)\s[A-Z][\w’-]+)?,?\s\(?(?P<years>(?:19|20)\d\d(?:(?:,|\sand)\s(?:19|20)\d\d)*)\b"
)
"""“Hu et al. 2021”, “Radford et al. 2018, 2019”, “Bradley and Terry (1952)”, “Dao 2023”; not a year in a text."""

NO_NAMES = {"In", "May", "July", "November"}
"""Words before a year that are nobody's name."""


def write(path, *rows, header=HEADER):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *([row[name] for name in HEADER] for row in rows)])
    return path


def test_the_list_is_well_formed_and_all_its_links_differ():
    works = references()
    links = [work.url for work in works.values() if work.url]
    assert len(works) > 90 and len(set(links)) == len(links) and all(key == work.key for key, work in works.items())


def test_a_link_goes_to_arxiv_or_else_to_the_publisher_or_is_none():
    assert reference("vaswani2017").endswith("*Attention Is All You Need*](https://arxiv.org/abs/1706.03762)")
    assert references()["bradley1952"].url == "https://doi.org/10.1093/biomet/39.3-4.324"
    assert reference("bengio2003") == "Bengio et al. 2003, *A Neural Probabilistic Language Model*"
    assert Reference("a1990", "A", 1990, "B", "", "10.1000/a(b);c").url == "https://doi.org/10.1000/a%28b%29%3Bc"


def test_an_unknown_key_is_answered_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"key must be one of data/references.csv, got 'vaswani'; did you mean vaswani2017"
    ):
        reference("vaswani")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"key": "Hu2021"}, "key must be like hu2021"),
        ({"key": "hu2022"}, "key must hold the year 2021, got 'hu2022'"),
        ({"key": "hu2021a"}, "key must be like hu2021"),
        ({"authors": ""}, "authors must be as they are cited"),
        ({"authors": " Hu"}, "authors must be"),
        ({"year": "21"}, "year must be a year, got '21'"),
        ({"title": ""}, "title must be a title"),
        ({"title": "*LoRA*"}, "title must be a title without Markdown"),
        ({"arxiv": "arXiv:2106.09685"}, "arxiv must be a number like 1706.03762, or nothing"),
        ({"arxiv": "2106.0968"[:-1]}, "arxiv must be"),
        ({"arxiv": "2106.09685v2"}, "arxiv must be"),
        ({"doi": "https://doi.org/10.1007/x"}, "doi must be like 10.1007"),
        ({"doi": "10.1007"}, "doi must be"),
        ({"doi": "10.1007/ x"}, "doi must be"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path, change, words):
    path = write(tmp_path / "references.csv", dict(GOOD, key="ba2014", year="2014", arxiv=""), GOOD | change)
    with pytest.raises(ValueError, match=f"references.csv, line 3: {words}"):
        read_references(path)


@pytest.mark.parametrize(
    "rows, words",
    [
        ([GOOD, dict(GOOD, arxiv="")], "the key hu2021 comes twice"),
        ([GOOD, dict(GOOD, key="hu2021b")], "2106.09685 comes twice"),
        ([OTHER, dict(OTHER, key="williams1992b", doi="10.1007/bf00992696")], "10.1007/bf00992696 comes twice"),
        ([OTHER, GOOD], "hu2021 belongs before williams1992"),
    ],
)
def test_nothing_comes_twice_or_out_of_order(tmp_path, rows, words):
    with pytest.raises(ValueError, match=f"references.csv, line 3: .*{words}"):
        read_references(write(tmp_path / "references.csv", *rows))


def test_another_header_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must begin with key,authors,year"):
        read_references(write(tmp_path / "references.csv", GOOD, header=[*HEADER[:-1], "url"]))


def citations(text):
    """(surname, year) of every work that a text cites, line ends and comment signs aside."""
    for found in CITED.finditer(re.sub(r"\s*\n\s*(?:#\s)?", " ", text)):
        if found["first"] not in NO_NAMES:
            yield from ((found["first"], year) for year in re.findall(r"\d{4}", found["years"]))


def texts():
    """Everything that cites: lib, the notebooks, the descriptions of the data."""
    yield from ((path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in (ROOT / "lib").rglob("*.py"))
    yield "data/README.md", (DATA / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS.glob("*.ipynb"):
        yield from ((f"{path.stem}:{cell.id}", cell.source) for cell in load(path).cells)


def test_a_citation_is_seen_in_every_form():
    text = "Hu et al. 2021; Radford et al. 2018,\n# 2019 (GPT); Bradley and\nTerry (1952), Dao 2023, Ba & Kim, 2015; in 2024. In 2024."  # noqa: E501
    assert list(citations(text)) == [
        ("Hu", "2021"), ("Radford", "2018"), ("Radford", "2019"), ("Bradley", "1952"), ("Dao", "2023"), ("Ba", "2015"),
    ]  # fmt: skip


def test_every_work_that_is_cited_is_in_the_list():
    known = {(name, str(work.year)) for work in references().values() for name in re.findall(r"[\w’-]+", work.authors)}
    cited = {(citation, str(where)) for where, text in texts() for citation in citations(text)}
    missing = sorted(f"{where}: {name} {year}" for (name, year), where in cited if (name, year) not in known)
    assert len(cited) > 150 and not missing, "not in data/references.csv:\n" + "\n".join(missing)
