"""`course prepare`: fill the caches that take long to make, so that no notebook waits for them."""

import argparse
import time


def add_parser(subparsers) -> None:
    """Add `course prepare` to the command line."""
    parser = subparsers.add_parser(
        "prepare",
        help="fill the caches: texts, and the weights of the packaged model",
        description="Read the corpora and convert the packaged model, once; later calls take seconds.",
    )
    parser.set_defaults(func=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Make every missing cache, and print one line for each."""
    from lib.models.packaged import load_smollm2
    from lib.text import load_corpus

    steps = {
        "Wikipedia articles": lambda: load_corpus("wikipedia"),
        "Python documentation": lambda: load_corpus("python_docs"),
        "weights of SmolLM2": load_smollm2,
    }
    for number, (name, make) in enumerate(steps.items(), start=1):
        began = time.monotonic()
        make()
        print(f"prepare: {number} of {len(steps)}, {name}, {time.monotonic() - began:.0f} s", flush=True)
    return 0
