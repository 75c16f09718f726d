"""`course prepare`: make once what is slow to make, so that no notebook waits for it."""

import argparse

STEPS = ("Wikipedia articles", "Python documentation", "SmolLM2 weights")


def add_parser(subparsers) -> None:
    """`course prepare`."""
    parser = subparsers.add_parser(
        "prepare",
        help="make the caches: text, and the weights of the packaged model",
        description="Read the corpora and convert the packaged model once (about a minute); later calls take seconds.",
    )
    parser.set_defaults(func=prepare)


def prepare(arguments: argparse.Namespace) -> int:
    """Make every cache that is not there yet."""
    from lib.models.packaged import load_smollm2
    from lib.progress import progress
    from lib.text import load_corpus

    makers = (lambda: load_corpus("wikipedia"), lambda: load_corpus("python_docs"), load_smollm2)
    with progress(description="preparing", total=len(STEPS)) as bar:
        for name, make in zip(STEPS, makers, strict=True):
            bar.set_description(f"preparing {name}")
            make()
            bar.update()
    return 0
