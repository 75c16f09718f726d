"""The class report: numbers that agree with an independent count, and words where there is no number."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lib.grading.assignment.item import Item
from lib.grading.intake.submission import NotTaken
from lib.grading.reports import class_report
from lib.grading.reports.class_report import class_page
from lib.grading.reports.item_analysis import analyse, correlation
from tests.grading.fake_class import COPIED, book_of, entry, fake_class, items_of, result, shape_of
from tests.grading.reports.test_pages import HOSTILE, Elements, words_of
from tests.grading.reports.test_similarity import pasted

NOTEBOOK = "04_mlm_masking.ipynb"
MASK, SLOT, LOSS = items_of(NOTEBOOK)
IDS = (MASK.exercise, SLOT.exercise, LOSS.exercise)
ESSAY = Item(NOTEBOOK, "report.q2", "In your words", ("T10",), 4, manual=True)


def row(student, marks, **about):
    """A result with a letter for each exercise: r(ight), w(rong), n(ot written), m(issing)."""
    statuses = {"r": "right", "w": "wrong", "n": "not written", "m": "missing"}
    return result(student, NOTEBOOK, *(entry(id, statuses[mark]) for id, mark in zip(IDS, marks)), **about)


def made(student, name, id="mlm.loss"):
    about = {"misconception": name, "hint": f"hint of {name}"} if name else {}
    return result(student, NOTEBOOK, entry(id, "wrong", **about))


def section(page, name):
    """The words of one section."""
    return words_of("<body>" + page.split(f'<h2 id="{name}">')[1].split("</section>")[0])


def test_difficulty_and_discrimination_are_those_of_numpy():
    book = fake_class(60)
    for item in book.items:
        found = analyse(book, item)
        seen = [s for s in book.students if book.status(s, item) not in ("not submitted", "unreadable")]
        scores = [book.points(s, item) / item.points for s in seen]
        others = [sum(book.points(s, other) for other in book.items if other is not item) for s in seen]
        assert found.difficulty == pytest.approx(np.mean(scores)) and found.seen == len(seen)
        assert found.discrimination == pytest.approx(np.corrcoef(scores, others)[0, 1]) and found.undefined == ""
        assert found.counts == Counter(book.status(s, item) for s in book.students)


def test_an_exercise_is_compared_with_the_others_alone():
    book = book_of(row("ada", "rww"), row("bob", "wrw"), row("cem", "wwr"))
    assert analyse(book, SLOT).discrimination < 0, "with its own points it would be 0"


@pytest.mark.parametrize(
    "rows, why",
    [
        (["rrr", "rwr", "rrw"], "all students have full points"),
        (["wrr", "wwr", "nrw"], "all students have 0 points"),
        (["rrw", "wrw", "rrw"], "all students have the same points elsewhere"),
        (["rrw", "wwr"], "fewer than three students"),
        ([], "fewer than three students"),
    ],
)
def test_where_there_is_no_discrimination_the_report_says_why(rows, why):
    book = book_of(*(row(f"s{i}", marks) for i, marks in enumerate(rows)))
    found = analyse(book, MASK)
    assert found.discrimination is None and found.undefined == why
    assert why in section(class_page(book), "exercises")


def test_lists_of_different_lengths_have_no_correlation():
    with pytest.raises(ValueError, match="3 and 2"):
        correlation([0, 1, 1], [1, 2])
    assert correlation([0.5, 0.5, 0.5], [1, 2, 3]) == (None, "all students have the same points")


def test_files_that_cannot_be_read_make_no_exercise_harder():
    book = book_of(row("ada", "rrr"), row("bob", "www"), result("cem", NOTEBOOK, problem="broken"), students=["dan"])
    found = analyse(book, MASK)
    assert found.difficulty == 0.5 and found.seen == 2
    assert found.counts == {"right": 1, "wrong": 1, "unreadable": 1, "not submitted": 1}


def test_a_written_answer_counts_once_it_has_points():
    rows = [result(s, NOTEBOOK, entry("mlm.loss"), entry("report.q2", "manual")) for s in ("ada", "bob", "cem")]
    book = book_of(*rows, items=(LOSS, ESSAY), manual={("ada", "report.q2"): 4, ("bob", "report.q2"): 1})
    assert analyse(book, ESSAY).difficulty == (1 + 0.25) / 2
    assert "1 written answer still has no points" in words_of(class_page(book))


def test_an_exercise_without_points_is_hard_where_few_are_right():
    practice = Item(NOTEBOOK, "mlm.loss", "", (), 0)
    book = book_of(row("ada", "rrr"), row("bob", "rrw"), items=(practice,))
    assert analyse(book, practice).difficulty == 0.5


def test_misconceptions_are_counted_with_their_hint_and_who():
    book = book_of(
        made("ada", "sum"), made("bob", "mean"), made("cem", "mean"), made("dan", None), made("eve", None),
        made("fay", None),
        result("gus", NOTEBOOK, entry("mlm.loss", "crashed", misconception="sum", hint="hint of sum")),
        row("hal", "rrr"), result("ivy", NOTEBOOK, problem="broken"),
    )  # fmt: skip
    mistakes = analyse(book, LOSS).mistakes
    assert [(m.name, m.hint, m.students, m.share) for m in mistakes] == [
        ("mean", "hint of mean", ("bob", "cem"), 2 / 8),
        ("sum", "hint of sum", ("ada", "gus"), 2 / 8),
        ("", "", ("dan", "eve", "fay"), 3 / 8),
    ]
    words = section(class_page(book), "mistakes")
    assert "mean hint of mean 2 25 % bob, cem sum hint of sum 2 25 % ada, gus Not recognised" in words


def test_a_class_without_mistakes_has_none():
    page = class_page(book_of(*(row(f"s{i}", "rrr") for i in range(4))))
    assert "No wrong answer shows a known misconception" in section(page, "mistakes")
    assert "has an answer to every exercise" in section(page, "answers")
    assert section(page, "alike").endswith("None found.") and section(page, "ours").endswith("None found.")


@pytest.mark.parametrize("out_of", [0.5, 1, 7, 10, 12, 19, 100, 33.3])
def test_every_number_of_points_is_in_one_bar(out_of):
    edges = class_report._edges(out_of)
    assert edges[0] == 0 and out_of <= edges[-1] < out_of + edges[1] and len(edges) <= 13
    numbers = [class_report._bin(points, edges) for points in np.linspace(0, out_of, 100).tolist()]
    assert numbers == sorted(numbers) and numbers[0] == 0 and numbers[-1] == len(edges) - 2
    assert [class_report._bin(edge, edges) for edge in edges[:-1]] == list(range(len(edges) - 1))


def test_the_histogram_counts_those_who_handed_in():
    book = book_of(row("ada", "rrr"), row("bob", "rwr"), row("cem", "www"), students=["dan"])
    points = class_report._points(book, class_report._handed_in(book))
    assert sum(points.counts) == points.students == 3 and points.quartiles[1] == 7
    assert [i for i, count in enumerate(points.counts) if count] == [
        0,
        7,
        9,
    ] and points.mean == pytest.approx(17 / 3)
    words = section(class_page(book), "points")
    assert "Handed in nothing (1): dan" in words and "Mean 5.7 of 10 points. Quartiles: 3.5, 7 (median)" in words


@pytest.mark.parametrize("students", [(), ("ada",), ("ada", "bob")])
def test_a_class_of_whom_nobody_handed_in_has_a_report(students):
    page = class_page(book_of(students=students))
    assert "nobody handed in anything" in section(page, "points")
    assert ("Handed in nothing" in page) == bool(students)


def test_a_class_of_one_has_a_report():
    words = words_of(class_page(book_of(row("ada", "rwn"))))
    assert "1 of 1 students" in words and "fewer than three students" in words and "ada" in words


def test_an_assignment_without_points_or_exercises_has_a_report():
    assert "no exercise has points" in class_page(
        book_of(row("ada", "rrr"), items=(Item(NOTEBOOK, "mlm.loss", "", (), 0),))
    )
    book = book_of(row("ada", "rrr"))
    assert "0 exercises" in words_of(class_page(type(book)((), book.students, book.results)))


def test_copies_are_named_and_said_to_be_word_for_word_or_not():
    renamed = COPIED.replace("count", "n")
    answers = {
        "ada": COPIED,
        "bob": COPIED,
        "cem": COPIED.replace("scores", "x"),
        "dan": renamed.replace("1", "2"),
    }
    rows = [result(s, NOTEBOOK, entry("mlm.loss", "right", source)) for s, source in list(answers.items())[:2]]
    words = section(class_page(book_of(*rows)), "alike")
    assert "ada, bob 100 % identical in every character right" in words
    rows[1] = result("bob", NOTEBOOK, entry("mlm.loss", "wrong", answers["cem"]))
    assert "ada, bob 100 % differs in names, comments or layout right, wrong" in section(
        class_page(book_of(*rows)), "alike"
    )
    rows[1] = result("bob", NOTEBOOK, entry("mlm.loss", "right", answers["dan"]))
    assert re.search(r"ada, bob [789]\d % differs right", section(class_page(book_of(*rows)), "alike"))


def test_a_copy_in_what_an_answer_calls_is_named():
    wrapper = "def mlm_loss(logits, labels):\n    return work(logits, labels)"
    inside = COPIED.replace("def mlm_loss", "def work")
    helper = {"name": "work", "source": inside, "shape": shape_of(inside)}
    hidden = entry("mlm.loss", "right", wrapper, helpers=[helper])
    rows = [result("ada", NOTEBOOK, entry("mlm.loss", "right", COPIED)), result("bob", NOTEBOOK, hidden)]
    assert re.search(r"ada, bob \d+ % differs right", section(class_page(book_of(*rows)), "alike"))
    ours, tokens, source = pasted(150)
    hidden = entry("mlm.loss", "right", wrapper, helpers=[{"name": "work", "source": source, "shape": tokens}])
    words = section(class_page(book_of(result("bob", NOTEBOOK, hidden))), "ours")
    assert f"bob {ours.name} 100 %" in words
    # what answers another exercise is compared there
    other = {"name": "my_mask_tokens", "source": inside, "shape": shape_of(inside)}
    rows[1] = result("bob", NOTEBOOK, entry("mlm.loss", "right", wrapper, helpers=[other]))
    assert "None found." in section(class_page(book_of(*rows)), "alike")


def test_stubs_are_not_alike():
    rows = [result(s, NOTEBOOK, entry("mlm.loss", "not written", COPIED)) for s in ("ada", "bob")]
    assert "None found." in section(class_page(book_of(*rows)), "alike")


def test_broken_files_and_notes_are_told():
    book = book_of(
        result("ada", NOTEBOOK, problem="this is not JSON"),
        row("bob", "rmn", notes=[f"cell {i} was left out" for i in range(8)]),
    )
    words = section(class_page(book), "files")
    assert f"ada ada/{NOTEBOOK} this is not JSON" in words and "cell 4 was left out … and 3 more" in words
    left = (NotTaken("ada", "ada/<b>.pdf", "it is a PDF document"), NotTaken("", "x.py", "it is a script"))
    words = section(class_page(replace(book, not_taken=left)), "files")
    assert "ada ada/<b>.pdf it is a PDF document" in words and "unknown x.py it is a script" in words
    words = section(class_page(book), "answers")
    assert "? missing 1 bob" in words and "○ not written 1 bob" in words and "ada" not in words


def test_many_names_are_folded_away():
    book = book_of(*(row(f"s{i:02}", "rrn") for i in range(13)))
    page = class_page(book)
    assert "<summary>13 students</summary>s00, s01," in page


def test_whatever_a_submission_holds_is_text():
    def page_with(text):
        entries = [
            entry(IDS[0], "wrong", reason=text, misconception="m", hint=text),
            entry(IDS[1], "time up"),
        ]
        book = book_of(
            {**result("ada", NOTEBOOK, *entries, notes=[text]), "student": text, "file": text},
            {**result("zoe", NOTEBOOK, problem=text), "file": text},
            students=[text + "2"],
        )
        return Elements(class_page(book))

    plain, hostile = page_with("x"), page_with(HOSTILE + "\x00\udc00\u202e")
    assert hostile.tags == plain.tags and hostile.comments == plain.comments
    assert [a[:2] for a in hostile.attributes] == [a[:2] for a in plain.attributes]
    assert not {"script", "img"} & set(hostile.tags) and hostile.words.count("alert(1)") > 10


def test_the_pictures_say_in_words_what_is_to_be_seen():
    elements = Elements(class_page(fake_class(30)))
    labels = [value for tag, name, value in elements.attributes if tag == "svg" and name == "aria-label"]
    assert [value for tag, name, value in elements.attributes if tag == "svg" and name == "role"] == ["img"] * 3
    assert "Histogram of the points of 29 students" in labels[0] and "Right: mlm.mask_tokens" in labels[1]
    assert re.search(r"Most frequent: [\w.]+: \w+ \d", labels[2])
    ids = [value for _, name, value in elements.attributes if name == "id"]
    assert len(set(ids)) == len(ids), "three pictures on one page share no id"
    used = {value[1:] for _, name, value in elements.attributes if name in ("href", "xlink:href")}
    assert used <= set(ids)


def test_the_numbers_of_the_pictures_stand_in_tables():
    book = fake_class(30)
    page = class_page(book)
    counts = re.findall(r"less than [\d.]+</th>\s*<td class=\"number\">(\d+)", page)
    last = re.search(r" to \d+</th>\s*<td class=\"number\">(\d+)", page)[1]
    assert sum(map(int, counts)) + int(last) == len(class_report._handed_in(book))
    rights = [sum(book.status(s, item) == "right" for s in book.students) for item in book.items]
    shown = re.findall(r"<th scope=\"row\"><code>[\w.]+</code></th>\s*<td class=\"number\">(\d+)", page)
    assert [int(number) for number in shown] == rights


def test_a_title_with_a_dollar_is_no_formula():
    item = Item(NOTEBOOK, "mlm.loss", "$x^2$ < $y$", (), 3)
    assert "$x^2$ &lt; $y$" in class_page(book_of(row("ada", "rrr"), items=(item,)))


def test_the_same_gradebook_gives_the_same_bytes():
    assert class_page(fake_class(20, seed=5)) == class_page(fake_class(20, seed=5))


@pytest.mark.parametrize("status", ["right", "wrong", "time up", "crashed", "not written", "missing", "unreadable"])
def test_answers_are_compared_whatever_became_of_them(status):
    """A copied answer that runs out of time is a copy all the same; a stub, or nothing, is none."""
    written = status in ("right", "wrong", "time up", "crashed")
    rows = [result(s, NOTEBOOK, entry("mlm.loss", status, COPIED)) for s in ("ada", "bob")]
    found = [(each.group.students, each.statuses, each.same_text) for each in class_report._alike(book_of(*rows))]
    assert found == ([(("ada", "bob"), (status,), True)] if written else [])
    ours, tokens, source = pasted(150)
    rows = [result("ada", NOTEBOOK, entry("mlm.loss", status, source, shape=tokens))]
    found = [(item, student, copied.name) for item, student, copied in class_report._copied(book_of(*rows))]
    assert found == ([(LOSS, "ada", ours.name)] if written else [])


def test_what_an_answer_calls_is_part_of_its_text():
    """The same three lines over a renamed copy are not identical in every character."""
    wrapper = "def mlm_loss(logits, labels):\n    return work(logits, labels)"
    inside = COPIED.replace("def mlm_loss", "def work")

    def calls(student, source):
        helper = {"name": "work", "source": source, "shape": shape_of(source)}
        return result(student, NOTEBOOK, entry("mlm.loss", "right", wrapper, helpers=[helper]))

    for other, same_text in ((inside, True), (inside.replace("total", "t"), False)):
        (found,) = class_report._alike(book_of(calls("ada", inside), calls("bob", other)))
        assert found.group.students == ("ada", "bob") and found.same_text is same_text


def drawn(monkeypatch, call):
    """The axes of a picture."""
    figures = []
    monkeypatch.setattr("lib.grading.reports.pictures._svg", lambda fig, name, alt: figures.append(fig) or alt)
    alt = call()
    return figures[0].axes[0], alt


def test_the_pictures_draw_the_numbers(monkeypatch):
    from lib.grading.reports import pictures

    axes, alt = drawn(monkeypatch, lambda: pictures.histogram((0.0, 2.0, 4.0, 6.0), (3, 5, 1), 6))
    assert [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in axes.patches] == [
        (1, pytest.approx(3)), (3, pytest.approx(5)), (5, pytest.approx(1)),
    ]  # fmt: skip
    assert "of the points of 9 students. The most frequent range (5) is from 2 to 4 of 6" in alt
    counts = [{"right": 2, "crashed": 1, "time up": 2}, {"wrong": 4, "missing": 1, "not written": 3, "right": 1}]
    axes, alt = drawn(monkeypatch, lambda: pictures.outcomes(["a.x", "b.y"], counts))
    bars = {part.get_label(): [(bar.get_x(), bar.get_width()) for bar in part] for part in axes.containers}
    assert bars == {
        "right": [(0, 2), (0, 1)], "wrong": [(2, 0), (1, 4)], "time up or crashed": [(2, 3), (5, 0)],
        "not written or missing": [(5, 0), (5, 4)],
    }  # fmt: skip
    assert axes.get_xlim() == (0, 9) and "Right: a.x 2 of 5, b.y 1 of 9" in alt
    axes, alt = drawn(monkeypatch, lambda: pictures.mistakes(["a.x: sum", "b.y: mean"], [7, 2]))
    assert [bar.get_width() for bar in axes.patches] == [7, 2] and "Most frequent: a.x: sum 7, b.y: mean 2" in alt
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a.x: sum", "b.y: mean"]


def test_every_status_has_its_part_of_a_bar():
    from lib.grading.reports import pictures
    from lib.grading.reports.pages import SIGNS

    parts = [status for statuses in pictures.OUTCOMES.values() for status in statuses]
    assert sorted(parts) == sorted(SIGNS)


def test_the_most_frequent_known_mistakes_are_pictured(monkeypatch):
    """Twelve of them; those of the same number by their names; wrong answers that nobody knows are none."""
    seen = []
    monkeypatch.setattr("lib.grading.reports.pictures.mistakes", lambda names, counts: seen.append((names, counts)))
    results = [made(f"s{k:02}{n}", f"m{k:02}") for k in range(14) for n in range(3 if k in (5, 13) else 1)]
    results += [made(f"t{n}", None) for n in range(9)]
    class_report._mistakes([analyse(book_of(*results), item) for item in (LOSS, MASK)])
    ((names, counts),) = seen
    assert names[:3] == ["mlm.loss: m05", "mlm.loss: m13", "mlm.loss: m00"] and counts == [3, 3] + [1] * 10
    assert names[-1] == "mlm.loss: m10"
    assert class_report._mistakes([analyse(book_of(*results[-9:]), LOSS)]) is None and len(seen) == 1


def test_who_waits_for_points_is_in_no_discrimination():
    """With the 0 that an answer has until it is read, the exercise would seem to divide the class."""
    rows = [result(s, NOTEBOOK, entry("mlm.loss", status), entry("report.q2", "manual"))
            for s, status in zip("abcdef", ["right", "right", "wrong", "wrong", "right", "wrong"])]  # fmt: skip
    manual = {(s, "report.q2"): points for s, points in zip("abcd", (4, 3, 1, 2))}
    found = analyse(book_of(*rows, items=(LOSS, ESSAY), manual=manual), ESSAY)
    assert found.difficulty == pytest.approx((1 + 0.75 + 0.25 + 0.5) / 4) and found.seen == 6
    assert found.discrimination == pytest.approx(np.corrcoef([1, 0.75, 0.25, 0.5], [3, 3, 0, 0])[0, 1])


@pytest.mark.parametrize("scores, others", [([0, 1, 0.5, 0.25], [9, 1, 2, 7]), ([0, 1, 1], [3, 4, 9])])
def test_a_correlation_is_numpys(scores, others):
    assert correlation(scores, others) == (pytest.approx(np.corrcoef(scores, others)[0, 1]), "")


def test_points_of_one_student_are_all_three_quartiles():
    points = class_report._points(book_of(row("ada", "rwn")), ("ada",))
    total = book_of(row("ada", "rwn")).total("ada")
    assert points.quartiles == (total,) * 3 and points.mean == total > 0
