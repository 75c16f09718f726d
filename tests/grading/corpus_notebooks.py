"""The part of the corpus that is odd as a notebook or as a file: cells moved, bytes that are none."""

import copy
import json
import os
from pathlib import Path
from typing import Any

from tests.grading.corpus import (
    IDS,
    LAST,
    LOSS,
    NAME,
    PERPLEXITY,
    RIGHT_TERMS,
    TERMS,
    Entry,
    answer_cell,
    check_cell,
    code_cell,
    solved,
    stub,
    written,
)

NOISY = '''import sys, time, warnings
from tqdm.auto import tqdm
def my_chain_terms(words):
    """With warnings, prints and a progress bar."""
    warnings.warn("this is deprecated")
    print("words:", words)
    print("to stderr", file=sys.stderr)
    terms = []
    for t, word in enumerate(tqdm(words, desc="terms")):
        terms.append((["[BOS]", *words[:t]], word))
    return terms'''

NO_START = """def my_chain_terms(words):
    return [(list(words[:t]), word) for t, word in enumerate(words)]"""

WITH_HELPER = """def my_chain_terms(words):
    return [(context_of(words, t), word) for t, word in enumerate(words)]"""

HELPER = """START = "[BOS]"
def context_of(words, t):
    return [START, *words[:t]]"""

USES_START = """def my_chain_terms(words):
    return [([*START, *words[:t]], word) for t, word in enumerate(words)]"""

FILLED = """START = []
for word in ["[BOS]", "and more"]:
    START.append(word)
del START[1]"""

MAGICS = """%matplotlib inline
!rm -rf ./everything
files = !ls
import math
print(files)"""

LONG = "def my_chain_terms(words):\n" + "    unused = [1, 2]\n" * 20_000 + RIGHT_TERMS.split("\n", 1)[1]

AS_LAMBDA = "my_chain_terms = lambda words: [(['[BOS]', *words[:t]], w) for t, w in enumerate(words)]"

NO_ANSWER = "missing|not written"


def notebooks() -> list[Entry]:
    """Whole notebooks that a person, or an editor, has rearranged."""
    return [*_ordinary(), *_checks(), *_moved(), *_other_cells(), *_hidden()]


def _hidden() -> list[Entry]:
    """Answers that are there, but where nobody finds them: what is said of them is part of the row."""
    as_text, another = solved(), solved()
    answer_cell(as_text, TERMS)["cell_type"] = "markdown"
    conflict = f"<<<<<<< HEAD\n{RIGHT_TERMS}\n=======\n{RIGHT_TERMS}\n>>>>>>> theirs"
    for cell in another["cells"]:
        if "exercise" in cell["metadata"].get("course", {}):
            cell["metadata"]["course"]["exercise"] = "mlm.loss"
            cell["source"] = ""
    return [
        Entry("code_as_markdown", written(as_text), {TERMS: "missing"}, "the answer is in a markdown cell"),
        Entry("conflict_markers", written(solved(terms=conflict)), {TERMS: "missing"}, "conflict markers of a merge"),
        Entry("unknown_magic", written(solved(terms=f"%%ai gpt\n{RIGHT_TERMS}")), {TERMS: "missing"}, "magic %%ai"),
        Entry(
            "another_lecture",
            written(another),
            dict.fromkeys(IDS, "missing"),
            "this is another lecture: .*04_mlm_masking",
        ),
    ]


def _ordinary() -> list[Entry]:
    nothing = dict.fromkeys(IDS, NO_ANSWER)
    one_stub = solved(loss=answer_cell(stub(), LOSS)["source"])
    return [
        Entry("right", written(solved())),
        Entry("right_with_noise", written(solved(terms=NOISY))),
        Entry("wrong", written(solved(terms=NO_START)), {TERMS: "wrong"}),
        Entry("no_cells", written(stub() | {"cells": []}), dict.fromkeys(IDS, "missing")),
        Entry("all_stubs", written(stub()), dict.fromkeys(IDS, "not written")),
        Entry("one_stub", written(one_stub), {LOSS: "not written"}),
        Entry("ellipsis", written(solved(terms="my_chain_terms = ...")), {TERMS: "not written"}),
        Entry("emptied_cell", written(solved(terms="")), {TERMS: NO_ANSWER}),
        Entry("only_words", written(_all_markdown()), nothing),
        Entry(
            "as_lambda",
            written(solved(terms=AS_LAMBDA)),
        ),
    ]


def _all_markdown() -> dict[str, Any]:
    notebook = solved()
    for cell in notebook["cells"]:
        cell["cell_type"] = "markdown"
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
    return notebook


