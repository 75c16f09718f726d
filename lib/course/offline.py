"""`course offline`: run a command without network."""

import argparse
import os

from lib.errors import UsageError
from lib.lectures.network import block_network


def add_parser(subparsers) -> None:
    """`course offline`: any command without network."""
    parser = subparsers.add_parser(
        "offline",
        help="run any command with the network blocked",
        description="Run a command with the network blocked: only this machine's loopback answers.",
        epilog="example:\n  course offline -- pytest tests",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("argv", nargs="+", metavar="CMD", help="the command and its arguments, after --")
    parser.set_defaults(func=run_offline)


def run_offline(arguments: argparse.Namespace) -> int:
    """Become the command, without network; does not return unless the command cannot be started."""
    block_network()
    try:
        os.execvp(arguments.argv[0], arguments.argv)
    except OSError as error:
        raise UsageError(f"cannot run {arguments.argv[0]!r}: {error.strerror}") from None
