"""Each rule of the second edition: a notebook that breaks this rule and no other, and what each rule lets pass."""

import copy

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from lib.exercises import Exercise, Misconception, case
from lib.exercises.engine import registry
from lib.lectures import lint
from lib.lectures.lint import plumbing, teaching
from tests.lectures import sample
from tests.lectures.sample import cell

RULES = {*plumbing.RULES, *teaching.RULES}

OPEN = """### Open question: what would change your mind?

Explain it.

<!-- BEGIN SOLUTION -->
A control.

**Rubric**, one point each

* a control
* a reason
* a limit
<!-- END SOLUTION -->"""

READING = """## Summary

It works.

**Further reading.** [Hu et al. 2021, *LoRA*](https://arxiv.org/abs/2106.09685); in June 2021 it was new.
[Devlin et al. 2019](https://aclanthology.org/N19-1423) came first: see https://example.org/C09.

**A line of history.** Shannon 1951 guessed letters."""


@pytest.fixture
def folder(tmp_path):
    """Where the notebook lies: with one drawing and one explorable."""
    for name in ("figures/one_head.svg", "explorables/dice.html"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.fixture(autouse=True)
def known(monkeypatch):
    mistakes = tuple(Misconception(f"{n}", lambda x, n=n: x + n, f"Hint {n}.") for n in range(5))
    double = Exercise("sample.double", ("C01",), 2, 5, lambda x: 2 * x, lambda g: [case("one", 1)],
                      misconceptions=mistakes, hints=("Add.",), title="Twice")  # fmt: skip
    monkeypatch.setattr(registry, "modules", lambda: {"sample": "tests.lectures.sample"})
    monkeypatch.setattr(registry, "exercises_of", lambda module: {"sample.double": double})


def second():
    """A notebook of the second edition that breaks no rule."""
    made = sample.clean()
    made.metadata["course"] = {"edition": 2}
    cell(made, "section").metadata["course"] = {"slides": ["C08", "W11"]}
    cell(made, "part").source += "\n![A head.](figures/one_head.svg) and [dice](./explorables/dice.html#two)."
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    added = [
        new_code_cell('predict("sample.guess", ...)', id="guess"),
        new_code_cell('show(plots.masking(rates), alt="a line")\ncompare("sample.guess", 0.9)', id="result"),
        new_code_cell("import pandas as pd\npd.DataFrame([1])", id="table", metadata=hidden),
        new_markdown_cell(OPEN, id="open"),
        new_markdown_cell(READING, id="reading"),
        new_markdown_cell("## From the slides\n\n| C08 | masking | |", id="slides"),
        new_markdown_cell("### A note\n\nW11 is right.", id="note"),
    ]
    marks = {"grade": True, "solution": True, "locked": False, "task": False, "schema_version": 3, "points": 3}
    added[3].metadata = {
        "course": {"exercise": "sample.open", "title": "A control"}, "nbgrader": marks | {"grade_id": "sample-open"}
    }  # fmt: skip
    for count, code in enumerate(added[:3], start=18):
        code.execution_count = count
    made.cells += copy.deepcopy(added)
    return made


def say(name, source):
    return lambda made: cell(made, name).update(source=source)


def swap(name, old, new):
    def change(made):
        found = cell(made, name)
        assert old in found.source
        found.source = found.source.replace(old, new)

    return change


def mark(name, **metadata):
    return lambda made: cell(made, name).metadata.update(metadata)


def drop(name):
    return lambda made: made.cells.remove(cell(made, name))


def exchange(made):
    """The comparison before the prediction."""
    guess, result = cell(made, "guess"), cell(made, "result")
    guess.source, result.source = result.source, guess.source


BREAKS = {
    "hidden on pages only": ("hidden-cell", lambda made: cell(made, "table").metadata.pop("jupyter")),
    "hidden in Lab only": ("hidden-cell", mark("table", tags=[])),
    "matplotlib": ("plumbing", say("cell-6", "import matplotlib.pyplot as plt")),
    "from matplotlib": ("plumbing", say("cell-6", "from matplotlib import pyplot")),
    "magic": ("plumbing", say("cell-6", "%matplotlib inline")),
    "pandas inside": ("plumbing", say("cell-6", "def f():\n    import pandas")),
    "plot": ("plumbing", say("cell-6", "axes.plot(x)")),
    "plt": ("plumbing", say("cell-6", "plt.title('x')")),
    "figure": ("plumbing", say("cell-6", "fig, axes = figure(2)")),
    "table": ("plumbing", say("cell-6", "pd.DataFrame(rows)")),
    "table by name": ("plumbing", say("cell-6", "DataFrame(rows)")),
    "no prediction": ("prediction", say("guess", "x = 1")),
    "two predictions": ("prediction", say("cell-6", 'predict("sample.other", ...)')),
    "prediction given away": ("prediction", say("guess", 'predict("sample.guess", 0.9)')),
    "prediction without an answer": ("prediction", say("guess", 'predict("sample.guess")')),
    "prediction with an id that is none": ("prediction", say("guess", 'predict("my guess", ...)')),
    "never compared": ("prediction", say("result", "x = 1")),
    "compared under another id": ("prediction", swap("result", "sample.guess", "sample.guest")),
    "compared before": ("prediction", exchange),
    "no open question": ("open-question", drop("open")),
    "open question without a title": ("open-question", mark("open", course={"exercise": "sample.open"})),
    "no rubric": ("open-question", swap("open", "**Rubric**", "Rubric")),
    "rubric in the question": (
        "open-question",
        lambda made: cell(made, "open").update(
            source="**Rubric**\n\n* a\n* b\n* c\n<!-- BEGIN SOLUTION -->\nno\n<!-- END SOLUTION -->"
        ),
    ),
    "a rubric of two lines": ("open-question", swap("open", "* a limit\n", "")),
    "more lines than points": ("open-question", swap("open", "* a limit", "* a limit\n* an example")),
    "no further reading": ("further-reading", swap("reading", "**Further reading.**", "Also:")),
    "further reading without links": ("further-reading", swap("reading", "](https://", "](ftp:")),
    "a work without a link": ("further-reading", swap("reading", "; in June", "; Li and Liang 2021; in June")),
    "a work in parentheses": ("further-reading", swap("reading", "; in June", " (Lester et al., 2021); in June")),
    "a list item without a link": (
        "further-reading", say("reading", "### Further reading\n\n* [A](https://a.org)\n* the paper on\n  attention"),
    ),
    "a slide in the text": ("slide-code", say("part", "### P\nAs slide C09 says.")),
    "a slide in the cell of the last section": ("slide-code", swap("slides", "##", "C09 errs.\n\n##")),
    "no section for the slides": ("from-the-slides", lambda made: (drop("slides")(made), say("note", "No.")(made))),
    "two sections for the slides": ("from-the-slides", say("note", "## From the slides again\n")),
    "slides not last": ("from-the-slides", say("note", "## Afterthought\n")),
    "no such slide": ("section-slides", mark("section", course={"slides": ["C99"]})),
    "a slide twice": ("section-slides", mark("section", course={"slides": ["C08", "C08"]})),
    "no list of slides": ("section-slides", mark("section", course={"slides": "C08"})),
    "an empty list of slides": ("section-slides", mark("section", course={"slides": []})),
    "numbers for slides": ("section-slides", mark("section", course={"slides": [8]})),
    "slides of code": ("section-slides", mark("cell-6", course={"slides": ["C08"]})),
    "no such figure": ("linked-file", swap("part", "one_head", "two_heads")),
    "no such explorable": ("linked-file", swap("part", "dice.html", "die.html")),
    "a figure that no copy takes": ("linked-file", swap("part", "one_head", "one%20head")),
    "a figure in HTML": ("linked-file", say("part", '### P\n<img alt="A head." src="figures/no.svg">')),
    "a figure from another folder": (
        "linked-file", swap("part", "figures/one", "../notebooks/figures/one"),
    ),
    "another edition": ("metadata", lambda made: made.metadata.update(course={"edition": 2, "asked": []})),
    "hidden outputs": (
        "metadata", mark("table", jupyter={"source_hidden": True, "outputs_hidden": True}),
    ),
}  # fmt: skip


def rules_found(made, folder):
    return {finding.rule for finding in lint.lint(made, "sample", folder)}


def test_a_clean_notebook_has_no_findings(folder):
    assert lint.lint(second(), "sample", folder) == []


@pytest.mark.parametrize("breakage", BREAKS)
def test_a_broken_rule_is_found_and_no_other(breakage, folder):
    rule, break_it = BREAKS[breakage]
    made = second()
    break_it(made)
    assert rules_found(made, folder) == {rule}


@pytest.mark.parametrize("breakage", [name for name, (rule, _) in BREAKS.items() if rule in RULES])
def test_lectures_of_the_first_edition_are_not_asked(breakage, folder):
    made = second()
    BREAKS[breakage][1](made)
    del made.metadata["course"]
    assert rules_found(made, folder) <= {"cell-count"}


@pytest.mark.parametrize(
    "change",
    [
        say("cell-6", "show(plots.masking(x), alt='a')\nplots.table(x)\nmodel.predict(x)\nfigures = 3"),
        say("cell-6", "from lib import plots\nfrom lib.plots import show\nx.plotting()"),
        say("cell-6", "'C09 in code'"),
        swap("result", "0.9)", "0.9); compare('sample.guess', 1)"),
        swap("reading", "; in June", "; T5, GPT-2 and C130 of 2019; in June"),
        mark("part", jupyter={"source_hidden": True}, tags=["hide-input"]),
        swap("part", "and [dice]", "[paper](https://aclanthology.org/N19-1423) and [dice]"),
    ],
)
def test_what_is_fine_stays_fine(change, folder):
    made = second()
    change(made)
    assert lint.lint(made, "sample", folder) == []


def test_every_rule_has_a_notebook_that_breaks_it():
    assert RULES <= {rule for rule, _ in BREAKS.values()}


def test_a_figure_is_looked_for_beside_the_notebook(folder, tmp_path):
    path = sample.save(folder / "77_trial.ipynb", second())
    assert lint.lint_file(path) == []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert {each.message for each in lint.lint_file(sample.save(elsewhere / path.name, second()))} == {
        "there is no file figures/one_head.svg", "there is no file explorables/dice.html"
    }  # fmt: skip


def test_a_notebook_that_says_something_else_for_course_is_one_finding(folder):
    made = second()
    made.metadata["course"] = "second"
    assert rules_found(made, folder) == {"metadata"}


def test_the_messages_say_what_to_do(folder):
    for breakage, words in {
        "hidden on pages only": "table: hidden-cell: hidden in one place only: it has the tag 'hide-input', "
                                "but not metadata jupyter.source_hidden",
        "table": "cell-6: plumbing: DataFrame(, pd.: move it to lib.plots, or into a hidden cell",
        "never compared": "guess: prediction: no later cell calls compare('sample.guess', …)",
        "prediction given away": "guess: prediction: predict('sample.guess', 0.9): the answer is ..., "
                                 "so that what is stored does not give it away",
        "a rubric of two lines": "open: open-question: the model answer ends with **Rubric** and 3 to 5 list items, got 2",
        "a work without a link": "reading: further-reading: no link: 'Li and Liang 2021'",
        "a slide in the text": "part: slide-code: C09: slides belong into metadata course.slides and into "
                               "'From the slides'",
        "no such slide": "section: section-slides: slide must be one of C01-C52, T01-T48, N01-N47, W01-W31, got 'C99'",
    }.items():  # fmt: skip
        made = second()
        BREAKS[breakage][1](made)
        assert [str(each) for each in lint.lint(made, "x", folder)][0] == f"x:{words}"
