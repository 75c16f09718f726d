"""The work of a server's child on one exercise: isolate itself, run the cells, call the answer.

The first message says where the answer is, before any code of the student runs. From then on the student's code
controls the process, and the parent does not trust its messages. It gets one case at a time, each after the outcome of
the one before, so what an answer prints or returns can tell only of the cases up to its own.
"""

import os
from pathlib import Path
from typing import Any

from lib.exercises.engine.running import run_answer
from lib.grading import walls
from lib.grading.worker import cells, execution, protocol, withheld

_encode, _send = protocol.encode, protocol.send


def answer(request: dict[str, Any], folder: Path, readable: list[Path], pipe: int, cases: int) -> None:
    """Carry out one request: write messages to `pipe`, read cases from `cases`; the process ends here."""
    limits = walls.Limits(**request["limits"])

    def tell(what: dict[str, Any], asks: bool = False) -> None:
        _send(pipe, _encode(what, limits.output_bytes, asks=asks))

    try:
        walls.enclose(folder, limits, readable)
        withheld.withhold(request["withheld"])
        withheld.seal_exercises()
    except Exception as error:  # our error, not the student's: nothing may run
        tell({"broken": f"{type(error).__name__}: {error}"})
        os._exit(1)
    reading = cells.parse_cells(request["cells"])
    found = cells.find_answer(reading, request["id"], request["name"])
    tell({"problems": reading.problems, "answer": found and vars(found)})
    if found is None or not found.written:
        os._exit(0)
    _run(request, reading, found, tell, cases)
    os._exit(0)


def _run(request: dict[str, Any], reading: Any, found: Any, tell: Any, cases: int) -> None:
    """Execute what the answer needs, then call it on each case."""
    value, name = request["value"], request["name"]
    namespace: dict[str, Any] = {}
    state = execution.run_cells(
        reading,
        namespace,
        answer=found,
        before=lambda cell: tell({"cell": cell}),
        skip=request["skip"],
        seconds=request["seconds"],
    )
    tell({**state, "defined": name in namespace}, asks=True)
    if name not in namespace:
        return
    given = namespace[name]
    for _ in request["sizes"]:
        case = protocol.case_from_plain(protocol.decode(protocol.receive(cases, protocol.MAX_REQUEST), inputs=True))
        function = (lambda: given) if value else given
        outcome = run_answer(function, case, seconds=request["seconds"])
        tell({"outcome": protocol.outcome_to_plain(outcome)}, asks=True)
        if outcome.status in ("time up", "not written"):
            return
