"""The pages in a real browser: they load nothing, complain of nothing, and axe-core is content."""

import html
import re

import pytest

from lib.grading.assignment.item import Item
from lib.grading.assignment.questions import Question
from lib.grading.judging.entry import entry
from lib.grading.reports.class_report import class_page
from lib.grading.reports.pages import student_page
from lib.grading.reports.written import written_page
from tests.browser import AXE, TOLD, needs_browser, opened, told_by
from tests.grading.fake_class import book_of, fake_class, result, wrong

NOTEBOOK = "04_mlm_masking.ipynb"
RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const violations = found.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html).slice(0, 3)]);
  const root = document.documentElement;
  const ink = getComputedStyle(document.body).color;
  const wide = root.scrollWidth - root.clientWidth;
  tell({violations, passes: found.passes.length, wide, width: innerWidth, ink});
});
"""
DARK_INK = "rgb(230, 232, 235)"  # --ink in style.css

pytestmark = needs_browser


@pytest.fixture(scope="module")
def pages():
    """A page of each kind, of a class with some of everything."""
    book = fake_class(40)
    return {"class": class_page(book), "student": student_page(book, "alan"), "written": essays("ada", "Because.")}


def essays(student, words):
    """The page of a question that a person grades, with one answer to it and a student who wrote nothing."""
    essay = Item(NOTEBOOK, "report.q2", "In your words", ("T10",), 4, manual=True)
    files = [result(student, NOTEBOOK, entry("report.q2", "manual") | {"answer": words}), result("bob", NOTEBOOK)]
    return written_page(book_of(*files, items=(essay,)), {"report.q2": Question("### Why?", f"{words}\n* a point")})


def with_axe(page, narrow=False):
    """A copy of the page that runs axe-core on itself, all details open; in a telephone's frame if `narrow`.

    A window cannot be made as narrow; the frame hands what it found to the page around it.
    """
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("<details>", "<details open>")
    scripts = f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{TOLD}{RUN}</script>"
    page = page.replace("</body>", f"{scripts}</body>")
    if not narrow:
        return page
    look = "width: 390px; height: 844px; border: 0"
    frame = f'<iframe title="page" style="{look}" srcdoc="{html.escape(page)}"></iframe>'
    return f'<!doctype html><html lang="en"><title>frame</title><body style="margin: 0">{frame}</body></html>'


@pytest.mark.parametrize("kind", ["class", "student", "written"])
def test_a_page_opens_without_a_word_on_the_console(tmp_path, pages, kind):
    dom, console = opened(tmp_path, pages[kind])
    assert console == [] and "<h1>" in dom
    assert not re.search(r'(?:src|href)="(?!#)|url\((?!#)', dom), "nothing is loaded from anywhere"


@pytest.mark.parametrize("kind", ["class", "student", "written"])
@pytest.mark.parametrize("narrow, scheme", [(False, "light"), (True, "dark")], ids=["desk, light", "telephone, dark"])
def test_axe_finds_nothing(tmp_path, pages, kind, narrow, scheme):
    dom, console = opened(tmp_path, with_axe(pages[kind], narrow), scheme=scheme)
    told = told_by(dom)
    assert told["violations"] == [] and told["passes"] > 15
    assert told["wide"] == 0, "the page does not scroll sideways"
    assert (told["width"] == 390) == narrow and (told["ink"] == DARK_INK) == (scheme == "dark")
    assert console == []


@pytest.mark.parametrize("kind", ["class", "student", "written"])
def test_words_without_an_end_widen_no_page(tmp_path, kind):
    long = "W" * 500
    mistake = wrong("mlm.loss", None)
    told = {
        **mistake,
        "reason": long,
        "answer": long,
        "failed": {**mistake["failed"], "inputs": [long], "printed": long},
    }
    files = [result(long[:150], NOTEBOOK, told, notes=[long]), result(long[:120], NOTEBOOK, problem=long)]
    book = book_of(*({**one, "file": long} for one in files), students=[long[:100]])
    page = class_page(book) if kind == "class" else student_page(book, long[:150])
    page = essays(long[:150], long) if kind == "written" else page
    assert told_by(opened(tmp_path, with_axe(page, narrow=True))[0])["wide"] == 0


def test_axe_would_have_found_something(tmp_path, pages):
    unnamed = re.sub(r' role="img" aria-label="[^"]*"', ' role="img"', pages["class"])
    spoilt = unnamed.replace("--soft: #565d66", "--soft: #ccc")
    told = told_by(opened(tmp_path, with_axe(spoilt))[0])
    assert {"svg-img-alt", "color-contrast"} <= {violation[0] for violation in told["violations"]}


def test_a_script_of_a_submission_does_not_run(tmp_path):
    page = student_page(fake_class(3), "alan")
    both = "<script>document.title = 'ran'</script><img src='https://example.org/x.png' alt=''>"
    planted = page.replace("</h1>", f"</h1>{both}")
    dom, console = opened(tmp_path, planted)
    assert "<title>Feedback for alan</title>" in dom, "the policy in the head holds, should escaping ever fail"
    assert any("script" in line for line in console) and any("example.org" in line for line in console)
