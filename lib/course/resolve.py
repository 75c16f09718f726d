"""Does the set-up resolve on machines that are not this one? Asked of the package index alone, from metadata.

    python -m lib.course.resolve            hold constraints.txt and packaged.txt against the index
    python -m lib.course.resolve --write    add pins of new dependencies to constraints.txt, drop those of old ones
    python -m lib.course.resolve --newest   write constraints.txt anew, with the newest versions that go together

uv resolves once for all of them; then every package must have a wheel for each Python on each platform that takes it.
Nothing is installed. Where the index cannot be reached, one line says so, and that is no failure.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lib import ROOT
from lib.course.wheels import packaged

PYTHONS = ("3.11.5", "3.12.0", "3.13.0")
EXTRAS = ("test", "cluster")
GLIBC = 28  # the minor version that torch's wheels ask for: Debian 10, Ubuntu 20.04 and later have it
MACOS = (14, 0)
HEADER = """\
# The exact versions that were tested together: all that `pip install -e .[test,cluster]` brings, on Linux (x86-64 and
# arm64) and macOS (Apple silicon), with Python 3.11 to 3.13, and nothing else. A machine takes those that are for it:
# CUDA goes with the index's torch for Linux, which asks for this triton and no other.
# `python -m lib.course.resolve` holds this file against the index; with --write or --newest it writes it.
"""


class Unreachable(Exception):
    """The package index does not answer."""


@dataclass(frozen=True)
class Target:
    """A Python on a platform."""

    python: str  # "3.12.0"
    system: str  # as in `sys.platform`: "linux" or "darwin"
    machine: str  # as in `platform.machine()`: "x86_64", "aarch64", "arm64"

    def __str__(self) -> str:
        return f"Python {self.python.rpartition('.')[0]} on {self.system} {self.machine}"

    def takes(self, marker: str) -> bool:
        """Whether a package with this marker (PEP 508; "" for none) is installed here.

        >>> Target("3.12.0", "darwin", "arm64").takes("sys_platform == 'linux'")
        False
        """
        from packaging.markers import Marker

        environment = {
            "sys_platform": self.system,
            "platform_system": {"linux": "Linux", "darwin": "Darwin"}[self.system],
            "platform_machine": self.machine,
            "os_name": "posix",
            "python_version": self.python.rpartition(".")[0],
            "python_full_version": self.python,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        return not marker or Marker(marker).evaluate(environment)

    def tags(self) -> set:
        """The tags of the wheels that can be installed here."""
        from packaging.tags import compatible_tags, cpython_tags, mac_platforms

        if self.system == "darwin":
            platforms = list(mac_platforms(MACOS, self.machine))
        else:
            old = ["manylinux2014"] + (["manylinux2010", "manylinux1"] if self.machine == "x86_64" else [])
            names = [f"manylinux_2_{minor}" for minor in range(GLIBC, 4, -1)] + old
            platforms = [f"{name}_{self.machine}" for name in names]
        version = tuple(map(int, self.python.split(".")[:2]))
        interpreter = f"cp{version[0]}{version[1]}"
        return {*cpython_tags(version, platforms=platforms), *compatible_tags(version, interpreter, platforms)}


PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
TARGETS = tuple(Target(python, *platform) for python in PYTHONS for platform in PLATFORMS)


def main(argv: list[str] | None = None) -> int:
    """Print what is wrong, a line each; 0 if nothing is, or if the index cannot be reached."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.resolve", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write constraints.txt, keeping versions")
    parser.add_argument("--newest", action="store_true", help="write constraints.txt with the newest versions")
    arguments = parser.parse_args(argv)
    write = arguments.write or arguments.newest
    began = time.monotonic()
    try:
        packages = resolve(_project([] if arguments.newest else ["-c", "constraints.txt"]))
        found = findings(packages, resolve(["--no-deps", "packaged.txt"])) if not write else without_wheel(packages)
    except Unreachable as error:
        print(f"resolve: SKIPPED, the package index cannot be reached: {error}")
        return 0
    except ValueError as error:
        found = [str(error)]
    if write and not found:
        (ROOT / "constraints.txt").write_text(HEADER + "".join(f"{pin}\n" for pin in sorted(taken(packages))))
    for finding in found:
        print(f"resolve: {finding}")
    print(f"resolve: {len(TARGETS)} kinds of machine, {len(found)} faults, {time.monotonic() - began:.0f} s")
    return 1 if found else 0


