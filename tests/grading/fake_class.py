"""A gradebook without any grading: a class of made-up results, as they come from a grader."""

import random

from lib.exercises import get
from lib.grading.assignment.item import Item
from lib.grading.judging.entry import FORMAT
from lib.grading.results.gradebook import Gradebook
from lib.grading.worker.cells import find_answer, parse_cells

NOTEBOOKS = {
    "04_mlm_masking.ipynb": ("mlm.mask_tokens", "mlm.slot_probabilities", "mlm.loss"),
    "11_bradley_terry_reward.ipynb": (
        "reward.bradley_terry_loss",
        "ranking.difference",
        "ranking.best_accuracy",
    ),
}
NAMES = [
    "ada",
    "alan",
    "alonzo",
    "amalie",
    "andrei",
    "ariadne",
    "barbara",
    "bertrand",
    "blaise",
    "carl",
    "christiaan",
    "claude",
    "david",
    "dorothy",
    "edith",
    "edsger",
    "emmy",
    "enrico",
    "ernst",
    "euclid",
    "evariste",
    "felix",
    "ferdinand",
    "frances",
    "georg",
    "grace",
    "hedy",
    "henri",
    "hypatia",
    "isaac",
    "james",
    "jean",
    "john",
    "karen",
    "kathleen",
    "konrad",
    "kurt",
    "leonhard",
    "lise",
    "ludwig",
    "marie",
    "mary",
    "max",
    "maria",
    "niels",
    "noam",
    "olga",
    "paul",
    "pierre",
    "radia",
    "rosalind",
    "sofia",
    "srinivasa",
    "stephen",
    "sophie",
    "tim",
    "ursula",
    "vera",
    "wolfgang",
    "zu",
]
SOURCES = {
    "mlm.loss": (
        "def mlm_loss(logits, labels):\n"
        "    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)",
        "def mlm_loss(logits, labels):\n"
        "    mask = labels != -100\n    return F.cross_entropy(logits[mask], labels[mask])",
    ),
    "mlm.slot_probabilities": ("def slot_probabilities(E, H, t):\n    return (E @ H[t]).softmax(-1)",),
}
COPIED = """def mlm_loss(logits, labels):
    # go through all the places one by one
    total, count = 0.0, 0
    for row in range(labels.shape[0]):
        for place in range(labels.shape[1]):
            if labels[row, place].item() == -100:
                continue
            scores = logits[row, place] - logits[row, place].max()
            log_z = torch.log(torch.exp(scores).sum())
            total = total + (log_z - scores[labels[row, place]])
            count = count + 1
    return total / count if count else logits.sum() * 0"""


def shape_of(source):
    """The shape of the one definition in a source, as the reader of submissions makes it."""
    name = source.split("(")[0].split()[-1]
    cell = {
        "number": 1,
        "source": f"import torch\nfrom torch.nn import functional as F\n{source}",
        "exercise": "",
    }
    return find_answer(parse_cells([cell]), "", name).shape


def entry(id, status="right", answer="", **known):
    """An exercise's entry in a result."""
    empty = {
        "cell": 7,
        "reason": "",
        "misconception": "",
        "hint": "",
        "passed": 0,
        "cases": 5,
        "failed": None,
    }
    about = {"answer": answer, "shape": shape_of(answer) if answer.startswith("def") else []}
    return {"id": id, "status": status, **empty, **about, **known}


def result(student, notebook, *entries, problem="", notes=()):
    """The result of one file."""
    return {
        "format": FORMAT, "student": student, "notebook": notebook, "file": f"{student}/{notebook}",
        "sha256": "5e" * 32,
        "problem": problem, "notes": list(notes), "exercises": list(entries),
    }  # fmt: skip


def book_of(*results, students=(), items=None, manual=None):
    """A gradebook of these results; the items are those of `NOTEBOOKS` that occur, unless given."""
    by_key = {(r["student"], r["notebook"]): r for r in results}
    everyone = tuple(sorted({*students, *(r["student"] for r in results)}))
    names = dict.fromkeys(r["notebook"] for r in results) or ["04_mlm_masking.ipynb"]
    return Gradebook(items or tuple(item for name in names for item in items_of(name)), everyone, by_key, manual or {})


def items_of(notebook):
    """The items of one of the `NOTEBOOKS`."""
    exercises = [get(id) for id in NOTEBOOKS[notebook]]
    return tuple(Item(notebook, e.id, e.title, e.slides, e.points, False) for e in exercises)


def wrong(id, mistake, number=0):
    """The entry of an answer that makes a known mistake; with None, one that nobody knows."""
    about = {"misconception": mistake.name, "hint": mistake.hint} if mistake else {}
    failed = {
        "number": 4, "what": "padding at the end", "inputs": [
            "logits = tensor float32 (2, 3, 5) [[[ 0.3367 0.1288 0.2345 0.2303 -1.1229] ... "
            "[ 1.1103 -1.6898 -0.989 0.9580 1.3221]]]",
            "labels = tensor int64 (2, 3) [[ 3 -100 1] [-100 2 -100]]",
        ],
        "expected": "tensor float32 () 1.8414", "got": "tensor float32 () 0.9207",
        "printed": "loss so far 0.31\nloss so far 0.92" if number % 3 == 0 else "",
    }  # fmt: skip
    answer = SOURCES.get(id, ("",))[0]
    reason = "result: 0.9207 in the place of 1.8414, as if every place counted"
    return entry(id, "wrong", answer, reason=reason, passed=3, failed=failed, **about)


def fake_class(size=60, seed=0):
    """A class as one meets it: most of most is right, a few mistakes are frequent, a few files are broken."""
    draw = random.Random(seed)
    students = [NAMES[i % len(NAMES)] + ("" if i < len(NAMES) else str(i // len(NAMES))) for i in range(size)]
    results = []
    for number, student in enumerate(students):
        ability = draw.gauss(0.6, 0.25)
        for notebook, ids in NOTEBOOKS.items():
            if number % 23 == 7:
                continue
            if number % 29 == 3:
                results.append(result(student, notebook, problem="this is not JSON (line 1, column 1)"))
                continue
            entries = [_drawn(draw, id, ability, number) for id in ids]
            notes = ["cell 7 was left out: SyntaxError: invalid syntax (line 3)"] if number % 11 == 5 else []
            results.append(result(student, notebook, *entries, notes=notes))
    return book_of(*results, students=students)


def _drawn(draw, id, ability, number):
    if id == "mlm.loss" and number in (12, 31, 44):
        renamed = COPIED.replace("total", "s").replace("# go", "# we go") if number == 44 else COPIED
        return entry(id, "right", renamed, passed=5)
    if draw.random() < ability + (0.25 if id.startswith("mlm") else -0.05):
        return entry(id, "right", draw.choice(SOURCES.get(id, ("",))), passed=5)
    fault = draw.random()
    if fault < 0.16:
        status = draw.choice(["not written", "missing", "time up", "crashed"])
        reason = {
            "missing": f"nothing in the file defines {id.split('.')[1]}",
            "not written": "the stub is still there",
        }
        return entry(id, status, reason=reason.get(status, "it did not finish in time"))
    known = get(id).misconceptions
    mistake = None if fault < 0.3 else known[min(int(draw.expovariate(0.8)), len(known) - 1)]
    return wrong(id, mistake, number)
