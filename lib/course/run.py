"""`course run`: execute notebooks side by side, show a table as it goes, keep the executed copies."""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from lib import ROOT
from lib.errors import CourseError, UsageError
from lib.files import atomic_write
from lib.lectures import notebooks
from lib.lectures.execution import BUDGET_BYTES, BUDGET_SECONDS, Job, Execution, execute, open_executor

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """examples:
  course run                               all of them
  course run 04 06                         two of them, by number
  course run 04_mlm_masking -p steps 20    with a parameter changed
  course run --jobs 2 --timeout 300        two at a time, five minutes each at most
  course run --scheduler tcp://host:8786   on a Dask cluster (the workers need this repository)"""


def add_parser(subparsers) -> None:
    """`course run`."""
    parser = subparsers.add_parser(
        "run",
        help="execute notebooks, network blocked, into build/",
        description="Execute notebooks side by side, each in its own process and without network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="a number, a name or a file; default: all"
    )
    parser.add_argument(
        "-p", "--parameter", dest="parameters", nargs=2, metavar=("NAME", "VALUE"), action="append",
        default=[], help="set a parameter of the notebook; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build", help="folder of the executed copies (build)"
    )
    parser.add_argument("--strict", action="store_true", help="fail when a notebook is over its budget, too")
    add_execution_options(parser)
    parser.set_defaults(func=run)


def add_execution_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that executes notebooks."""
    parser.add_argument("--jobs", type=int, help="how many at a time (default: as cores and memory allow)")
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="seconds for one notebook (600)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="run on this Dask cluster, such as tcp://host:8786"
    )


def run(arguments: argparse.Namespace) -> int:
    """Execute what was asked for; 0 if all went well."""
    if arguments.timeout <= 0:
        raise UsageError(f"--timeout must be more than 0 seconds, got {arguments.timeout:g}")
    jobs, failed = _prepare(arguments)
    outcomes = []
    with open_executor(arguments.jobs, arguments.scheduler) as executor:
        for outcome in show_progress(jobs, executor, failed):
            _keep(outcome, arguments.out)
            outcomes.append(outcome)
    over = [outcome.name for outcome in outcomes if outcome.over_budget]
    if arguments.strict and over:
        print(f"over the budget of {BUDGET_SECONDS:g} s and {BUDGET_BYTES / 1e9:g} GB: {', '.join(over)}")
    return 1 if any(not outcome.ok for outcome in outcomes) or (arguments.strict and over) else 0


def _prepare(arguments: argparse.Namespace) -> tuple[list[Job], list[Execution]]:
    """The jobs, and the notebooks that cannot even be read: those fail by name, the others go on."""
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
    """Execute `jobs`; print the row of each as it comes (and the reason if it is bad), and yield it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(highlight=False, soft_wrap=True)
    width = max([len("notebook"), *(len(name) for name in [*(job.name for job in jobs), *(each.name for each in failed)])])
    console.print(f"{'notebook':{width}}  {'cells':>5}  {'seconds':>7}  {'memory':>7}  verdict", style="bold")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("executing", total=len(jobs))
        for outcome in failed:
            _print_outcome(console, outcome, width)
            yield outcome
        for future in as_completed([executor.submit(execute, job) for job in jobs]):
            outcome = future.result()
            bar.advance(task)
            _print_outcome(console, outcome, width)
            yield outcome


def _print_outcome(console: "Console", outcome: Execution, width: int) -> None:
    seconds = "–" if outcome.seconds is None else f"{outcome.seconds:.1f}"
    memory = "–" if outcome.peak_bytes is None else f"{outcome.peak_bytes / 1e6:.0f} MB"
    verdict = "ok, over budget" if outcome.ok and outcome.over_budget else outcome.verdict
    at_cell = f" in cell {outcome.cell}" if outcome.cell else ""
    style = "red" if not outcome.ok else "yellow" if outcome.over_budget else "green"
    row = f"{outcome.name:{width}}  {outcome.cells:5}  {seconds:>7}  {memory:>7}  "
    console.print(row, end="", markup=False)
    console.print(verdict + at_cell, style=style, markup=False)
    if outcome.traceback:
        console.print("\n".join(f"    {line}" for line in outcome.traceback.splitlines()), markup=False)


def _keep(outcome: Execution, folder: Path) -> None:
    """Lay the executed copy into `folder`, whole; where there is none, an older one must not pass for it."""
    import nbformat

    target = folder / f"{outcome.name}.ipynb"
    if outcome.notebook is None:
        target.unlink(missing_ok=True)
        return
    with atomic_write(target) as file:
        file.write(notebooks.text_of(nbformat.from_dict(outcome.notebook)))
