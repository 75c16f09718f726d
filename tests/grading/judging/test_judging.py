"""From cells to a result: each exercise by itself, with its own words, from secret cases."""

import json
import os
import re

import pytest

from lib.exercises import all_exercises, get
from lib.exercises.engine.checking import AnswerKey, conclude, run_all
from lib.grading.intake.submission import Submission
from lib.grading.judging import grader as judging
from lib.grading.judging.cases import CaseSource, secret_seed
from lib.grading.judging.grader import Grader, answer_names, clean
from lib.grading.walls import Limits, kernel
from lib.grading.worker import protocol
from lib.grading.worker.client import Server

KEY = b"k" * 32
TERMS, PRODUCT, PERPLEXITY = "chain.terms", "chain.sequence_probability", "autoregressive.perplexity"
RIGHT = {
    TERMS: "def my_chain_terms(words):\n    return [(['[BOS]', *words[:t]], word) for t, word in enumerate(words)]",
    PRODUCT: "def my_sequence_probability(next_probs, ids):\n"
    "    return math.prod(next_probs(ids[:t])[token] for t, token in enumerate(ids))",
    PERPLEXITY: "def my_perplexity(log_probs):\n    every = [v for s in log_probs for v in s]\n"
    "    return math.exp(-sum(every) / len(every))",
}
STUB = 'def my_chain_terms(words):\n    raise NotImplementedError("write your answer here")'


@pytest.fixture(scope="module")
def grader():
    with Grader(KEY, Limits(elapsed_seconds=20)) as grader:
        yield grader


def submission(*sources, answers=RIGHT, **about):
    """Cells of an import, of `sources` and of `answers`, whose ids stand in their metadata."""
    texts = [("import math", ""), *((source, "") for source in sources), *((s, id) for id, s in answers.items())]
    cells = tuple({"number": n, "source": source, "exercise": id} for n, (source, id) in enumerate(texts, 1))
    known = {"student": "ada", "notebook": "05.ipynb", "file": "ada/05.ipynb", "sha256": "0" * 64, "cells": cells}
    return Submission(**known | about)


def statuses(result):
    return [entry["status"] for entry in result["exercises"]]


def graded(grader, terms, *sources):
    """The entry of chain.terms, answered by `terms`; the two other exercises stay right."""
    result = grader.grade(submission(*sources, answers=RIGHT | {TERMS: terms}), list(RIGHT))
    assert statuses(result)[1:] == ["right", "right"]
    return result["exercises"][0]


def test_right_answers_are_right_and_the_result_is_plain_json(grader):
    result = grader.grade(submission(), list(RIGHT))
    assert statuses(result) == ["right"] * 3 and result["notes"] == []
    entry = result["exercises"][0]
    public = len(get(TERMS).build_cases(0))
    assert (entry["cell"], entry["failed"]) == (2, None) and entry["passed"] == entry["cases"] > public
    assert entry["answer"] == RIGHT[TERMS] and entry["shape"]
    assert json.loads(json.dumps(result)) == result == grader.grade(submission(), list(RIGHT))


def test_a_misconception_is_named_with_its_hint_and_the_case_that_failed(grader):
    wrong = "def my_chain_terms(words):\n    print('so far')\n    return [(words[:t], word) for t, word in enumerate(words)]"
    entry = graded(grader, wrong)
    mistake = next(m for m in get(TERMS).misconceptions if m.name == entry["misconception"])
    assert (entry["status"], entry["hint"]) == ("wrong", mistake.hint)
    failed = entry["failed"]
    assert failed["number"] == 1 and failed["what"] == "the slide's sentence"
    assert "words = ['The', 'cat'" in failed["inputs"][0] and "[BOS]" in failed["expected"]
    assert failed["got"].startswith("[([], 'The')") and failed["printed"] == "so far"


