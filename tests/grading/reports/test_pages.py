"""A student's page: all that helps, nothing of anybody else, and a submission is nothing but text."""

import re
from html.parser import HTMLParser

import pytest

from lib.grading.assignment.item import Item
from lib.grading.reports.pages import LONGEST, MAX_NOTES, SIGNS, cut, marked, student_page
from tests.grading.fake_class import SOURCES, book_of, entry, fake_class, items_of, result

NOTEBOOK = "04_mlm_masking.ipynb"
MASK, SLOT, LOSS = items_of(NOTEBOOK)
FAILED = {
    "number": 4, "what": "padding at the end", "inputs": ["logits = FIRST INPUT", "labels = SECOND INPUT"],
    "expected": "EXPECTED 1.84", "got": "GOT 0.92", "printed": "PRINTED",
}  # fmt: skip
WRONG = entry(
    "mlm.loss", "wrong", SOURCES["mlm.loss"][0], reason="REASON", misconception="mean_over_all", hint="HINT",
    passed=3, failed=FAILED,
)  # fmt: skip
HOSTILE = """'"><script>alert(1)</script><img src=x onerror=alert(1)><!-- ]]> </style> {{ 7*7 }} <a href="x:y">"""


class Elements(HTMLParser):
    """Tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.comments = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag in ("td", "th", "p", "br", "summary"):
            self.text.append(" ")

    def handle_data(self, data):
        self.text.append(data)

    def handle_comment(self, data):
        self.comments.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def page_of(*entries, student="ada", **about):
    return student_page(book_of(result(student, NOTEBOOK, *entries, **about)), student)


def words_of(page):
    return Elements(page.split("<body>")[1]).words


def test_a_wrong_answer_is_explained_on_the_input_where_it_fails():
    words = words_of(page_of(WRONG))
    for part in ("FIRST INPUT", "SECOND INPUT", "EXPECTED 1.84", "GOT 0.92", "PRINTED", "REASON", "HINT"):
        assert part in words
    for part in (
        LOSS.title,
        "mlm.loss",
        *LOSS.slides,
        "On case 4 of 5, padding at the end",
        "3 of 5 cases right",
        "cell 7",
    ):
        assert part in words
    assert "def mlm_loss" in words, "the answer that was graded"


def test_what_was_expected_stays_away_where_it_would_give_the_answer_away():
    page = page_of({**WRONG, "failed": {**FAILED, "expected": "", "inputs": [], "printed": ""}})
    words = words_of(page)
    assert "expected" not in words and "input" not in words and "printed" not in words and "GOT 0.92" in words


def test_a_right_answer_has_one_line():
    page = page_of(
        entry("mlm.loss", "right", SOURCES["mlm.loss"][0]),
        entry("mlm.mask_tokens"),
        entry("mlm.slot_probabilities"),
    )
    assert "<article" not in page and "mlm_loss" not in page and page.count("✓") == 3
    assert "10 of 10 points" in words_of(page)


@pytest.mark.parametrize("status", [status for status in SIGNS if status not in ("right", "manual")])
def test_each_status_has_a_word_and_a_sign(status):
    about = {"problem": "this is not JSON"} if status == "unreadable" else {}
    entries = [] if status == "not submitted" else [entry("mlm.loss", status)]
    book = book_of(result("ada", NOTEBOOK, *entries, **about), result("bob", NOTEBOOK), items=(LOSS,))
    if status == "not submitted":
        del book.results["ada", NOTEBOOK]
    page = student_page(book, "ada")
    assert status in words_of(page) and SIGNS[status] in page and "0 of 3" in words_of(page)
    assert ("<article" in page) == (status not in ("unreadable", "not submitted"))
    assert ("this is not JSON" in page) == (status == "unreadable")
    assert ("You did not hand in this notebook" in page) == (status == "not submitted")


def test_a_status_that_nobody_knew_is_shown_as_it_is():
    assert "odd status" in words_of(page_of(entry("mlm.loss", "odd status")))


def test_a_written_answer_waits_for_its_points():
    essay = Item(NOTEBOOK, "report.q2", "In your words", ("T10",), 4, manual=True)
    one = result("ada", NOTEBOOK, entry("mlm.loss"), entry("report.q2", "manual"))
    book = book_of(one, items=(LOSS, essay))
    words = words_of(student_page(book, "ada"))
    assert (
        "3 of 7 points; written answers worth another 4 have not been graded yet" in words and "not yet of 4" in words
    )
    words = words_of(student_page(book_of(one, items=(LOSS, essay), manual={("ada", "report.q2"): 2.5}), "ada"))
    assert "5.5 of 7 points." in words and "2.5 of 4" in words


def test_notes_on_the_file_are_there_but_not_all_of_a_thousand():
    words = words_of(page_of(WRONG, notes=[f"note {i}." for i in range(1000)]))
    assert "note 0." in words and f"note {MAX_NOTES}." not in words and "… and 980 more" in words


def test_nothing_of_anybody_else_and_nothing_that_is_secret():
    mine = {**WRONG, "shape": ["SHAPE"], "seed": "SECRET", "solution": "SECRET"}
    others = {
        **WRONG,
        "answer": "def OTHERS(): pass",
        "failed": {**FAILED, "got": "OTHERS"},
        "hint": "OTHERS",
    }
    book = book_of(
        result("ada", NOTEBOOK, mine) | {"plan": "SECRET", "seed": "SECRET"},
        result("OTHERS", NOTEBOOK, others, notes=["OTHERS"]),
        manual={("OTHERS", "mlm.loss"): 77.5},
    )
    page = student_page(book, "ada")
    for secret in ("SECRET", "OTHERS", "SHAPE", "seed", "77.5", "mean_over_all"):
        assert secret not in page


def everywhere(value, text):
    """A copy of plain data with every text replaced, apart from what the grader itself chose."""
    if isinstance(value, dict):
        kept = ("id", "status", "notebook", "student")
        return {key: each if key in kept else everywhere(each, text) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [everywhere(each, text) for each in value]
    return text if isinstance(value, str) else value


def hostile_page(text):
    """A page with `text` in every field and as the student's name."""
    one = everywhere(result(text, NOTEBOOK, WRONG, problem="x", notes=["x"]), text) | {"student": text}
    return student_page(book_of(one | {"student": text, "notebook": NOTEBOOK}), text)