def _checks() -> list[Entry]:
    gone, edited, cheated, doubled = solved(), solved(), solved(terms=NO_START), solved()
    gone["cells"].remove(check_cell(gone, TERMS))
    check_cell(edited, TERMS)["source"] = "print('all is well')\nraise SystemExit"
    check_cell(cheated, TERMS)["source"] = (
        "check = lambda *anything: 2\ndef my_chain_terms(words):\n    return []\ncheck('chain.terms', my_chain_terms)"
    )
    doubled["cells"].insert(3, copy.deepcopy(check_cell(doubled, TERMS)))
    doubled["cells"].append(copy.deepcopy(check_cell(doubled, TERMS)))
    swapped, checks_swapped = solved(), solved()
    _swap_ids(answer_cell(swapped, TERMS), answer_cell(swapped, PERPLEXITY))
    _swap_ids(check_cell(checks_swapped, TERMS), check_cell(checks_swapped, LAST))
    no_marks = solved()
    for cell in no_marks["cells"]:
        cell["metadata"] = {}
    no_metadata = solved()
    no_metadata.pop("metadata")
    for cell in no_metadata["cells"]:
        cell.pop("metadata")
        cell.pop("id")
    return [
        Entry("check_deleted", written(gone)),
        Entry("check_edited", written(edited)),
        Entry("check_that_always_passes", written(cheated), {TERMS: "wrong"}),
        Entry("check_doubled", written(doubled)),
        Entry("ids_swapped", written(swapped)),
        Entry("ids_of_checks_swapped", written(checks_swapped)),
        Entry("no_marks", written(no_marks)),
        Entry("no_metadata", written(no_metadata)),
    ]


def _swap_ids(one: dict[str, Any], other: dict[str, Any]) -> None:
    one["metadata"], other["metadata"] = other["metadata"], one["metadata"]


def _moved() -> list[Entry]:
    backwards, elsewhere, doubled, copied = solved(), solved(terms=""), solved(), stub()
    backwards["cells"].reverse()
    elsewhere["cells"].append(code_cell(RIGHT_TERMS))
    doubled["cells"].insert(3, copy.deepcopy(answer_cell(doubled, TERMS)))
    for id in IDS:  # the stub stays above, and the answer stands in a copy of its cell
        place = copied["cells"].index(answer_cell(copied, id))
        copied["cells"].insert(place + 1, copy.deepcopy(answer_cell(solved(), id)))
    with_helper, helper_below = solved(terms=WITH_HELPER), solved(terms=WITH_HELPER)
    with_helper["cells"].insert(3, code_cell(HELPER))
    helper_below["cells"].append(code_cell(HELPER))
    in_check = solved(terms="# see below")
    check = check_cell(in_check, TERMS)
    check["source"] = RIGHT_TERMS + "\n\n" + check["source"]
    return [
        Entry("cells_backwards", written(backwards)),
        Entry("answer_in_another_cell", written(elsewhere)),
        Entry("answer_doubled", written(doubled)),
        Entry("stub_kept_above_the_answer", written(copied)),
        Entry("answer_in_the_check_cell", written(in_check)),
        Entry("helper_in_another_cell", written(with_helper)),
        Entry("helper_below", written(helper_below)),
        Entry("rebound_below", written(_with_cells(WITH_HELPER, HELPER, 'START = "<s>"\ncontext_of = None'))),
        Entry("filled_by_append", written(_with_cells(USES_START, 'START = []\nSTART.append("[BOS]")'))),
        Entry("filled_by_a_loop", written(_with_cells(USES_START, FILLED, "START.clear()"))),
        Entry("helper_missing", written(solved(terms=WITH_HELPER)), {TERMS: "wrong"}, "NameError.*context_of"),
    ]


def _with_cells(terms: str, above: str, below: str = "") -> dict[str, Any]:
    """The notebook with this answer to chain.terms, and a cell above it and one at the end."""
    notebook = solved(terms=terms)
    notebook["cells"].insert(3, code_cell(above))
    notebook["cells"].append(code_cell(below))
    return notebook


