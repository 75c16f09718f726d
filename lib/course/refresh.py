"""`course refresh`: execute notebooks again and store their outputs. A second run changes nothing."""

import argparse

from lib.course.run import add_execution_options, job_for, show_progress
from lib.lectures import notebooks
from lib.lectures.execution import open_executor
from lib.lectures.stored_outputs import report_changes, store, with_outputs


def add_parser(subparsers) -> None:
    """Add `course refresh` to the command line."""
    parser = subparsers.add_parser(
        "refresh",
        help="execute notebooks again and store their outputs",
        description="Execute notebooks with their default parameters and store the outputs in place. Source, "
        "cell ids and cell metadata are not changed; a notebook that fails is not changed at all.",
        epilog="examples:\n  course refresh 04\n  course refresh --check   show what would change",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="a number, a name or a file; default: all")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail if a stored output other than a picture would change",
    )
    add_execution_options(parser)
    parser.set_defaults(func=refresh)


def refresh(arguments: argparse.Namespace) -> int:
    """Refresh the chosen notebooks; return 1 if one failed, or with --check if one would change."""
    paths = {path.stem: path for path in notebooks.select(arguments.notebooks)}
    stored = {name: notebooks.load(path) for name, path in paths.items()}
    jobs = [job_for(path, stored[name], arguments.timeout) for name, path in paths.items()]
    good = True
    with open_executor(arguments.jobs, arguments.scheduler) as executor:
        for execution in show_progress(jobs, executor):
            if not execution.ok or execution.notebook is None:
                good = False
            elif arguments.check:
                good &= report_changes(execution.name, stored[execution.name], execution.notebook)
            else:
                store(paths[execution.name], with_outputs(stored[execution.name], execution.notebook))
    return 0 if good else 1
