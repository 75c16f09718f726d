"""Classes of synthetic students: notebooks of a release with right, wrong and missing answers.

A synthetic notebook contains plain source, as a person would write it. Its results are known in advance, and
`expected` returns them.
"""

import ast
import copy
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lib.bench.as_source import Writer
from lib.bench.definitions import bound_names
from lib.exercises import Misconception, get
from lib.grading.assignment.release import graded_notebooks
from lib.lectures.edition import BEGIN, END, is_check
from lib.lectures.notebooks import load

FAULTS = {
    "syntax error": "def {name}(:\n    return 0",
    "crash": "def {name}(*args, **kwargs):\n    import os\n    os.abort()",
    "loop": "def {name}(*args, **kwargs):\n    while True:\n        pass",
}
BROKEN_FILES = ("truncated", "not JSON", "empty")

_HABITS = (  # statements that people leave in their functions and that change nothing
    "print('here')",
    "started = True",
    "todo = ['ask about the edge cases']",
    "for _ in range(2):\n    pass",
    "assert True, 'cannot be'",
    "if False:\n    print('never')",
    "count = 0\ncount += 1",
    "import warnings\nwarnings.warn('careful')",
)


@dataclass(frozen=True)
class Filled:
    """A notebook's answer to one exercise: its definition, and the helpers in a cell before it."""

    source: str
    helpers: str = ""


class Lecture:
    """A notebook of a release, with all known answers to its exercises."""

    def __init__(self, path: Path, released: str | None = None) -> None:
        """`path` is the notebook with solutions; `released` is its text in a release (default: built from `path`)."""
        self.path = path
        self.solutions = load(path)
        text = graded_notebooks([path], None, {})[0].text(0) if released is None else released
        self.edition = json.loads(text)

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name

    @cached_property
    def answers(self) -> dict[str, str]:
        """The name of each exercise's answer in the notebook: the argument of its check."""
        found = {}
        for cell in filter(is_check, self.solutions.cells):
            call = ast.parse(cell.source).body[-1].value
            found[cell.metadata["course"]["exercise"]] = call.args[1].id
        return found

    @cached_property
    def _taken(self) -> dict[str, set[str]]:
        code = [cell.source for cell in self.solutions.cells if cell.cell_type == "code"]
        return bound_names("\n".join(code))

    @cached_property
    def _solved(self) -> dict[str, str]:
        """The cells of the solutions, without their markers."""
        return {
            cell.metadata["course"]["exercise"]: "\n".join(
                line for line in cell.source.split("\n") if line.strip() not in (BEGIN, END)
            )
            for cell in self.solutions.cells
            if cell.metadata.get("nbgrader", {}).get("solution") and "course" in cell.metadata
        }

    def kinds(self, id: str) -> list[str]:
        """All kinds of answers that `filled` has for an exercise, except faults."""
        exercise = get(id)
        accepted = [f"accepted {number}" for number in range(len(exercise.accepts))]
        return ["solution", "stub", *accepted, *(mistake.name for mistake in exercise.misconceptions)]

    def filled(self, id: str, kind: str) -> Filled | None:
        """The answer of a kind: "solution", "accepted 0", a misconception's name or a fault; None for "stub".

        Raises KeyError for a kind that the exercise does not have, and NotSource if it cannot be written as source.
        """
        name = self.answers[id]
        if kind == "stub":
            return None
        if kind == "solution":
            return Filled(self._solved[id])
        if kind in FAULTS:
            return Filled(FAULTS[kind].format(name=name))
        writer = Writer(self._taken, prefix=id.replace(".", "_"))  # helpers of several answers share a notebook
        source = writer.answer(self._known(id)[kind], name)
        return Filled(source, writer.preamble())

    @staticmethod
    def _known(id: str) -> dict[str, object]:
        exercise = get(id)
        accepted = {f"accepted {number}": answer for number, answer in enumerate(exercise.accepts)}
        return accepted | {mistake.name: mistake.answer for mistake in exercise.misconceptions}

    def notebook(self, answers: Mapping[str, Filled | None]) -> dict:
        """The released notebook with these answers; exercises without an answer keep their stub."""
        made = copy.deepcopy(self.edition)
        cells = []
        for cell in made["cells"]:
            marks, id = (
                cell["metadata"].get("nbgrader", {}),
                cell["metadata"].get("course", {}).get("exercise"),
            )
            if answer := answers.get(id) if marks.get("solution") else None:
                if answer.helpers.strip():
                    cells.append(_code_cell(f"helpers-{id.replace('.', '-')}", answer.helpers))
                cell["source"] = answer.source
            cells.append(cell)
        made["cells"] = cells
        return made

    def file(self, answers: Mapping[str, Filled | None]) -> bytes:
        """The notebook as the bytes of a file."""
        return json.dumps(self.notebook(answers), indent=1, ensure_ascii=False).encode()