@pytest.mark.parametrize(
    "answer, status, reason",
    [
        (STUB, "not written", "stub"),
        ("x = 1", "missing", "nothing in the file defines my_chain_terms"),
        ("def my_chain_terms(words):\n    return helper(words)", "wrong", "NameError.*helper.*line 2"),
        ("my_chain_terms = 3", "wrong", "not callable"),
        ("def my_chain_terms(words):\n    raise SystemExit", "wrong", "exit"),
        ("import os\ndef my_chain_terms(words):\n    os._exit(0)", "crashed", "ended the whole process"),
        ("import os\ndef my_chain_terms(words):\n    os.kill(os.getpid(), 9)", "crashed", "killed"),
        ("my_chain_terms = undefined", "wrong", "cell 2 stops before the answer is defined"),
    ],
)
def test_each_way_to_fail_has_its_status_and_its_words(grader, answer, status, reason):
    entry = graded(grader, answer)
    assert entry["status"] == status and re.search(reason, entry["reason"]), entry["reason"]
    assert "0x7" not in json.dumps(entry)


@pytest.mark.parametrize(
    "faults, told", [({TERMS: "it is odd"}, True), ({"": "it is odd"}, True), ({PRODUCT: "x"}, False)]
)
def test_what_the_file_shows_of_a_missing_answer_is_the_reason(grader, faults, told):
    answers = {id: source for id, source in RIGHT.items() if id != TERMS}
    result = grader.grade(submission(answers=answers, faults=faults), list(RIGHT))
    assert statuses(result) == ["missing", "right", "right"]
    reason = "nothing in the file defines my_chain_terms" + "; it is odd" * told
    assert result["exercises"][0]["reason"] == reason


def test_an_unknown_cell_magic_over_an_answer_is_called_so(grader):
    entry = graded(grader, f"%%ai openai\n{RIGHT[TERMS]}")
    assert entry["status"] == "missing"
    assert entry["reason"] == (
        "nothing in the file defines my_chain_terms; its cell has a cell magic %%ai at its top, with which the grader "
        "does not run it as Python"
    )


def test_what_an_answer_calls_comes_with_it(grader):
    entry = graded(grader, RIGHT[TERMS].replace("words[:t]", "upto(words, t)"), "def upto(w, n):\n    return w[:n]")
    assert entry["status"] == "right"
    (helper,) = entry["helpers"]
    assert (helper["name"], helper["source"]) == ("upto", "def upto(w, n):\n    return w[:n]") and helper["shape"]


def test_a_crash_on_a_late_case_shows_that_case(grader):
    entry = graded(
        grader,
        "import os\ndef my_chain_terms(words):\n    words or os._exit(3)\n"
        + RIGHT[TERMS].replace("\n", "\n").split("\n")[1],
    )
    assert entry["status"] == "crashed" and entry["passed"] == 3
    assert entry["failed"]["what"] == "no words" and entry["failed"]["got"] == ""


def test_a_loop_is_ended_and_costs_that_exercise_alone(grader, monkeypatch):
    monkeypatch.setattr("lib.grading.judging.grader.get", lambda id: _hasty(id))
    with Grader(KEY, Limits(elapsed_seconds=20)) as hasty:
        entry = graded(hasty, "def my_chain_terms(words):\n    while True:\n        pass")
    assert entry["status"] == "time up" and entry["passed"] == 0


def _hasty(id):
    from dataclasses import replace

    return replace(get(id), seconds=0.5)


USES_BASE = "def my_chain_terms(words):\n    return [(BASE, word) for word in words]"


def test_a_cell_that_brings_its_process_down_is_left_out(grader):
    deadly = "import os\nBASE = os._exit(5)"
    result = grader.grade(submission(deadly, "OTHER = BASE"), list(RIGHT))
    assert statuses(result) == ["right"] * 3 and result["notes"] == [], "nobody needs it"
    result = grader.grade(submission(deadly, answers=RIGHT | {TERMS: USES_BASE}), list(RIGHT))
    assert statuses(result) == ["wrong", "right", "right"]
    assert result["notes"] == ["cell 2 was left out: it ended the whole process (exit 5)"]
    reason = result["exercises"][0]["reason"]
    assert reason.startswith("part of cell 2, which this answer uses, could not be run here") and "NameError" in reason


def test_what_was_left_out_is_said_and_then_no_misconception_is_claimed(grader):
    mistake = "def my_chain_terms(words):\n    return [(words[:t], w) for t, w in enumerate(words, LATE)]"
    without = graded(grader, mistake, "LATE = 0")
    assert without["misconception"]
    entry = graded(grader, mistake, "LATE = 0\nif True:\n    LATE = LATE + 0 * open('nowhere')")
    assert entry["misconception"] == entry["hint"] == "" and entry["reason"].startswith("part of cell 2, which")