def _other_cells() -> list[Entry]:
    def beside(student: str, source: Any) -> Entry:
        notebook = solved()
        notebook["cells"].insert(4, code_cell(source))
        return Entry(student, written(notebook))

    broken = solved(terms="def my_chain_terms(words)\n    return []")
    indented = solved(loss="def my_loss(logits, input_ids, attention_mask):\n  return 1\n return 2")
    return [
        Entry("syntax_error_in_the_answer", written(broken), {TERMS: "missing|wrong|not written"}, "SyntaxError"),
        Entry(
            "indentation_error",
            written(indented),
            {LOSS: "missing|wrong|not written"},
            "IndentationError|SyntaxError",
        ),
        beside("syntax_error_beside", "def broken(:\n    pass"),
        beside("magics_beside", MAGICS),
        beside("shell_cell_beside", "%%bash\nrm -rf ./everything\nexit 1"),
        beside("html_cell_beside", "%%html\n<script>alert(1)</script>"),
        beside("error_beside", "1 / 0\nundefined_name\nraise RuntimeError('no')"),
        beside("loop_beside", "while True:\n    pass"),
        beside("loop_in_a_definition_beside", "class Forever:\n    while True:\n        pass"),
        beside("exit_in_a_definition_beside", "import os\nclass Gone:\n    os._exit(3)"),
        beside("import_that_fails_beside", "import a_package_that_nobody_has\nfrom torch import no_such_name"),
        beside("large_constant_beside", "BIG = 9**9**9**9\nWIDE = 'x' * 10**12"),
        beside("deep_expression_beside", "deep = " + "-" * 200_000 + "1"),
        beside("deep_brackets_beside", "deep = " + "[" * 50_000 + "]" * 50_000),
        beside("long_sum_beside", "total = " + "+".join(["1"] * 30_000)),
        beside("wide_constant_beside", "wide = [" + "1," * 50_000 + "]"),
        Entry("long_answer", written(solved(terms=LONG))),
        beside("half_surrogate_beside", "text = '\ud800'\nprint(text)"),
        beside("zero_byte_beside", "text = 'a\x00b'"),
        beside("source_is_a_list", ["import math\n", "half = 0.5\n"]),
        beside("shadows_names_beside", "def check(*anything):\n    return 100\nprint = hint = None"),
    ]


def files() -> list[Entry]:
    """Bytes that are no notebook, or no ordinary one, and names that are none."""
    good = written(solved())
    bad = {
        "no_bytes": b"",
        "corrupt": good.replace(b'"cells"', b'"cells', 1),
        "truncated": good[: len(good) // 2],
        "not_utf8": good.replace(b"# ", "# \u00dcber ".encode("latin-1"), 1),
        "utf16": good.decode().encode("utf-16"),
        "a_picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        "a_list": b"[1, 2, 3]",
        "a_number": b"7",
        "cells_are_text": json.dumps(solved() | {"cells": "none"}).encode(),
        "cells_missing": json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}}).encode(),
        "very_deep": b"[" * 200_000,
        "nbformat_3": json.dumps(_format_3()).encode(),
        "six_thousand_cells": _with_many_cells(6000),
    }
    odd = {
        "byte_order_mark": b"\xef\xbb\xbf" + good,
        "windows_lines": good.replace(b"\n", b"\r\n"),
        "extra_fields": written(solved() | {"nbformat_minor": 9, "new": {"field": 1}}),
        "a_thousand_cells": _with_many_cells(1000),
        "nbformat_99": written(solved() | {"nbformat": 99}),
    }
    return [
        *(Entry(student, content, problem=".") for student, content in bad.items()),
        *(Entry(student, content) for student, content in odd.items()),
        Entry("cells_are_numbers", written(stub() | {"cells": [1, None, []]}), dict.fromkeys(IDS, "missing")),
        *names(good),
    ]


def names(good: bytes) -> list[Entry]:
    """Students and files whose names try to be paths, formulas, options or markup."""
    students = (
        "a name with spaces", "Ångström 学生 🐍", "..student", "=1+1", "-rf", "@mention",
        "<script>alert(1)</script>", "quote\"s and 'more'", "a,b;c", "new\nline", "..%2f..%2fsecret",
        "back\\..\\slash", "x" * 200, "%s{0}$HOME",
    )  # fmt: skip
    stem = Path(NAME).stem
    return [
        *(Entry(student, good) for student in students),
        Entry("in_folders", good, file=f"week 1/zu Hause/{NAME}"),
        Entry("browser_copy", good, file=f"{stem} (1).ipynb"),
    ]


def _format_3() -> dict[str, Any]:
    code = {"cell_type": "code", "language": "python", "collapsed": False, "outputs": [], "metadata": {}}
    cells = [code | {"input": answer_cell(solved(), id)["source"]} for id in IDS]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}


def _with_many_cells(count: int) -> bytes:
    notebook = solved()
    notebook["cells"] += [code_cell(f"value_{i} = {i}") for i in range(count)]
    return written(notebook)


def special(folder: Path) -> list[Entry]:
    """What is no ordinary file, put into `folder`, and a notebook of 200 MB that takes no disk."""
    found = [Entry(student, b"", problem=".") for student in ("a_pipe", "a_link", "a_folder", "nothing", "huge")]
    for entry in found:
        (folder / entry.student).mkdir(parents=True)
    os.mkfifo(folder / "a_pipe" / NAME)
    (folder / "a_link" / NAME).symlink_to("/etc/passwd")
    (folder / "a_folder" / NAME).mkdir()
    with (folder / "huge" / NAME).open("wb") as file:
        file.write(written(solved()))
        file.truncate(200 * 2**20)  # the rest is a hole
    return found
