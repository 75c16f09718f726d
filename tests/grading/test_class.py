"""A class is graded as it was made; killed half way and continued, or on a cluster, to the same bytes."""

import csv
from collections import Counter

import pytest

from lib import NOTEBOOKS
from lib.bench.classroom import Lecture, hand_in, make_class
from lib.course import cli
from tests.killed import killed

NOTEBOOK = NOTEBOOKS / "11_bradley_terry_reward.ipynb"
IDS = ["reward.bradley_terry_loss", "ranking.difference", "ranking.best_accuracy"]
COUNT, SEED, COPIES = 24, 5, 2  # a class in which everything happens that can


@pytest.fixture(scope="module")
def lecture(tmp_path_factory):
    out = tmp_path_factory.mktemp("assignment") / "release"
    assert cli.main(["release", "11", "--out", str(out), "--exercises", *IDS]) == 0
    return Lecture(NOTEBOOK, (out / NOTEBOOK.name).read_text(encoding="utf-8")), out


@pytest.fixture(scope="module")
def students(lecture):
    return make_class(lecture[0], COUNT, SEED, copies=COPIES)


@pytest.fixture(scope="module")
def folder(lecture, students, tmp_path_factory):
    """Where the class has handed in, with the release and the key beside it."""
    folder = tmp_path_factory.mktemp("class")
    hand_in(lecture[0], students, folder / "in")
    (folder / "key").write_text("5e" * 32)
    (folder / "key").chmod(0o600)
    return folder


def options(folder, lecture, out):
    named = {"--out": out, "--release": lecture[1], "--key": folder / "key"}
    return ["grade", str(folder / "in"), *(str(word) for pair in named.items() for word in pair)]


@pytest.fixture(scope="module")
def graded(folder, lecture):
    """An undisturbed run."""
    assert cli.main([*options(folder, lecture, folder / "whole"), "--jobs", "2"]) == 0
    return contents(folder / "whole")


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rows(content):
    return list(csv.DictReader(content["grades.csv"].decode().splitlines()))


def test_everyone_has_the_row_that_was_to_be_expected(graded, students):
    by_name = {student.name: student for student in students}
    found = {(row["student"], row["exercise"]): row for row in rows(graded)}
    assert set(found) == {(name, id) for name in by_name for id in IDS}
    for (name, id), row in found.items():
        status, _ = by_name[name].expected(id)
        assert (row["status"], float(row["points"]) > 0) == (status, status == "right"), (name, id)


def test_the_class_is_one_worth_grading(students):
    kinds = Counter(student.expected(id)[0] for student in students for id in IDS)
    assert {"right", "wrong", "not written", "missing", "crashed", "unreadable"} <= set(kinds)
    assert len([student for student in students if student.copied_from]) == COPIES
    assert any(kind.startswith("accepted") for student in students for kind in student.kinds.values())


def test_the_same_seed_makes_the_same_class(lecture, students):
    assert (
        make_class(lecture[0], COUNT, SEED, copies=COPIES)
        == students
        != make_class(lecture[0], COUNT, seed=4, copies=COPIES)
    )
    looping = make_class(lecture[0], COUNT, SEED, loops=2, copies=COPIES)
    assert sum(list(s.kinds.values()).count("loop") for s in looping) == 2
    with pytest.raises(ValueError, match="more than 6"):
        make_class(lecture[0], 6, SEED, loops=1)


def test_each_mistake_is_counted_in_the_class_report(graded, students):
    page = graded["class.html"].decode()
    named = Counter(student.expected(id)[1] for student in students for id in IDS)
    del named[""]
    assert named and not [name for name in named if name not in page]


def test_copied_answers_are_seen_to_be_nearly_the_same(graded, students):
    copies = [student for student in students if student.copied_from]
    group = {student.name for student in copies} | {copies[0].copied_from}
    page = graded["class.html"].decode()
    section = page[page.rindex("Near-identical answers") : page.rindex("own source")]
    others = {student.name for student in students} - group
    assert all(name in section for name in group) and not any(name in section for name in others)


@pytest.mark.nightly
def test_killed_half_way_and_continued_it_has_the_same_bytes(graded, folder, lecture, capsys):
    out = folder / "killed"
    killed(
        "lib.grading.results.store:Store", "write_result", COUNT // 2, [*options(folder, lecture, out), "--jobs", "1"]
    )
    done = len(results(out))
    assert done == COUNT // 2 and not (out / "grades.csv").exists()
    assert cli.main([*options(folder, lecture, out), "--jobs", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{done} results already exist")
    assert contents(out) == graded


def results(out):
    """What is there, without a file that was being written."""
    return [path for path in out.glob("results/*/*.json") if not path.name.startswith(".")]


@pytest.mark.nightly
def test_on_a_cluster_it_has_the_same_bytes(graded, folder, lecture):
    pytest.importorskip("distributed")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        where = ["--scheduler", cluster.scheduler_address]
        assert cli.main([*options(folder, lecture, folder / "cluster"), *where]) == 0
    assert contents(folder / "cluster") == graded