@pytest.mark.parametrize(
    "above, below",
    [
        ("START = []\nSTART.append('[BOS]')", "START = []"),
        ("START = []\nfor word in ['[BOS]']:\n    START += [word]", "del START"),
        ("START = ['[BOS]']\ndef begin(words): return START + words", "def begin(words): return words"),
        ("def fill(): START.append('[BOS]')\nSTART = []\nfill()", "START.clear()"),
    ],
)
def test_what_a_fresh_run_says_the_grader_says(grader, above, below):
    """The state is that at the answer: a loop above it is executed, and what is rebound below it does not count."""
    terms = "def my_chain_terms(words):\n    return [([*START, *words[:t]], word) for t, word in enumerate(words)]"
    if "begin" in above:
        terms = terms.replace("[*START, *words[:t]]", "begin(list(words[:t]))")
    cells = submission(above, answers={TERMS: terms, PRODUCT: f"{below}\n{RIGHT[PRODUCT]}"})
    entry = grader.grade(cells, [TERMS])["exercises"][0]
    assert entry["status"] == "right", entry["reason"]


@pytest.mark.parametrize("prediction", ["...", "0.9", "'sharper'", "[1, 2]", "0, 9"])
def test_a_prediction_does_not_disturb_the_answer_below_it(grader, prediction):
    """Not where the answer needs the import, the name of what predict returns, nor a value that is compared."""
    above = (
        "from lib.exercises import check, compare, hint, predict",
        f"START = ['[BOS]']\nguess = predict('chain.guess', {prediction})\ncompare('chain.guess', len(START))",
    )
    terms = "def my_chain_terms(words):\n    return [([*START, *words[:t]], word) for t, word in enumerate(words)]"
    result = grader.grade(submission(*above, answers={TERMS: f"{terms}\nmine = compare, predict, guess"}), [TERMS])
    assert statuses(result) == ["right"] and result["notes"] == []
    terms = terms.replace("    return", "    predict('chain.guess', 3), hint('chain.terms'), guess\n    return")
    result = grader.grade(submission(*above, answers={TERMS: terms}), [TERMS])
    assert statuses(result) == ["right"] and result["notes"] == []


def test_a_helper_below_its_answer_is_found_and_a_note_says_that_a_fresh_run_fails(grader):
    terms = "def my_chain_terms(words):\n    return [(begin(words, t), word) for t, word in enumerate(words)]"
    helper = "def begin(words, t): return ['[BOS]', *words[:t]]"
    result = grader.grade(submission(answers={TERMS: terms, PRODUCT: helper}), [TERMS])
    assert statuses(result) == ["right"]
    assert result["notes"] == ["begin is used above cell 3, which defines it: a fresh run fails"]


def test_a_cell_that_is_no_python_is_left_out_and_named(grader):
    result = grader.grade(submission("def f(:\n    pass"), list(RIGHT))
    assert statuses(result) == ["right"] * 3
    assert len(result["notes"]) == 1 and "cell 2" in result["notes"][0] and "SyntaxError" in result["notes"][0]


def test_an_unreadable_file_and_a_written_answer_have_their_rows(grader):
    result = grader.grade(submission(problem="not JSON", cells=()), list(RIGHT))
    assert statuses(result) == ["unreadable"] * 3 and result["problem"] == "not JSON"
    result = grader.grade(submission(written={"report.q2": "Because."}), ["report.q2", TERMS])
    assert statuses(result) == ["manual", "right"] and result["exercises"][0]["answer"] == "Because."


def test_cases_are_secret_and_depend_on_the_submission():
    hashes = ("0" * 64, "1" * 64)
    seeds = {secret_seed(key, id, sha256) for key in (KEY, b"x") for id in RIGHT for sha256 in hashes}
    assert len(seeds) == 12 and all(0 < seed < 2**63 for seed in seeds)
    source = CaseSource(get(PRODUCT))
    public, secret, again, other = (source.key(seed) for seed in (None, 7, 7, 8))
    assert repr(secret.cases) == repr(again.cases) != repr(other.cases)
    assert secret.sent[: len(public.sent)] == public.sent and len(secret.sent) == len(set(secret.sent)) > len(
        public.sent
    )