def findings(packages: list[dict], data: list[dict]) -> list[str]:
    """What is wrong with the project's resolved `packages` and with packaged.txt's `data`, both as in a pylock.toml."""
    return [*without_wheel(packages), *_constraints(packages), *_hashes(data)]


def _project(constraints: list[str]) -> list[str]:
    """What to resolve: the project with its test bench."""
    return ["pyproject.toml", *(option for extra in EXTRAS for option in ("--extra", extra)), *constraints]


def resolve(arguments: list[str]) -> list[dict]:
    """uv's answer for all our kinds of machine at once, the packages of a pylock.toml.

    Raises Unreachable if the index does not answer, ValueError with uv's reason if nothing fits.
    """
    with tempfile.TemporaryDirectory() as name:
        lock = Path(name, "pylock.toml")  # uv insists on a name of this form
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--universal", "--no-build",
            "--python-version", PYTHONS[0], "--output-file", str(lock), *arguments,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=index_alone(os.environ))
        if done.returncode != 0:
            raise refusal(done.stderr.strip())
        return tomllib.loads(lock.read_text())["packages"]


def refusal(said: str) -> Exception:
    """Unreachable, with one line, or ValueError with all that uv said."""
    lines = said.splitlines() or ["uv said nothing"]
    if any(sign in said for sign in ("Request failed", "Failed to fetch", "error sending request")):
        return Unreachable(lines[-1].strip())
    return ValueError(said or lines[0])


def index_alone(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without uv's settings, which might name other indexes or folders of wheels."""
    kept = ("UV_CACHE_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT")
    return {name: value for name, value in environ.items() if not name.startswith("UV_") or name in kept}


def taken(packages: list[dict]) -> set[str]:
    """ "name==version" of every package that one of our kinds of machine takes."""
    return {
        f"{package['name']}=={package['version']}"
        for package in packages
        if any(target.takes(package.get("marker", "")) for target in TARGETS)
    }


def without_wheel(packages: list[dict]) -> list[str]:
    """Packages that some machine takes and that have no wheel for it."""
    return [
        f"{package['name']}=={package['version']} has no wheel for {target}"
        for target in TARGETS
        for tags in [target.tags()]
        for package in packages
        if target.takes(package.get("marker", "")) and not any(_tags(wheel) & tags for wheel in package["wheels"])
    ]


def _tags(wheel: dict) -> frozenset:
    from packaging.utils import parse_wheel_filename

    return parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]


def _constraints(packages: list[dict]) -> Iterator[str]:
    """Where constraints.txt differs from what is taken: a pin too few lets a version in that was not tested."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line for line in lines if line and not line.startswith("#")}
    yield from (f"constraints.txt lacks {pin}" for pin in sorted(taken(packages) - pins))
    yield from (f"constraints.txt has {pin}, which nothing brings" for pin in sorted(pins - taken(packages)))


def _hashes(data: list[dict]) -> Iterator[str]:
    """Lines of packaged.txt whose wheel the index does not have."""
    offered = {wheel["hashes"]["sha256"] for package in data for wheel in package["wheels"]}
    for wheel in packaged():
        if wheel.sha256 not in offered:
            yield f"packaged.txt: the index has another {wheel.file} than that of SHA-256 {wheel.sha256[:12]}…"


if __name__ == "__main__":
    sys.exit(main())
