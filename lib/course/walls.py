"""`course walls`: what isolates answers on this machine, and what to type so that the rest holds."""

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course walls` to the command line."""
    parser = subparsers.add_parser(
        "walls",
        help="what isolates the answers that you grade on this machine",
        description="Show what holds on this machine while answers are graded, and what to type so that the rest does. "
        "The exit code is 1 if an answer could attack this machine.",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run `course walls` and return its exit code: 0 if what stops an attack holds, else 1."""
    from lib.grading import walls
    from lib.grading.walls.missing import missing

    lacks = missing(walls.probe())
    print("What holds while an answer is graded:\n")
    for wall, mechanism in walls.describe().items():
        print(f"  {wall:<10} {mechanism}")
    for each in lacks:
        print(f"\n{'✗' if each.needed else '–'} {each.wall} does not hold: {each.why}.\n    {each.command}")
    needed = [each.wall for each in lacks if each.needed]
    if needed:
        print(f"\nOnly accidents are stopped here, not attacks: {' and '.join(needed)} would stop them.")
    else:
        print(f"\n✓ What stops an attack is in place{', with fewer walls than there could be' if lacks else ''}.")
    return 1 if needed else 0