@pytest.mark.parametrize("id", [TERMS, PRODUCT, PERPLEXITY, "autoregressive.loss", "start.token_count"])
def test_the_key_of_a_submission_says_what_keys_of_its_parts_say(id):
    exercise = get(id)
    key = CaseSource(exercise).key(5)
    assert len(key.cases) == len(key.expected) == len(key.sent)
    for known in (exercise.reference, *exercise.accepts):
        assert all(verdict.right for verdict in key.verdicts(run_all(exercise, known, key.cases)))
    for mistake in exercise.misconceptions:
        outcomes = run_all(exercise, mistake.answer, key.cases)
        assert len(key.outcomes_of(mistake)) == len(outcomes)
        assert conclude(key, outcomes).misconception is mistake


def test_the_same_bytes_get_the_same_cases_and_others_get_others(grader):
    spy = RIGHT | {TERMS: "def my_chain_terms(words):\n    return [len(words)] if len(words) > 9 else words"}

    def inputs(sha256):
        key = CaseSource(get(TERMS)).key(secret_seed(KEY, TERMS, sha256))
        return [case.args for case in key.cases]

    results = [grader.grade(submission(answers=spy, sha256=each * 64), [TERMS]) for each in "001"]
    assert results[0] == results[1] and inputs("0" * 64) == inputs("0" * 64) != inputs("1" * 64)


SEES_ALL = """import gc, sys
SEEN = []
def my_chain_terms(words):
    SEEN.append(words)
    frame, found = sys._getframe(), [each for each in gc.get_objects() if type(each) is list]
    while frame:
        found += [value for value in frame.f_locals.values() if type(value) is list]
        frame = frame.f_back
    words_found = {word for some in found for word in some if type(word) is str and word.isalpha()}
    print(len(SEEN), *sorted(words_found & {%s}))
    return [(["[BOS]", *words[:t]], word) for t, word in enumerate(words)][: %s]"""


def test_an_answer_sees_one_case_at_a_time_and_its_page_shows_the_failed_call_alone(grader):
    public = get(TERMS).build_cases(0)
    first, every = public[0].args[0], sorted({word for case in public for word in case.args[0]})
    coded = ", ".join(f"bytes({list(word.encode())}).decode()" for word in every)  # the words are not in its own source
    failed = graded(grader, SEES_ALL % (coded, "-1"))["failed"]
    assert failed["printed"] == " ".join(["1", *sorted(set(first))]) and len(every) > len(first)
    second = graded(grader, SEES_ALL % (coded, "None if len(SEEN) < 2 else -1"))["failed"]
    assert second["number"] == 2 and second["printed"].startswith("2 "), "what the first call printed is not shown"


FORGES = """import os
def my_chain_terms(words):
    from lib.grading.worker import protocol
    outcome = {"status": "returned", "value": [], "message": "", "line": "", "mutated": (), "printed": "forged"}
    for pipe in range(3, 9):
        try:
            for message in %s:
                os.write(pipe, protocol.encode(message, 10**6, asks=True))
        except OSError:
            pass
    return [(["[BOS]", *words[:t]], word) for t, word in enumerate(words)]"""


@pytest.mark.parametrize(
    "messages", ['[{"x": 1}] * 3', '[{"outcome": outcome}]', '[{"outcome": outcome}] * 20', "[{}]"]
)
def test_who_asks_for_further_cases_before_the_outcome_has_given_that_outcome(grader, messages):
    entry = graded(grader, FORGES % messages)
    assert entry["status"] in ("wrong", "crashed")


def test_an_answer_that_knows_the_public_cases_alone_is_wrong(grader):
    key = AnswerKey(get(PERPLEXITY))
    table = [(case.args[0], expected.value) for case, expected in zip(key.cases, key.expected)]
    learned = f"TABLE = {table!r}\ndef my_perplexity(log_probs):\n    return dict((repr(k), v) for k, v in TABLE)[repr(log_probs)]"  # noqa: E501
    cells = submission(answers=RIGHT | {PERPLEXITY: learned})
    assert statuses(grader.grade(cells, [PERPLEXITY])) == ["wrong"]
    with Grader(None) as public:
        assert statuses(public.grade(cells, [PERPLEXITY])) == ["right"]


