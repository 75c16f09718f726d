"""A batch of submissions: each has its row, whatever happens, and the same bytes in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from lib import NOTEBOOKS, ROOT
from lib.course import cli, grade
from lib.grading import grade as grading
from lib.grading.judging.entry import FORMAT
from lib.grading.reports import class_report
from lib.lectures import execution, notebooks
from tests.grading import fakes
from tests.grading.fakes import IDS, NOTEBOOK, submit, write

OTHER = "04_mlm_masking.ipynb"
MAIN = [sys.executable, "-c", "import sys; from tests.grading import fakes; sys.exit(fakes.main())"]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release of one notebook: 1, 3, 2 and 3.5 points, of which the third is practice."""
    out = tmp_path_factory.mktemp("release") / "a1"
    chosen = ["--exercises", IDS[0], IDS[1], IDS[3], "--points", f"{IDS[3]}=3.5"]
    assert cli.main(["release", "00", "--out", str(out), *chosen]) == 0
    return out


@pytest.fixture
def handed_in(tmp_path, monkeypatch):
    """Three submissions, and settings that hold no key yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    folder = tmp_path / "handed in"
    submit(folder, "ada")
    submit(folder, "bob", token_count="wrong", loop="time up")
    submit(folder, "cem", default="not written")
    return folder


@pytest.fixture(autouse=True)
def one_lecture(monkeypatch):
    """Without a release all lectures are read, which takes seconds; here there is one."""
    monkeypatch.setattr(notebooks, "all_notebooks", lambda *folder: [NOTEBOOKS / NOTEBOOK])


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """The class report draws for a second; here it is a list of names."""
    monkeypatch.setattr(class_report, "class_page", lambda book: "\n".join(book.students))


@pytest.fixture
def here(monkeypatch):
    """Grades in a thread of this process, which spares the start of others; the list says what was graded."""
    graded = []

    def noted(task):
        graded.append(task.found.student)
        return fakes.work(task)

    monkeypatch.setattr(grading, "_workers", lambda scheduler, jobs: ThreadPoolExecutor(1))
    monkeypatch.setattr(grade, "run", partial(grade.run, work=noted))
    return graded


@pytest.fixture
def elsewhere(monkeypatch):
    """Grades in processes, with the work that is given."""

    def use(work):
        monkeypatch.setattr(grade, "run", partial(grade.run, work=work))

    return use


def graded(folder, out, *options):
    return cli.main(["grade", str(folder), "--out", str(out), *map(str, options)])


def rows(out):
    return [line.split(",") for line in (out / "grades.csv").read_text().splitlines()[1:]]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_release_says_what_is_graded_and_for_how_many_points(handed_in, release, here, tmp_path, capsys):
    out = tmp_path / "out"
    assert graded(handed_in, out, "--release", release) == 0
    assert rows(out) == [
        ["ada", NOTEBOOK, IDS[0], "1", "right"],
        ["ada", NOTEBOOK, IDS[1], "3", "right"],
        ["ada", NOTEBOOK, IDS[3], "3.5", "right"],
        ["bob", NOTEBOOK, IDS[0], "0", "wrong"],
        ["bob", NOTEBOOK, IDS[1], "3", "right"],
        ["bob", NOTEBOOK, IDS[3], "0", "time up"],
        *(["cem", NOTEBOOK, id, "0", "not written"] for id in (IDS[0], IDS[1], IDS[3])),
    ]
    said = capsys.readouterr().out
    assert f"bob      {NOTEBOOK}    1/3  wrong: {IDS[0]}; time up: {IDS[3]}" in said
    assert f"ada      {NOTEBOOK}    3/3  all right" in said
    assert said.splitlines()[-1] == "3 submissions, 3 exercises: grades.csv, class.html"
    assert sorted(contents(out)) == [
        "assignment.json", "class.html", "grades.csv", "grades.json",
        *(f"results/{name}/00_start_here.json" for name in ("ada", "bob", "cem")),
        *(f"students/{name}.html" for name in ("ada", "bob", "cem")),
    ]  # fmt: skip


def test_without_a_release_every_exercise_counts_with_its_usual_points(handed_in, here, tmp_path):
    assert graded(handed_in, tmp_path / "out") == 0
    assert [row[2:4] for row in rows(tmp_path / "out")[:4]] == [
        [IDS[0], "1"], [IDS[1], "3"], [IDS[2], "2"], [IDS[3], "4"]
    ]  # fmt: skip


def test_a_second_call_grades_what_is_new_and_keeps_the_rest(handed_in, release, here, tmp_path, capsys):
    out = tmp_path / "out"
    graded(handed_in, out, "--release", release)
    submit(handed_in, "bob")
    submit(handed_in, "dan")
    here.clear()
    assert graded(handed_in, out) == 0
    assert here == ["bob", "dan"] and "2 results already exist" in capsys.readouterr().out
    assert [row[4] for row in rows(out) if row[0] in ("bob", "dan")] == ["right"] * 6


def test_regrade_begins_anew(handed_in, here, tmp_path):
    graded(handed_in, tmp_path / "out")
    graded(handed_in, tmp_path / "out", "--regrade")
    assert here == ["ada", "bob", "cem"] * 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"plan": "', '"plan": "0'),
        lambda text: text.replace('"student": "ada"', '"student": "bob"'),
        lambda text: json.dumps(json.loads(text) | {"exercises": [None]}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "notes"}),
    ],
)
def test_a_damaged_result_is_made_again(handed_in, here, tmp_path, damage):
    graded(handed_in, tmp_path / "out")
    before = contents(tmp_path / "out")
    path = tmp_path / "out" / "results" / "ada" / "00_start_here.json"
    path.write_text(damage(path.read_text()))
    here.clear()
    graded(handed_in, tmp_path / "out")
    assert here == ["ada"] and contents(tmp_path / "out") == before


def test_other_exercises_another_key_and_another_judge_grade_again(handed_in, release, here, tmp_path, monkeypatch):
    out = tmp_path / "out"
    graded(handed_in, out)
    for options in (["--release", release], ["--key", tmp_path / "other.key"]):
        here.clear()
        graded(handed_in, out, *options)
        assert here == ["ada", "bob", "cem"], options
    here.clear()
    monkeypatch.setattr(grading, "grading_hash", lambda ids: "other sources")
    graded(handed_in, out, "--key", tmp_path / "other.key")
    assert here == ["ada", "bob", "cem"]


def test_a_folder_with_one_resubmission_leaves_everybody_else_as_published(handed_in, release, here, tmp_path, capsys):
    out = tmp_path / "out"
    graded(handed_in, out, "--release", release)
    before = contents(out)
    capsys.readouterr()
    submit(tmp_path / "again", "BOB", default="right")  # under a name that differs in case only
    here.clear()
    assert graded(tmp_path / "again", out) == 0
    assert here == ["bob"]
    said = capsys.readouterr().out
    assert (
        f"kept 2 earlier results without a file in this folder (--remove-missing removes them): ada ({NOTEBOOK}), cem"
        in said
    )
    assert said.splitlines()[-1] == "3 submissions, 3 exercises: grades.csv, class.html"
    after = contents(out)
    theirs = [name for name in before if "ada" in name or "cem" in name]
    assert len(theirs) == 4 and all(after[name] == before[name] for name in theirs)
    assert [row[4] for row in rows(out)] == ["right"] * 6 + ["not written"] * 3
    assert graded(handed_in, out) == 0 and contents(out) == before, "the whole folder again"


def test_a_resubmission_of_one_notebook_keeps_the_other_notebooks(handed_in, here, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "all_notebooks", lambda *folder: [NOTEBOOKS / NOTEBOOK, NOTEBOOKS / OTHER])
    submit(handed_in, "ada", OTHER)
    graded(handed_in, tmp_path / "out")
    before = rows(tmp_path / "out")
    assert {row[1] for row in before} == {NOTEBOOK, OTHER}
    submit(tmp_path / "again", "bob", default="right")
    assert graded(tmp_path / "again", tmp_path / "out") == 0
    after = rows(tmp_path / "out")
    assert [row for row in after if row[0] != "bob"] == [row for row in before if row[0] != "bob"]


@pytest.mark.parametrize("names", [["essay.pdf"], ["x.ipynb"], []])
def test_a_folder_without_a_notebook_of_ours_replaces_no_result(handed_in, here, tmp_path, names, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "all_notebooks", lambda *folder: [NOTEBOOKS / NOTEBOOK, NOTEBOOKS / OTHER])
    submit(handed_in, "cem", OTHER)
    graded(handed_in, tmp_path / "out")
    before = [row for row in rows(tmp_path / "out") if row[:2] == ["ada", NOTEBOOK]]
    submit(tmp_path / "again", "bob")
    (tmp_path / "again" / "ada").mkdir()
    for name in names:
        (tmp_path / "again" / "ada" / name).write_text("{}")
    graded(tmp_path / "again", tmp_path / "out")
    assert [row for row in rows(tmp_path / "out") if row[:2] == ["ada", NOTEBOOK]] == before
    assert "ada" in capsys.readouterr().err


def test_whoever_is_gone_is_removed_only_when_told(handed_in, here, tmp_path, capsys):
    out = tmp_path / "out"
    graded(handed_in, out)
    (handed_in / "bob" / NOTEBOOK).unlink()
    (handed_in / "bob").rmdir()
    graded(handed_in, out)
    assert {row[0] for row in rows(out)} == {"ada", "bob", "cem"} and (out / "students" / "bob.html").exists()
    graded(handed_in, out, "--remove-missing")
    assert {row[0] for row in rows(out)} == {"ada", "cem"}
    assert not (out / "students" / "bob.html").exists()
    assert "removed 1 pages in students/ of nobody who is graded or on the roster: bob.html" in capsys.readouterr().out
    assert "bob" not in (out / "grades.json").read_text() + (out / "class.html").read_text()


def test_a_page_of_nobody_is_kept_and_named_until_told(handed_in, here, tmp_path, capsys):
    graded(handed_in, tmp_path / "out")
    page = tmp_path / "out" / "students" / "zoe.html"
    page.write_text("published last year")
    for command in (["grade", str(handed_in), "--out"], ["regrade-points"]):
        assert cli.main([*command, str(tmp_path / "out")]) == 0
        assert "kept 1 pages in students/ of nobody who is graded or on the roster: zoe.html" in capsys.readouterr().out
    assert page.read_text() == "published last year"


def test_an_earlier_result_that_is_lost_is_named_and_nothing_is_written(handed_in, here, tmp_path, capsys):
    graded(handed_in, tmp_path / "out")
    (tmp_path / "out" / "results" / "ada" / "00_start_here.json").write_text("{")
    before = contents(tmp_path / "out")
    submit(tmp_path / "again", "bob")
    assert graded(tmp_path / "again", tmp_path / "out") == 1
    assert f"no file in this folder, of ada, {NOTEBOOK}: grade the whole class's folder" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before


def test_kept_results_that_lack_an_exercise_are_named(handed_in, release, here, tmp_path, capsys):
    graded(handed_in, tmp_path / "out", "--release", release)
    submit(tmp_path / "again", "bob")
    cli.main(["release", "00", "--out", str(tmp_path / "a2")])
    capsys.readouterr()
    assert graded(tmp_path / "again", tmp_path / "out", "--release", tmp_path / "a2") == 0
    assert "lack exercises that are graded now; grade the files again of ada, cem\n" in capsys.readouterr().out


def test_every_file_that_is_not_taken_is_told_and_recorded(handed_in, here, release, tmp_path, capsys):
    for name in ("ada/a.pdf", "bob/broken.zip", "cem_solution.py", "stray.docx", "dan.zip", "ada/.DS_Store"):
        (handed_in / name).parent.mkdir(exist_ok=True)
        (handed_in / name).write_bytes(b"PK")
    for number in range(25):
        (handed_in / "ada" / f"data{number:02}.csv").touch()
    assert graded(handed_in, tmp_path / "out", "--release", release) == 0
    said = capsys.readouterr().err
    words = [
        "ada/a.pdf was not taken: it is a PDF document, not a notebook: hand in the .ipynb file\n",
        "bob/broken.zip was not taken: it is damaged, or no zip archive: make it again\n",
        "cem_solution.py was not taken: it is a Python script",
        "stray.docx was not taken: it is an office document",
        "dan.zip was not taken: it is damaged",
        "6 more files of ada were not taken; grades.json lists them\n",
    ]
    assert [line for line in words if f"warning: {line}" not in said] == [] and "DS_Store" not in said
    left = json.loads((tmp_path / "out" / "grades.json").read_text())["not_taken"]
    assert len(left) == 5 + 25
    assert [row[4] for row in rows(tmp_path / "out") if row[0] == "dan"] == ["unreadable"] * 3


def test_the_roster_names_who_handed_in_nothing_and_who_is_a_stranger(handed_in, here, tmp_path, capsys):
    (tmp_path / "roster.csv").write_text("student\nAda\nbob\nzoe\n")
    roster = ["--roster", str(tmp_path / "roster.csv")]
    assert cli.main(["release", "00", "--out", str(tmp_path / "a1"), *roster, "--exercises", IDS[0]]) == 0
    assert graded(handed_in, tmp_path / "out", "--release", tmp_path / "a1" / "manifest.json") == 0
    assert [row[0::4] for row in rows(tmp_path / "out")] == [
        ["Ada", "right"], ["bob", "wrong"], ["cem", "not written"], ["zoe", "not submitted"]
    ]  # fmt: skip
    assert "not on the roster, but graded: cem\n" in capsys.readouterr().err
    assert (tmp_path / "out" / "students" / "zoe.html").exists()


def test_a_changed_definition_is_named_and_recorded(handed_in, release, here, tmp_path, capsys):
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["notebooks"][NOTEBOOK]["exercises"][1]["definition"] = "0" * 64
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for _ in range(2):  # the second time from assignment.json
        release_option = ["--release", tmp_path] if not (tmp_path / "out").exists() else []
        assert graded(handed_in, tmp_path / "out", *release_option) == 0
        assert f"the definition has changed since the release: {IDS[1]}\n" in capsys.readouterr().err
        assert json.loads((tmp_path / "out" / "assignment.json").read_text())["changed"] == [IDS[1]]


def test_without_a_release_the_one_of_the_last_time_counts(handed_in, release, here, tmp_path):
    graded(handed_in, tmp_path / "out", "--release", release)
    before = contents(tmp_path / "out")
    here.clear()
    assert graded(handed_in, tmp_path / "out") == 0
    assert contents(tmp_path / "out") == before and not here


def test_two_folders_of_grades_have_the_same_bytes_and_no_key(handed_in, here, tmp_path):
    graded(handed_in, tmp_path / "one")
    graded(handed_in, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    key = tmp_path / "settings" / "llm-course" / "grading.key"
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_text().strip()) == 64
    for content in contents(tmp_path / "one").values():
        assert key.read_text().strip().encode() not in content and str(tmp_path).encode() not in content


def test_processes_a_cluster_and_a_thread_give_the_same_bytes(handed_in, release, elsewhere, tmp_path, monkeypatch):
    from distributed import LocalCluster

    elsewhere(fakes.work)
    assert graded(handed_in, tmp_path / "processes", "--release", release, "--jobs", 2) == 0
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        scheduler = ["--scheduler", cluster.scheduler_address]
        assert graded(handed_in, tmp_path / "cluster", "--release", release, *scheduler) == 0
    monkeypatch.setattr(grading, "_workers", lambda scheduler, jobs: ThreadPoolExecutor(1))
    assert graded(handed_in, tmp_path / "thread", "--release", release) == 0
    assert contents(tmp_path / "processes") == contents(tmp_path / "cluster") == contents(tmp_path / "thread")
    assert len(rows(tmp_path / "thread")) == 9


def test_a_worker_that_dies_costs_nobody_else_anything(handed_in, release, elsewhere, tmp_path, capsys, monkeypatch):
    write(handed_in / "dan" / NOTEBOOK, json.dumps({"once": str(tmp_path / "died"), IDS[0]: "right"}))
    write(handed_in / "eve" / NOTEBOOK, json.dumps({"always": True}))
    elsewhere(fakes.deadly)
    out = tmp_path / "out"
    assert graded(handed_in, out, "--release", release, "--jobs", 2) == 1
    assert [row[4] for row in rows(out)[::3]] == ["right", "wrong", "not written", "right", "crashed"]
    assert "no worker finished it in 3 attempts: BrokenProcessPool" in capsys.readouterr().out
    # what was our fault is tried again
    monkeypatch.setattr(grading, "_workers", lambda scheduler, jobs: ThreadPoolExecutor(1))
    elsewhere(fakes.work)
    assert graded(handed_in, out) == 0
    assert "4 results already exist" in capsys.readouterr().out


def started(handed_in, out, release):
    """`course grade` at work, with a first result written and ten that are still to come, whenever it is stopped."""
    for number in range(10):
        submit(handed_in, f"student {number}")
    options = ["--out", str(out), "--release", str(release), "--jobs", "2"]
    process = subprocess.Popen(
        [*MAIN, "grade", str(handed_in), *options], cwd=ROOT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 400
    while not list(out.glob("results/*/[!.]*.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_interrupted_and_called_again_it_ends_with_the_bytes_of_an_undisturbed_run(
    handed_in, release, here, tmp_path, number
):
    process = started(handed_in, tmp_path / "out", release)
    workers = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    said = process.communicate(timeout=300)[0]
    if number != signal.SIGKILL:
        assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said
    assert not psutil.wait_procs(workers, timeout=300)[1], "workers outlive the command"
    done = list((tmp_path / "out").glob("results/*/[!.]*.json"))
    assert 1 <= len(done) <= 3 and not (tmp_path / "out" / "grades.csv").exists()
    assert all(json.loads(path.read_text())["format"] == FORMAT for path in done)
    assert graded(handed_in, tmp_path / "out") == 0
    assert len(here) == 13 - len(done)
    assert graded(handed_in, tmp_path / "undisturbed", "--release", release) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_two_gradings_do_not_share_a_folder(handed_in, release, here, tmp_path, capsys):
    process = started(handed_in, tmp_path / "out", release)
    try:
        assert graded(handed_in, tmp_path / "out", "--release", release) == 1
        assert "another `course grade` is running in" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()


def test_what_a_killed_grading_had_half_written_is_removed(handed_in, here, tmp_path):
    out = tmp_path / "out"
    graded(handed_in, out)
    before = contents(out)
    for name in (
        ".grades.csv.abc123_x.csv",
        "results/ada/.00_start_here.json.qwertyui.json",
        "students/.ada.html.x.html",
    ):
        (out / name).write_text("half")
    graded(handed_in, out)
    assert contents(out) == before


def test_a_file_that_is_no_notebook_of_ours_has_rows_that_say_why(handed_in, here, release, tmp_path, capsys):
    submit(handed_in, "dan", "homework.ipynb")  # of the only notebook that is asked for
    (handed_in / "eve").mkdir()
    assert graded(handed_in, tmp_path / "out", "--release", release) == 0
    assert [row[4] for row in rows(tmp_path / "out") if row[0] in ("dan", "eve")][::3] == ["right", "unreadable"]
    assert "eve was not taken: there is no notebook (.ipynb) in this folder\n" in capsys.readouterr().err


def test_names_do_not_reach_the_terminal_or_a_spreadsheet_as_they_are(handed_in, here, tmp_path, capsys):
    submit(handed_in, "=1+1 \x1b[31mred")
    assert graded(handed_in, tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert not (tmp_path / "out" / "grades.csv").read_text().count("\n=")


@pytest.mark.parametrize(
    "options, code, words",
    [
        (["nowhere", "--out", "out"], 2, "nowhere is not a folder of submissions"),
        (["handed in", "--out", "handed in/out"], 2, "must not be inside each other"),
        (["handed in/ada", "--out", "handed in"], 2, "must not be inside each other"),
        (["handed in", "--out", "handed in"], 2, "must not be inside each other"),
        (["handed in", "--out", "out", "--jobs", "0"], 2, "--jobs must be at least 1, got 0"),
        (["handed in", "--out", "out", "--key", "handed in/key"], 2, "the key must be neither in --out nor"),
        (["handed in", "--out", "out", "--release", "empty"], 1, "manifest.json cannot be read"),
        (["empty", "--out", "out"], 1, "empty contains no submission of 00_start_here.ipynb"),
        (["handed in", "--out", "full"], 1, "full contains essay.txt but no grading; choose another --out"),
        (["handed in", "--out", "full/essay.txt"], 1, "essay.txt is a file; --out must name a folder"),
        (["handed in", "--out", "out", "--scheduler", "tcp://127.0.0.1:9"], 1, "no Dask scheduler answers"),
    ],
)
def test_what_cannot_work_is_one_line(handed_in, tmp_path, capsys, monkeypatch, options, code, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execution, "SCHEDULER_SECONDS", 0.5)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "essay.txt").write_text("mine")
    assert cli.main(["grade", *options]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert (tmp_path / "full" / "essay.txt").read_text() == "mine"
