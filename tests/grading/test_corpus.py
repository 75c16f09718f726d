"""A corpus of hostile, broken and unlucky submissions, each with the row that it must get."""

import base64
import csv
import json
import os
import re
import shutil
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lib.course import cli
from lib.grading.intake.submission import load_submission, read_folder
from lib.grading.judging.cases import secret_seed
from lib.grading.judging.grader import Grader
from lib.grading.judging.key import load_key
from lib.grading.walls import Limits
from tests.grading import corpus, corpus_notebooks
from tests.grading.corpus import IDS, NAME, Entry
from tests.nightly import by_day

KEY = b"k" * 32
QUICK = Limits(cpu_seconds=1, elapsed_seconds=8, memory_bytes=2**30)
TRACES = (
    "/var/tmp",
    "/dev/shm",
    "/run",
    "/",
    str(Path.home()),
    "/usr",
    os.path.dirname(os.__file__),
    "lib",
    ".",
)


@dataclass(frozen=True)
class World:
    """What the corpus may not touch: a folder with a secret, and a port with somebody behind it."""

    outside: Path
    listeners: tuple[socket.socket, ...]
    temporary: Path  # where all temporary folders of a grader are made

    @property
    def port(self) -> int:
        return self.listeners[0].getsockname()[1]

    def complaints(self) -> list[str]:
        """What has been reached, written or left behind after all."""
        found = [f"{folder}/corpus-was-here is there" for folder in TRACES if _has_trace(Path(folder))]
        secret = self.outside / "secret.txt"
        if sorted(path.name for path in self.outside.iterdir()) != ["secret.txt", "socket"]:
            found.append(f"the folder outside holds {list(self.outside.iterdir())}")
        elif secret.read_text() != "the secret":
            found.append("the secret file was changed")
        found += [f"{each.getsockname()} was reached" for each in self.listeners if _was_reached(each)]
        found += [f"{path} was left behind" for path in self.temporary.iterdir()]
        return found + [f"process {process.pid} was left behind" for process in self.processes()]

    def processes(self) -> list[psutil.Process]:
        """The processes of graders that work in our temporary folder, forked ones among them."""
        found = []
        for process in psutil.process_iter():
            try:
                if any(str(self.temporary) in word for word in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


def _has_trace(folder: Path) -> bool:
    return os.path.lexists(folder / "corpus-was-here")


def _was_reached(listener: socket.socket) -> bool:
    try:
        return bool(listener.accept() if listener.type == socket.SOCK_STREAM else listener.recv(1))
    except BlockingIOError:
        return False


@pytest.fixture
def world(tmp_path, monkeypatch) -> Iterator[World]:
    outside, temporary = tmp_path / "outside", tmp_path / "temporary"
    outside.mkdir()
    temporary.mkdir()
    (outside / "secret.txt").write_text("the secret")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)  # asks the environment again
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    unix = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(outside)  # a path of a socket is short
    unix.bind("socket")
    os.chdir(here)
    unix.listen()
    listeners = (tcp, udp, unix)
    for each in listeners:
        each.setblocking(False)
    yield World(outside, listeners, temporary)
    for each in listeners:
        each.close()


def hand_in(folder: Path, entries: list[Entry]) -> dict[Path, Entry]:
    """Write submissions as a folder, and say which file is whose."""
    paths = {}
    for entry in entries:
        path = folder / entry.student / entry.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(entry.content)
        paths[path] = entry
    return paths


def complaints(entry: Entry, result: dict) -> list[str]:
    """How a result differs from what is expected."""
    found = []
    for graded in result["exercises"]:
        wanted, status, reason = entry.status(graded["id"]), graded["status"], graded["reason"]
        where = f"{entry.student}: {graded['id']} is {status!r} ({reason[:150]!r})"
        if status not in wanted.split("|"):
            found.append(f"{where}, expected {wanted!r}")
        elif graded["id"] in entry.expected and not re.search(entry.reason, " ".join([reason, *result["notes"]])):
            found.append(f"{where}, expected a reason or a note with {entry.reason!r}")
        elif (status == "right") == bool(reason) or len(reason.splitlines()) > 1:
            found.append(f"{where}: a reason is one line, and there is one where the answer is not right")
    if bool(entry.problem) != bool(result["problem"]) or not re.search(entry.problem, result["problem"]):
        found.append(f"{entry.student}: the problem is {result['problem']!r}, expected {entry.problem!r}")
    return found


def is_slow(entry: Entry) -> bool:
    """Whether it takes all the time that it gets."""
    return any(statuses.startswith("time up") for statuses in entry.expected.values())


def grade_all(folder: Path, entries: list[Entry], grader: Grader, beside: int) -> list[str]:
    """Grade submissions in one process; each badly answered exercise, and `beside` others of its notebook."""
    whose = hand_in(folder, entries)
    found = []
    for each in read_folder(folder, {NAME: IDS}).found:
        entry = whose[each.path]
        bad = [id for id in IDS if id in entry.expected] or list(IDS[:1])
        good = [id for id in IDS if id not in bad][:beside]
        found += complaints(entry, grader.grade(load_submission(each), [*good, *bad]))
    return found