def test_whatever_a_submission_holds_is_text():
    plain, hostile = Elements(hostile_page("x")), Elements(hostile_page(HOSTILE))
    assert hostile.tags == plain.tags and hostile.comments == plain.comments == []
    assert [a[:2] for a in hostile.attributes] == [a[:2] for a in plain.attributes]
    assert "script" not in hostile.tags and "{{ 7*7 }}" in hostile.words and "49" not in hostile.words
    assert hostile.words.count("alert(1)") >= 2 * 10
    for tag, name, value in hostile.attributes:
        assert not name.startswith("on") and name not in ("src", "srcset", "style")
        assert name != "href" or value.startswith("#")


def test_a_page_forbids_scripts_and_loads_nothing():
    page = page_of(WRONG)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"https?:|//\w|url\(|@import|<script|<link|<iframe", page)
    assert 'lang="en"' in page and "prefers-color-scheme: dark" in page and "@media print" in page


def test_control_characters_and_halves_of_characters_are_made_visible():
    page = hostile_page("a\x00b\x1b[31mc\u202ed\ud800e\r\nf\x7f")
    assert "a␀b␛[31mc\ufffdd\ufffde\nf␡" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", page)
    assert page.encode().decode() == page


@pytest.mark.parametrize("code", [0x61C, 0x200E, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069, 0xD800, 0xDFFF, 0xFDD0,
                                  0xFDEF, 0xFFFE, 0xFFFF, 0x80, 0x9F])  # fmt: skip
def test_nothing_turns_a_line_round_or_hides(code):
    assert cut(f"a{chr(code)}b") == "a\ufffdb"


def test_what_is_to_be_seen_stays():
    text = "\tä\n\u200d\u2060 \ufdcf\ufdf0\U0001f600"
    assert cut(text) == text and cut("\r") == "␍" and cut("\x08\x0b\x1f") == "␈␋␟"


def test_notes_of_just_the_limit_are_all_there():
    words = words_of(page_of(WRONG, notes=[f"note {i}." for i in range(MAX_NOTES)]))
    assert f"note {MAX_NOTES - 1}." in words and "more" not in words.partition("note 0.")[2].partition("note 19.")[2]


def test_a_text_of_a_megabyte_is_cut():
    page = hostile_page("<&" * 500_000)
    assert len(page) < 400_000 and "left out" in page
    assert len(cut("x" * LONGEST)) == LONGEST and len(cut("x" * (LONGEST + 1))) < LONGEST
    assert cut("ab" * 1000, 100).startswith("abab") and cut("ab" * 1000, 100).endswith("bab")


def test_a_hint_may_stress_words_and_do_nothing_else():
    assert str(marked("*a* and `b<c` 2 * 3 * 4, x*y*z")) == "<em>a</em> and <code>b&lt;c</code> 2 * 3 * 4, x*y*z"
    assert str(marked("*<img src=x>*")) == "*&lt;img src=x&gt;*"


def test_the_same_gradebook_gives_the_same_bytes():
    one, two = fake_class(12, seed=3), fake_class(12, seed=3)
    assert [student_page(one, s) for s in one.students] == [student_page(two, s) for s in two.students]


def test_an_anchor_leads_to_each_explanation():
    page = Elements(student_page(fake_class(6), "alan"))
    ids = [value for _, name, value in page.attributes if name == "id"]
    links = [value[1:] for _, name, value in page.attributes if name == "href"]
    assert links and sorted(links) == sorted(ids) and len(set(ids)) == len(ids)


def test_somebody_who_is_not_in_the_class_has_no_page():
    with pytest.raises(ValueError, match="'zoe'"):
        student_page(book_of(result("ada", NOTEBOOK, WRONG)), "zoe")


def test_an_assignment_of_nothing_has_a_page_too():
    book = book_of(students=["ada"], items=())
    words = words_of(student_page(type(book)((), ("ada",), {}), "ada"))
    assert "0 of 0 points" in words