def test_nothing_secret_is_sent_to_the_server():
    sent = []

    class Ear(Server):
        def ask(self, request, *, cases):
            sent.append(repr((request, cases)))
            return super().ask(request, cases=cases)

    grader = Grader(KEY)
    grader.server = Ear()
    with grader:
        grader.grade(submission(), list(RIGHT))
    text = "".join(sent)
    assert len(sent) == 3 and "the slide's sentence" not in text and "kkkk" not in text
    assert all(str(secret_seed(KEY, id, "0" * 64)) not in text for id in RIGHT)


def test_a_server_that_is_brought_down_costs_one_exercise(grader):
    class Unlucky(Server):
        def ask(self, request, *, cases):
            self.start()
            if request["id"] == TERMS:
                self._process.kill()
            return super().ask(request, cases=cases) if request["id"] != TERMS else self._lost(request, cases)

        def _lost(self, request, cases):
            process, self.start = self._process, lambda: None
            try:
                return super().ask(request, cases=cases)
            finally:
                del self.start
                process.wait()

    unlucky = Grader(KEY)
    unlucky.server = Unlucky()
    with unlucky:
        result = unlucky.grade(submission(), list(RIGHT))
    assert statuses(result) == ["crashed", "right", "right"]
    assert "died" in result["exercises"][0]["reason"]


