"""`course run`: execute notebooks in parallel, print a table of results, keep the executed copies."""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from lib import ROOT
from lib.errors import CourseError, UsageError
from lib.files import atomic_write, check_writable
from lib.lectures import notebooks
from lib.lectures.companions import carry, missing
from lib.lectures.execution import BUDGET_BYTES, BUDGET_SECONDS, Execution, Job, execute, open_executor

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """examples:
  course run                               all of them
  course run 04 06                         two of them, by number
  course run 04_mlm_masking -p steps 20    with a parameter changed
  course run --jobs 2 --timeout 300        two at a time, five minutes each at most
  course run --scheduler tcp://host:8786   on a Dask cluster (the workers need this repository)"""


def add_parser(subparsers) -> None:
    """Add `course run` to the command line."""
    parser = subparsers.add_parser(
        "run",
        help="execute notebooks, network blocked, into build/",
        description="Execute notebooks in parallel, each in its own process and without network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="a number, a name or a file; default: all")
    parser.add_argument(
        "-p", "--parameter", dest="parameters", nargs=2, metavar=("NAME", "VALUE"), action="append",
        default=[], help="set a parameter of the notebook, as a value of its default's type; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for the executed copies (build)")
    parser.add_argument("--strict", action="store_true", help="also fail if a notebook is over its budget")
    add_execution_options(parser)
    parser.set_defaults(func=run)


def add_execution_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands share which execute notebooks."""
    parser.add_argument("--jobs", type=int, help="how many at a time (default: as cores and memory allow)")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="seconds for one notebook (600)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on this Dask cluster, such as tcp://host:8786")


def run(arguments: argparse.Namespace) -> int:
    """Execute the chosen notebooks; return 0 if all succeeded."""
    if arguments.timeout <= 0:
        raise UsageError(f"--timeout must be more than 0 seconds, got {arguments.timeout:g}")
    jobs, failed = _prepare(arguments)
    check_writable(arguments.out)
    executions, folders = [], {job.name: Path(job.cwd) for job in jobs}
    with open_executor(arguments.jobs, arguments.scheduler) as executor:
        for execution in show_progress(jobs, executor, failed):
            _keep(execution, arguments.out, folders.get(execution.name))
            executions.append(execution)
    over = [execution.name for execution in executions if execution.over_budget]
    if arguments.strict and over:
        print(f"over the budget of {BUDGET_SECONDS:g} s and {BUDGET_BYTES / 1e9:g} GB: {', '.join(over)}")
    return 1 if any(not execution.ok for execution in executions) or (arguments.strict and over) else 0


def _prepare(arguments: argparse.Namespace) -> tuple[list[Job], list[Execution]]:
    """The jobs, and results for notebooks that cannot be read: these fail, the others continue."""
    jobs, unreadable = [], []
    for path in notebooks.select(arguments.notebooks):
        try:
            notebook = notebooks.load(path)
        except CourseError as error:
            unreadable.append(Execution(path.stem, "unreadable", 0, traceback=str(error)))
            continue
        parameters = notebooks.given_parameters(arguments.parameters, notebook, path.stem)
        jobs.append(job_for(path, notebook, arguments.timeout, parameters))
    return jobs, unreadable


def job_for(path: Path, notebook: dict, timeout: float, parameters: dict | None = None) -> Job:
    """The job that executes the notebook of `path`, as plain data; the kernel starts in its folder."""
    return Job(path.stem, json.loads(json.dumps(notebook)), str(path.parent), parameters or {}, timeout)


def show_progress(jobs: list[Job], executor: Executor, failed: Sequence[Execution] = ()) -> Iterator[Execution]:
    """Execute `jobs`; print the row of each when it finishes (with the reason if it failed), and yield it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(highlight=False, soft_wrap=True)
    width = max(
        [len("notebook"), *(len(name) for name in [*(job.name for job in jobs), *(each.name for each in failed)])]
    )
    console.print(f"{'notebook':{width}}  {'cells':>5}  {'seconds':>7}  {'memory':>7}  verdict", style="bold")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("executing", total=len(jobs))
        for execution in failed:
            _print_execution(console, execution, width)
            yield execution
        for future in as_completed([executor.submit(execute, job) for job in jobs]):
            execution = future.result()
            bar.advance(task)
            _print_execution(console, execution, width)
            yield execution


def _print_execution(console: "Console", execution: Execution, width: int) -> None:
    seconds = "–" if execution.seconds is None else f"{execution.seconds:.1f}"
    memory = "–" if execution.peak_bytes is None else f"{execution.peak_bytes / 1e6:.0f} MB"
    verdict = "ok, over budget" if execution.ok and execution.over_budget else execution.verdict
    at_cell = f" in cell {execution.cell}" if execution.cell else ""
    style = "red" if not execution.ok else "yellow" if execution.over_budget else "green"
    row = f"{execution.name:{width}}  {execution.cells:5}  {seconds:>7}  {memory:>7}  "
    console.print(row, end="", markup=False)
    console.print(verdict + at_cell, style=style, markup=False)
    if execution.traceback:
        console.print("\n".join(f"    {line}" for line in execution.traceback.splitlines()), markup=False)


def _keep(execution: Execution, folder: Path, source: Path | None) -> None:
    """Write the executed copy into `folder` atomically, and what it shows from the folder `source` beside it. If there
    is no copy, remove an older one."""
    import nbformat

    target = folder / f"{execution.name}.ipynb"
    if execution.notebook is None:
        target.unlink(missing_ok=True)
        return
    executed = nbformat.from_dict(execution.notebook)
    with atomic_write(target) as file:
        file.write(notebooks.text_of(executed))
    if source and (absent := carry(source / target.name, executed, folder)):
        print(missing(target.name, absent))