def _code_cell(id: str, source: str) -> dict:
    return {
        "cell_type": "code",
        "id": id,
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


@dataclass(frozen=True)
class Student:
    """One student's submission: the kind of each answer, or how the whole file is broken."""

    name: str
    kinds: Mapping[str, str]
    style_seed: int = 0  # the seed of the habits in the answers
    own_way: bool = False  # each answer contains unusual statements that no other answer has
    broken: str = ""
    copied_from: str = ""

    def expected(self, id: str) -> tuple[str, str]:
        """The expected status of an exercise in this student's result, and the expected misconception."""
        if self.broken:
            return "unreadable", ""
        kind = self.kinds[id]
        if kind == "solution" or kind.startswith("accepted "):
            return "right", ""
        statuses = {"stub": "not written", "syntax error": "missing", "crash": "crashed", "loop": "time up"}
        return (statuses[kind], "") if kind in statuses else ("wrong", kind)


def make_class(lecture: Lecture, count: int, seed: int, *, loops: int = 0, copies: int = 4) -> list[Student]:
    """`count` students, the same for the same seed; `loops` of them have one endless answer.

    `copies` students have copied from another and renamed variables. Raises ValueError if `count` is too small for
    these.
    """
    if count < copies + loops + 2:
        raise ValueError(f"a class with {copies} copies and {loops} loops needs more than {count} students")
    draw = random.Random(seed)
    students = [_student(lecture, f"student{number:03d}", draw) for number in range(count - copies)]
    for student in draw.sample(range(len(students)), loops):
        looping = dict(students[student].kinds) | {draw.choice(list(lecture.answers)): "loop"}
        students[student] = replace(students[student], kinds=looping, broken="")
    honest = [s for s in students if not s.broken and not set(s.kinds.values()) & {"loop", "stub", *FAULTS}]
    source = replace(draw.choice(honest), own_way=True)
    students = [source if student.name == source.name else student for student in students]
    names = [f"student{count - copies + number:03d}" for number in range(copies)]
    return students + [replace(source, name=name, copied_from=source.name) for name in names]


def _student(lecture: Lecture, name: str, draw: random.Random) -> Student:
    """One student with a random ability, which is the probability of right answers."""
    ability = draw.random()
    kinds = {id: _kind(lecture, id, 0.3 + 0.65 * ability, draw) for id in lecture.answers}
    broken = draw.choice(BROKEN_FILES) if draw.random() < 0.02 else ""
    return Student(name, kinds, draw.getrandbits(32), broken=broken)


def _kind(lecture: Lecture, id: str, right: float, draw: random.Random) -> str:
    exercise = get(id)
    if draw.random() < right:
        accepted = [f"accepted {number}" for number in range(len(exercise.accepts))]
        return draw.choice(accepted) if accepted and draw.random() < 0.4 else "solution"
    fault = draw.random()
    if fault < 0.2:
        return "stub" if fault < 0.12 else "syntax error" if fault < 0.17 else "crash"
    mistakes: Sequence[Misconception] = exercise.misconceptions
    weights = [1 / (rank + 1) for rank in range(len(mistakes))]  # some mistakes are frequent
    return draw.choices(mistakes, weights)[0].name


def hand_in(lecture: Lecture, students: Sequence[Student], folder: Path) -> None:
    """Write `folder`/<student>/<notebook> for each student."""
    known: dict[tuple[str, str], Filled | None] = {}
    for student in students:
        path = folder / student.name / lecture.name
        path.parent.mkdir(parents=True, exist_ok=True)
        for id, kind in student.kinds.items():
            if (id, kind) not in known:
                known[id, kind] = lecture.filled(id, kind)
        answers = {id: _by_hand(student, known[id, kind], id) for id, kind in student.kinds.items()}
        path.write_bytes(_broken(lecture.file(answers), student.broken))


def _by_hand(student: Student, answer: Filled | None, id: str) -> Filled | None:
    """The answer in this student's style: with habits, and with renamed variables if it is copied."""
    try:
        tree = ast.parse(answer.source) if answer else None
    except SyntaxError:
        tree = None
    if tree is None or student.kinds[id] in FAULTS:
        return answer
    draw = random.Random(f"{student.style_seed} {id}")
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        habits = draw.sample(_HABITS, draw.choice((0, 1, 1, 2, 2, 3)))
        if student.own_way or draw.random() < 0.2:
            habits += [f"working = {_arithmetic(draw, 4)}" for _ in range(6)]
        function.body = [*_docstring(function), *ast.parse("\n".join(habits)).body, *_rest(function)]
        if student.copied_from:
            _rename_locals(function, student.name[-3:])
    return replace(answer, source=ast.unparse(tree))


def _arithmetic(draw: random.Random, depth: int) -> str:
    """A random arithmetic expression without effect."""
    if depth == 0:
        return str(draw.randrange(10))
    one, other = (_arithmetic(draw, depth - 1) for _ in range(2))
    shape = draw.choice(("({} + {})", "max({}, {})", "({} if {} else 1)", "[{}, {}][0]", "sum(i * {} for i in [{}])"))
    return shape.format(one, other)


def _docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[:1] if ast.get_docstring(function) is not None else []


def _rest(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[len(_docstring(function)) :]


def _rename_locals(function: ast.FunctionDef, suffix: str) -> None:
    """Rename every variable that the function assigns, but not its parameters, to hide a copy."""
    nested = [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef | ast.Lambda)][1:]
    own = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own -= {a.arg for f in [function, *nested] for a in ast.walk(f.args) if isinstance(a, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in own:
            node.id = f"{node.id}_{suffix}"


def _broken(content: bytes, how: str) -> bytes:
    return {"": content, "truncated": content[: len(content) // 2], "not JSON": b"PK\x03\x04", "empty": b""}[how]


def sheets(lecture: Lecture) -> Iterator[dict[str, str]]:
    """Kinds for whole notebooks that together contain every kind of every exercise at least once."""
    kinds = {id: lecture.kinds(id) for id in lecture.answers}
    for number in range(max(map(len, kinds.values()))):
        yield {id: names[number] for id, names in kinds.items() if number < len(names)}