def in_memory(pid, words):
    """Whether a process holds these bytes anywhere in memory that it can write."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            where, how = line.split()[:2]
            if how.startswith("rw"):
                begin, end = (int(number, 16) for number in where.split("-"))
                memory.seek(begin)
                if words in memory.read(end - begin):
                    return True
    return False


@pytest.mark.skipif(not kernel.ON_LINUX, reason="no /proc")
def test_what_a_student_wrote_is_not_in_the_memory_that_the_next_child_inherits(monkeypatch):
    monkeypatch.setenv("COURSE_WALLS", "plain")
    words = "".join(["nobody else ", "wrote these ", "words"])
    given = submission(answers={TERMS: f"def my_chain_terms(given):\n    print('{words}')\n    return '{words}'"})
    with Grader(KEY) as grader:
        assert statuses(grader.grade(given, [TERMS])) == ["wrong"]
        assert not in_memory(grader.server._process.pid, words.encode())
    assert in_memory(os.getpid(), words.encode()), "it can be seen"


def test_a_fault_of_ours_leaves_nothing_in_the_pipe(grader, monkeypatch):
    assert statuses(grader.grade(submission(), [TERMS])) == ["right"]  # it has started
    with monkeypatch.context() as change:
        change.setattr(protocol, "decode", lambda *given, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            grader.grade(submission(answers={TERMS: "def my_chain_terms(words):\n    return []"}), [TERMS])
    assert statuses(grader.grade(submission(), list(RIGHT))) == ["right"] * 3


def test_forged_messages_earn_nothing(grader, monkeypatch):
    from lib.grading.worker.client import Reply

    first = {"problems": [], "answer": {"cell": 2, "source": "", "written": True, "shape": []}}
    right = {"status": "returned", "value": [], "message": "", "line": "", "mutated": (), "printed": ""}
    for said in (
        [{"outcome": "right"}],
        [{"done": True}],
        [{"broken": "forged"}],
        [{"outcome": right}] * 9,
        [{"left_out": [{"cell": "x"}]}],
    ):
        reply = Reply((first, *said), "exit 0", tuple(said))
        monkeypatch.setattr(grader.server, "ask", lambda *_, reply=reply, **__: reply)
        assert statuses(grader.grade(submission(), [TERMS])) != ["right"]


def test_walls_that_cannot_be_built_stop_the_grader(grader, monkeypatch):
    from lib.errors import CourseError
    from lib.grading.worker.client import Reply

    monkeypatch.setattr(grader.server, "ask", lambda *_, **__: Reply(({"broken": "no Landlock"},), "exit 1"))
    with pytest.raises(CourseError, match="walls .* no Landlock"):
        grader.grade(submission(), [TERMS])


def test_a_server_that_cannot_start_says_why(monkeypatch):
    from lib.errors import CourseError

    monkeypatch.setattr("lib.grading.worker.client.sys.executable", "/bin/false")
    with pytest.raises(CourseError, match="cannot be started"):
        Server().start()


def test_every_exercise_has_a_name_that_its_answer_goes_by():
    assert answer_names().keys() == all_exercises().keys()
    assert answer_names()[TERMS] == "my_chain_terms"


def test_texts_are_fit_for_a_report():
    assert clean("a\x1b[1m\x00\ud800\u202eb <X at 0x7f00aa11>") == "a�[1m���b <X at 0x…>"
    assert clean("x" * 590 + "<X at 0x7f00aa11bb22>" + "y" * 300, 300).endswith("y" * 99)
    assert not re.search("0x[0-9a-f]", clean("x" * 579 + "<X at 0x7f00aa11bb22>", 300))
    assert clean("line\n\ttab") == "line\n\ttab" and len(clean("x" * 10**6, 100)) == 100
    assert judging.clean("x") == "x"


@pytest.mark.parametrize(
    "body, reason, printed",
    [
        (
            "open(os.path.abspath('words.txt'))",
            "FileNotFoundError: [Errno 2] No such file or directory: '/scratch/words.txt'",
            "",
        ),
        ("print(Path.cwd(), os.environ['HOME'])", "", "/scratch /scratch"),
        ("raise ValueError(tempfile.mkdtemp() + '/x')", "ValueError: /scratch/x", ""),
        ("list(tqdm(words))", "", ""),
        ("raise ValueError('x' * 232 + repr(object()) + 'y' * 300)", "0x…>…yy", ""),
        ("raise ValueError('x' * 243 + os.getcwd() + 'y' * 300)", "x/scratchyyy…y", ""),
        ("print('x' * 19_978 + repr(object()) + 'z' * 99)", "", "xx<object object at 0x…>"),
        ("return ['x' * 83 + repr(object()) + 'z' * 300]", "x<object object at 0x…>…zz", ""),
        ("return {'x' * 135 + repr(object()) + 'z' * 99: 1}", "x<object object at 0x…>…zz", ""),
    ],
)
def test_what_changes_from_run_to_run_is_not_in_a_result(grader, body, reason, printed):
    imports = "import os, tempfile\nfrom pathlib import Path\nfrom tqdm.auto import tqdm\n"
    entry = graded(grader, f"{imports}def my_chain_terms(words):\n    {body}")
    said = json.dumps({name: entry[name] for name in ("reason", "failed")}, ensure_ascii=False)
    assert (
        reason in said and printed in entry["failed"]["printed"] and bool(printed) == bool(entry["failed"]["printed"])
    )
    assert not re.search(r"0x[0-9a-f]|course-gr|/tmp|it/s", said), said


def test_what_changes_from_run_to_run_is_not_in_a_note(grader):
    failing = "open(os.getcwd() + '/table')", "{}['x' * 266 + repr(object())]"
    cells = [f"helper_{n} = {each}" for n, each in enumerate(failing)]
    uses = RIGHT[TERMS].replace("\n    return", "\n    if words == 7: helper_0, helper_1\n    return")
    result = grader.grade(submission("import os", *cells, answers=RIGHT | {TERMS: uses}), list(RIGHT))
    assert "directory: '/scratch/table' (line 1)" in result["notes"][0] and len(result["notes"]) == 2
    assert "KeyError" in result["notes"][1] and not re.search(r"0x[0-9a-f]", result["notes"][1]), result["notes"][1]


def test_an_answer_finds_no_open_file_of_the_grader(grader):
    looks = "import os\ndef my_chain_terms(words):\n    raise ValueError([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')])"  # noqa: E501
    nowhere = "import os\ndef my_chain_terms(words):\n    found = []\n    for n in range(3, 200):\n        try:\n            found.append(os.fstat(n).st_mode & 0o170000)\n        except OSError:\n            pass\n    raise ValueError(found)"  # noqa: E501
    assert "Permission" in graded(grader, looks)["reason"] or "pipe" in graded(grader, looks)["reason"]
    assert "ValueError: [4096, 4096] " in graded(grader, nowhere)["reason"], "its own pipes, and nothing else"
