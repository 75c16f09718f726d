"""`course prepare`: make once what is slow to make, so that no notebook waits for it."""

import argparse
import time


def add_parser(subparsers) -> None:
    """`course prepare`."""
    parser = subparsers.add_parser(
        "prepare",
        help="make the cache: the weights of the packaged model",
        description="Convert the packaged model, once; later calls take seconds.",
    )
    parser.set_defaults(func=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Make every cache that is not there yet, one line for each."""
    from lib.models.packaged import load_smollm2

    steps = {"weights of SmolLM2": load_smollm2}
    for number, (name, make) in enumerate(steps.items(), start=1):
        began = time.monotonic()
        make()
        print(f"prepare: {number} of {len(steps)}, {name}, {time.monotonic() - began:.0f} s", flush=True)
    return 0