@pytest.mark.parametrize("walls", by_day(0, ["bubblewrap", "plain"]))  # by day they meet their walls in the batch
def test_a_hostile_answer_costs_its_own_exercise_and_touches_nothing(world, tmp_path, monkeypatch, walls):
    if walls == "plain":
        monkeypatch.setenv("COURSE_WALLS", "plain")
    elif not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    entries = corpus.answers(world.outside, world.port)
    seen = walls == "plain" and shutil.which("bwrap")  # what runs into a limit does so with bubblewrap too
    if seen:
        entries = [entry for entry in entries if not is_slow(entry)]
    assert len(entries) > 30
    with Grader(key=KEY, limits=QUICK) as grader:
        found = grade_all(tmp_path / "submissions", entries, grader, beside=0 if seen else 1)
    found += world.complaints()
    assert not found, "\n".join(found)


def test_what_is_no_ordinary_file_is_said_to_be_none_and_never_read_whole(tmp_path):
    entries = {entry.student: entry for entry in corpus_notebooks.special(tmp_path)}
    tracemalloc.start()
    try:
        submissions = [load_submission(each) for each in read_folder(tmp_path, {NAME: IDS}).found]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    problems = {submission.student: submission.problem for submission in submissions}
    assert set(problems) == set(entries) and all(problems.values())
    assert "larger than" in problems["huge"] and "link" in problems["a_link"]
    assert peak < 60 * 2**20, "200 MB were read"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(path: Path) -> dict[tuple[str, str], str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {(row["student"].removeprefix("'"), row["exercise"]): row["status"] for row in csv.DictReader(file)}


def of_a_batch(world: World) -> list[Entry]:
    """The corpus, with few of those that run into the limits of a real batch, which are generous."""
    hostile = corpus.answers(world.outside, world.port)
    quick = [entry for entry in hostile if not is_slow(entry) or entry.student == "loop"]
    return [*quick, *corpus_notebooks.notebooks(), *corpus_notebooks.files()]


def test_the_whole_corpus_in_one_batch(world, tmp_path, capsys):
    submissions, release = tmp_path / "submissions", tmp_path / "release"
    whose = hand_in(submissions, of_a_batch(world))
    whose |= {submissions / entry.student: entry for entry in corpus_notebooks.special(submissions)}
    found = read_folder(submissions, {NAME: IDS}).found
    expected = {each.student: whose.get(each.path) or whose[submissions / each.student] for each in found}

    assert cli.main(["release", "06", "--out", str(release), "--exercises", *IDS]) == 0
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "key").chmod(0o600)
    options = ["--release", str(release), "--jobs", "2", "--key", str(tmp_path / "key")]
    assert cli.main(["grade", str(submissions), "--out", str(tmp_path / "a"), *options]) == 0
    statuses = rows(tmp_path / "a" / "grades.csv")
    wrong = [
        f"{student}: {id} is {status!r}, expected {expected[student].status(id)!r}"
        for (student, id), status in statuses.items()
        if status not in expected[student].status(id).split("|")
    ]
    lost = {each.student for each in found if each.notebook} - {student for student, _ in statuses}
    wrong += [f"{student} has no row" for student in sorted(lost)]
    results = [json.loads(path.read_text()) for path in (tmp_path / "a" / "results").rglob("*.json")]
    wrong += [line for result in results for line in complaints(expected[result["student"]], result)]
    wrong += world.complaints()
    assert not wrong, "\n".join(wrong)

    written = contents(tmp_path / "a")
    assert not _with_secrets(written, load_key(tmp_path / "key"), {result["sha256"] for result in results})
    pages = [name for name, content in written.items() if b"<script>alert(1)" in content and name.endswith("html")]
    assert not pages, "what students write is never markup"
    assert not re.search(r'(?m)(^|,)"?[=+@-]', written["grades.csv"].decode("utf-8-sig")), "nor a formula"
    _grade_some_again(tmp_path, found, options, written)
    present = {"submissions", "release", "key", "a", "b", "some", "outside", "temporary"}
    assert set(os.listdir(tmp_path)) == present, "and nothing is written anywhere else"


def _grade_some_again(tmp_path: Path, found: list, options: list[str], written: dict[str, bytes]) -> None:
    """Every eighth submission by itself: what is said of it must be the same, byte for byte."""
    some = [each for each in found if each.notebook and each.path.is_file()][::8]
    for each in some:
        path = tmp_path / "some" / each.path.relative_to(tmp_path / "submissions")
        path.parent.mkdir(parents=True)
        shutil.copyfile(each.path, path, follow_symlinks=False)
    assert cli.main(["grade", str(tmp_path / "some"), "--out", str(tmp_path / "b"), *options]) == 0
    again = {name: content for name, content in contents(tmp_path / "b").items() if name.startswith("results/")}
    assert len(again) == len(some)
    assert [name for name in again if again[name] != written[name]] == []


def _with_secrets(written: dict[str, bytes], key: bytes, hashes: set[str]) -> list[str]:
    """The files that hold the key or a seed that was made from it."""
    seeds = [secret_seed(key, id, sha256) for id in IDS for sha256 in hashes]
    texts = [key.hex(), base64.b64encode(key).decode(), *map(str, seeds), *map(hex, seeds)]
    secrets = [key, *(text.encode() for text in texts)]
    return [name for name, content in written.items() if any(secret in content for secret in secrets)]
