"""Submissions that are hostile, broken or unlucky, and the row that each must get.

All are lecture 06 as a student would hand it in. The answers stand as text in `answers/`; here are the
notebooks and files that they are put into, and those that are odd themselves.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lib import NOTEBOOKS
from lib.grading.assignment.release import graded_notebooks
from lib.lectures.notebooks import load

NAME = "06_autoregressive_objective.ipynb"
TERMS, PROBABILITY = "chain.terms", "chain.sequence_probability"
LOSS, PERPLEXITY, LAST = "autoregressive.loss", "autoregressive.perplexity", "autoregressive.last_token"
IDS = (TERMS, PROBABILITY, LOSS, PERPLEXITY, LAST)
RIGHT_TERMS = 'def my_chain_terms(words):\n    return [(["[BOS]", *words[:t]], word) for t, word in enumerate(words)]'
ANSWERS = Path(__file__).parent / "answers"


@dataclass(frozen=True)
class Entry:
    """One submission: who hands in which bytes, and the statuses (with "|" between them) of its exercises."""

    student: str
    content: bytes = field(repr=False)
    expected: dict[str, str] = field(default_factory=dict)  # exercises that are not right
    reason: str = ""  # a regular expression in the reason of each of these
    file: str = NAME  # in the student's folder
    problem: str = ""  # a regular expression: the file cannot be read

    def status(self, exercise: str) -> str:
        """The statuses that `exercise` may have."""
        return "unreadable" if self.problem else self.expected.get(exercise, "right")


@cache
def _released() -> str:
    return graded_notebooks([NOTEBOOKS / NAME], None, {})[0].text(0)


@cache
def _solutions() -> dict[str, str]:
    cells = [c for c in load(NOTEBOOKS / NAME).cells if c.metadata.get("nbgrader", {}).get("solution")]
    lines = {c.metadata.course["exercise"]: c.source.split("\n") for c in cells}
    return {id: "\n".join(line for line in text if "SOLUTION" not in line) for id, text in lines.items()}


def stub() -> dict[str, Any]:
    """The student edition as it was released, as plain JSON; the lines of a cell in one string."""
    notebook = json.loads(_released())
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def solved(**answers: str) -> dict[str, Any]:
    """The student edition with right answers; `answers` gives others for (parts of) the ids named."""
    notebook = stub()
    for id in IDS:
        given = [source for key, source in answers.items() if id.endswith(key)]
        answer_cell(notebook, id)["source"] = given[0] if given else _solutions()[id]
    return notebook


def answer_cell(notebook: dict[str, Any], id: str) -> dict[str, Any]:
    """The cell in which the exercise `id` is to be answered."""
    return next(c for c in notebook["cells"] if _id(c) == id and c["metadata"]["nbgrader"]["solution"])


def check_cell(notebook: dict[str, Any], id: str) -> dict[str, Any]:
    """The cell that checks the exercise `id`."""
    return next(c for c in notebook["cells"] if _id(c) == id and c["metadata"]["nbgrader"]["grade"])


def _id(cell: dict[str, Any]) -> str:
    return cell["metadata"].get("course", {}).get("exercise", "")


def code_cell(source: str) -> dict[str, Any]:
    """A new code cell without marks."""
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def written(notebook: Any) -> bytes:
    """The bytes of a notebook's file."""
    return (json.dumps(notebook, indent=1) + "\n").encode()


def answers(outside: Path, port: int) -> list[Entry]:
    """The entries of `answers/`: one exercise each is answered badly, the others rightly.

    `outside` is a folder that no answer may read or write, `port` one that none may reach.
    """
    gaps = {"@OUTSIDE@": str(outside), "@HOME@": str(Path.home()), "@PORT@": str(port)}
    gaps["@PUBLIC@"] = repr(_public_probabilities())
    found = []
    for path in sorted(ANSWERS.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        for gap, filled in gaps.items():
            text = text.replace(gap, filled)
        for block in text.split("\n#### ")[1:]:
            head, source = block.split("\n", 1)
            student, id, statuses, reason = (part.strip() for part in f"{head} ".split("::"))
            notebook = solved()
            answer_cell(notebook, id)["source"] = source.strip("\n")
            found.append(Entry(student, written(notebook), {id: statuses}, reason))
    return found


def _public_probabilities() -> dict[tuple[int, ...], float]:
    """What chain.sequence_probability gives on the notebook's own cases: anybody can learn it by heart."""
    from lib.exercises import get
    from lib.exercises.engine.checking import AnswerKey

    key = AnswerKey(get(PROBABILITY), 0)
    return {tuple(case.args[1]): outcome.value for case, outcome in zip(key.cases, key.expected)}
