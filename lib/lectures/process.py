"""Executes one notebook in its own process, without network; `lib.lectures.execution` starts it.

    python -m lib.lectures.process FOLDER

FOLDER contains `job.json` and `source.ipynb`. The process writes `cell` (the current cell), `partial.ipynb` (the
outputs so far) and, at the end, `result.json` there. The parent keeps our standard input open: when it ends, the
parent has ended or wants us to stop, and the kernel must stop as well.
"""

import json
import os
import resource
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

STOP = b"s"  # sent by a parent that wants us to stop and will clean up itself

_leaving = threading.Lock()


def main(folder: Path) -> None:
    """Execute the notebook of `folder`/job.json and write result.json there."""
    from lib.lectures.network import block_network

    block_network()  # before any thread starts
    threading.Thread(target=_leave_with_the_parent, args=(folder,), daemon=True).start()
    try:
        job = json.loads((folder / "job.json").read_text())
        began = time.perf_counter()
        notebook, failure = execute_here(job, folder)
        result = {
            "notebook": notebook,
            "failure": failure,
            "seconds": time.perf_counter() - began,
            "peak_bytes": _peak_of_children(),
        }
        (folder / "result.json").write_text(json.dumps(result))
    finally:
        _leaving.acquire()  # do not end before a thread that is cleaning up


def execute_here(job: dict, folder: Path) -> tuple[dict, dict | None]:
    """The executed notebook, and where and why it failed (None if it did not).

    papermill's own `execute_notebook` would report an error in a cell tagged `raises-exception` as a failure, and
    every cell of a kernel that died as `completed`. So we use its parts and decide ourselves.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import papermill_engines
    from papermill.execute import prepare_notebook_metadata
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    from lib.lectures import notebooks  # noqa: F401 (first, for it makes loading nbformat quick)

    notebook = load_notebook_node(str(folder / "source.ipynb"))
    if job["parameters"]:
        notebook = parameterize_notebook(notebook, job["parameters"])
    notebook = prepare_notebook_metadata(notebook, job["name"], job["name"])
    papermill_engines.register("course", _reporting_engine(folder))
    os.chdir(job["cwd"])
    try:
        notebook = papermill_engines.execute_notebook_with_engine(
            "course",
            notebook,
            "python3",
            output_path=str(folder / "partial.ipynb"),
            progress_bar=False,
            record_timing=False,  # times in the metadata would make every run different
        )
    except DeadKernelError:
        return notebook, {"kind": "kernel died", "cell": _current_cell(folder), "traceback": ""}
    return notebook, _first_error(notebook)


def _reporting_engine(folder: Path) -> type:
    """papermill's engine, which also records the current cell, since a kernel that dies cannot report it."""
    from papermill.engines import NBClientEngine

    class ReportingEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **options):
            papermills_own = nb_man.cell_start

            def cell_start(cell, cell_index=None, **more):
                (folder / "cell").write_text(cell.id)
                papermills_own(cell, cell_index, **more)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    return ReportingEngine


def _first_error(notebook: Any) -> dict | None:
    """The first error that is not deliberate, or a cell that was never reached."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        deliberate = "raises-exception" in cell.metadata.get("tags", [])
        for output in cell.outputs:
            if output.output_type == "error" and not deliberate:
                return {"kind": output.ename, "cell": cell.id, "traceback": "\n".join(output.traceback)}
        if cell.execution_count is None and cell.source.strip():
            return {"kind": "not executed", "cell": cell.id, "traceback": ""}
    return None


def _current_cell(folder: Path) -> str:
    return (folder / "cell").read_text() if (folder / "cell").exists() else ""


def _peak_of_children() -> int:
    """Peak resident bytes of the largest child that has ended, which is the kernel."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _leave_with_the_parent(folder: Path) -> None:
    """Wait for the end of standard input, then end the kernel (and what it started) and this process.

    A living parent sends STOP before it closes our input, and still reads the partial result. A parent that was
    killed sends nothing and cannot clean up.
    """
    asked = os.read(0, 1)  # not through sys.stdin, whose lock would block the exit of Python
    with _leaving:
        import psutil

        for child in psutil.Process().children(recursive=True):
            child.kill()
        for _ in range(100):  # the execution may still be writing there after losing its kernel
            if asked or not folder.exists():
                break
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.01)
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
