"""`check`: right answers get their points, wrong ones the words that fit them, and nothing gets out of
hand."""

import io
import sys
import threading
import time
import warnings
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell

from lib import NOT_WRITTEN
from lib.exercises import Misconception, WrongAnswer, all_exercises, assess, case, check, get, hint
from lib.exercises.engine import registry
from lib.lectures.edition import STUB

pytestmark = pytest.mark.usefixtures("demos")


def wrong(answer, id="demo.mean"):
    """The message for an answer that must not pass."""
    with pytest.raises(WrongAnswer) as caught:
        check(id, answer)
    return str(caught.value)


def test_right_answer_gets_its_points_and_one_line(demos, capfd):
    assert check("demo.mean", demos.mean) == 3
    out, err = capfd.readouterr()
    assert out.count("\n") == 1 and "3 points" in out and err == ""


@pytest.mark.parametrize(
    "points, words",
    [(None, "3 points."), (5, "5 points."), (1, "1 point."), (0.5, "0.5 points."), (0, "for practice.")],
)
def test_an_assignment_may_give_other_points(points, words, demos, capsys):
    assert check("demo.mean", demos.mean, points=points) == (3 if points is None else points)
    assert capsys.readouterr().out == f"✓ demo.mean: right on 3 cases, {words}\n"


@pytest.mark.parametrize("points", [-1, float("nan"), float("inf"), True])
def test_points_are_numbers_of_nothing_or_more(points, demos):
    with pytest.raises(ValueError, match="points must be a number"):
        check("demo.mean", demos.mean, points=points)


def test_accepted_variants_pass(demos):
    for exercise in demos.EXERCISES:
        for answer in (exercise.reference, *exercise.accepts):
            assert assess(exercise, answer).points == exercise.points


def test_each_misconception_is_told_its_own_hint(demos):
    for exercise in demos.EXERCISES:
        for misconception in exercise.misconceptions:
            assert misconception.hint in wrong(misconception.answer, exercise.id)


def test_message_shows_inputs_expected_and_got():
    message = wrong(lambda x: x.sum(-1) / 3)
    assert "three rows" in message and "Case 1 of 3" in message
    assert "input     x = tensor float32 (3, 4)" in message
    assert "expected  tensor float32 (3,)" in message and "got       tensor float32 (3,)" in message
    assert len(message) < 2000


def test_misconception_with_a_crash_on_an_edge_case_is_still_recognised():
    def answer(x):
        if x.shape[-1] == 0:
            raise ValueError("nothing here")
        return x.sum(-1)

    assert "do not divide" in wrong(answer)


def test_misconception_is_recognised_beside_a_well_treated_edge_case(demos):
    more = case("two rows", torch.tensor([[1.0, 2.0], [5.0, 3.0]]))
    exercise = replace(demos.MEAN, cases=lambda generator: [*demos.MEAN.cases(generator), more])
    by_column = demos.MEAN.misconceptions[2]

    def guarded(x):
        return by_column.answer(x) if x.dim() > 1 and x.numel() else demos.mean(x)

    assert assess(exercise, by_column.answer).misconception is by_column
    assert assess(exercise, guarded).misconception is by_column


def doubling(demos, *misconceptions):
    """An exercise on plain numbers with these misconceptions."""
    cases = [case(str(x), x) for x in (0, 1, 2)]
    changes = dict(reference=lambda x: 2 * x, cases=lambda generator: cases, accepts=())
    return replace(demos.MEAN, misconceptions=misconceptions, **changes)


def test_full_match_goes_before_a_partial_one(demos):
    partial = Misconception("always", lambda x: 2 * x + 1, "One is added.")
    full = Misconception("but for zero", lambda x: 2 * x + 1 if x else 0, "One is added, but for zero.")
    assert assess(doubling(demos, partial, full), full.answer).misconception is full
    assert assess(doubling(demos, partial), full.answer).misconception is partial
    once = assess(doubling(demos, partial), lambda x: 3 if x == 1 else 2 * x)
    assert once.misconception is None and not once.passed


def test_the_same_mistake_means_the_same_error_and_the_same_change_of_inputs(demos):
    def fails(error):
        def answer(x):
            raise error

        return answer

    first = Misconception("a", fails(ValueError("a")), "A.")
    second = Misconception("b", fails(KeyError("b")), "B.")
    assert assess(doubling(demos, first, second), second.answer).misconception is second
    changing = Misconception("changing", lambda x: x.mul_(2).sum(-1) / 2, "You change what you were given.")
    sums = replace(demos.MEAN, misconceptions=(changing, demos.MEAN.misconceptions[0]))
    assert assess(sums, lambda x: x.sum(-1)).misconception.name == "sum"


def test_one_coincidence_is_no_match(demos):
    # Zero is what "no empty row" does not return; on "one number" several mistakes agree with the truth.
    assert assess(demos.MEAN, lambda x: torch.zeros(x.shape[:-1])).misconception is None
    assert assess(demos.MEAN, lambda x: 2.0 * x.sum(-1) if x.dim() > 1 else x.sum(-1) - 1).misconception is None


def test_crash_names_exception_message_and_the_students_line():
    def answer(x):
        y = x + 1
        return y.reshape(5, 7)

    message = wrong(answer)
    assert "RuntimeError" in message and "shape '[5, 7]' is invalid" in message
    assert "return y.reshape(5, 7)" in message and f"line {answer.__code__.co_firstlineno + 2}" in message


def test_stub_is_not_written_yet():
    def stub(x):
        raise NotImplementedError("write your answer here")

    assert "not written yet" in wrong(stub)
    assert "not written yet" in wrong(...)
    assert "not written yet" in wrong(..., "demo.years")
    assert "not written yet" in wrong(lambda x: ...)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda x: x & x, "bitwise_and_cpu"),
        (lambda x: torch.softmax(torch.arange(3), dim=0), "softmax"),
        (lambda x: torch.ones(2, 2).bool() @ torch.ones(2, 2).bool(), "Bool"),
        (lambda x: (_ for _ in ()).throw(StdinNotImplementedError("no input requests")), "no input requests"),
    ],
)
def test_what_pytorch_has_not_implemented_is_an_error_with_its_own_words(answer, words):
    message = wrong(answer)
    assert "not written" not in message and "it raised" in message and words in message


def test_only_the_answers_own_stub_means_that_it_is_not_written():
    def helper(x):
        raise NotImplementedError("write your answer here")

    def todo(x):
        raise NotImplementedError("TODO")

    for answer in (lambda x: helper(x), todo):
        assert "it raised NotImplementedError: " in wrong(answer)


def test_the_marker_is_what_the_student_edition_writes():
    names = {}
    exec(f"def stub(x):\n    {STUB}", names)
    assert NOT_WRITTEN in STUB and "not written yet" in wrong(names["stub"])


def test_exit_does_not_end_the_notebook_and_interrupt_does():
    assert "exit()" in wrong(lambda x: sys.exit(0))

    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("demo.mean", interrupted)


def test_exception_whose_text_raises():
    class Hostile(Exception):
        def __str__(self):
            raise RuntimeError

    def answer(x):
        raise Hostile

    assert "it raised Hostile" in wrong(answer)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda x: x.sum(-1) * float("nan"), "NaN"),
        (lambda x: (x.sum(-1) / max(x.shape[-1], 1))[..., None], "the shape is"),
        (lambda x: (x.sum(-1) / max(x.shape[-1], 1)).long(), "whole numbers"),
        (lambda x: None, "is the `return` missing?"),
        (lambda x: (x.sum(-1) / max(x.shape[-1], 1)).tolist(), "a list, expected a tensor"),
        (lambda x: (x.sum(-1) / max(x.shape[-1], 1)).numpy(), "NumPy array"),
        (lambda x: (v for v in x), "generator"),
        (lambda x: torch.zeros(1).expand(10**12), "far more than any answer"),
        (lambda x: torch.empty(3, device="meta"), "meta tensor"),
        (lambda x, y: x, "TypeError"),
    ],
)
def test_wrong_kind_is_named(answer, words):
    assert words in wrong(answer)


def test_mutating_the_inputs_is_wrong_even_where_the_result_is_right(demos):
    message = wrong(demos.in_place)
    assert "x was changed in place" in message
    assert "also, x was changed in place" in wrong(lambda x: x.add_(1).sum(-1))
    switched = wrong(lambda x: x.requires_grad_().sum(-1).detach())
    assert "x.requires_grad was changed in place: work on a copy" in switched


@pytest.fixture
def hasty(demos, monkeypatch):
    """An exercise that waits little for an answer; the others wait long enough for any machine, however busy."""
    exercise = replace(demos.MEAN, seconds=0.3)
    monkeypatch.setattr(registry, "exercises_of", lambda module: {exercise.id: exercise})
    return exercise


@pytest.mark.usefixtures("hasty")
def test_loops_are_stopped():
    def swallows(x):
        while True:
            try:
                sum(range(100))
            except Exception:
                pass

    def swallows_everything(x):
        while True:
            try:
                sum(range(100))
            except:  # noqa: E722
                pass

    def returns_after_all(x):
        try:
            while True:
                pass
        except BaseException:
            return x.mean(-1)

    for answer in (swallows, swallows_everything, returns_after_all, lambda x: time.sleep(30)):
        start = time.monotonic()
        assert "no result after 0.3 seconds" in wrong(answer)
        assert time.monotonic() - start < 20


def test_loops_are_stopped_outside_the_main_thread(demos, hasty):
    def loop(x):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                pass

    found = []

    def work():
        found.extend(assess(*each) for each in ((hasty, loop), (demos.MEAN, demos.mean)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert [a.verdicts[0].kind for a in found] == ["time up", "right"]
    assert not [t for t in threading.enumerate() if t.name == "answer"]


def test_claiming_to_equal_everything_does_not_help(monkeypatch):
    class Yes:
        def __eq__(self, other):
            return True

        __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __eq__
        __hash__ = object.__hash__

    class YesTensor(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return True

    class YesFloat(float):
        def __eq__(self, other):
            return True

    for liar in (Yes(), YesFloat(0.0), [Yes()], {"a": Yes()}):
        assert "an object of type Yes" in wrong(lambda x, liar=liar: liar)
    assert "a YesTensor" in wrong(lambda x: torch.zeros(3).as_subclass(YesTensor))
    monkeypatch.setattr(torch, "allclose", lambda *a, **k: True)
    monkeypatch.setattr(torch, "equal", lambda *a, **k: True)
    monkeypatch.setattr(torch.Tensor, "__eq__", lambda *a: torch.tensor(True))
    monkeypatch.setattr(torch.Tensor, "detach", lambda self: torch.zeros(3))
    assert "not yet" in wrong(lambda x: torch.zeros(3))


def test_endless_structures_are_refused():
    endless = []
    endless.append(endless)
    assert "too deeply nested" in wrong(lambda x: endless)
    assert "too large" in wrong(lambda x: [0] * 10**6)


def test_gradients_and_wider_dtypes_are_fine(demos):
    assert check("demo.mean", lambda x: demos.mean(x.clone().requires_grad_())) == 3
    assert check("demo.mean", lambda x: demos.mean(x.double())) == 3


def test_prints_warnings_and_bars_are_neither_reward_nor_penalty(demos, capfd):
    def noisy(x):
        print("hello")
        print("oops", file=sys.stderr)
        warnings.warn("careful")
        return demos.mean(x)

    assert check("demo.mean", noisy) == 3
    out, err = capfd.readouterr()
    assert "hello" not in out and err == ""


def test_prints_of_the_failing_case_are_shown():
    def answer(x):
        print("x is", tuple(x.shape))

    assert "printed   x is (3, 4)" in wrong(answer)


def test_endless_prints_are_cut():
    def answer(x):
        for _ in range(20_000):
            print("x" * 100)

    assert len(wrong(answer)) < 2000


def test_nothing_leaks_out_of_an_answer(demos):
    def meddles(x):
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        sys.stdout = io.StringIO()
        return demos.mean(x)

    torch.manual_seed(5)
    expected, stdout = torch.rand(3), sys.stdout
    torch.manual_seed(5)
    assert assess(demos.MEAN, meddles).passed
    assert torch.equal(torch.rand(3), expected) and sys.stdout is stdout
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()


@pytest.fixture
def put_back():
    yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)
    np.seterr(all="warn")


@pytest.mark.parametrize(
    "setting",
    [
        lambda: torch.set_default_device("meta"),
        lambda: torch.set_default_dtype(torch.float16),
        lambda: torch.set_default_dtype(torch.float64),
        lambda: np.seterr(all="raise"),
    ],
)
def test_what_a_cell_has_set_neither_breaks_a_check_nor_accuses(setting, demos, put_back):
    def answer(x):
        np.exp(np.float64(1000))
        return torch.ones(x.shape[-1]) @ x.T / max(x.shape[-1], 1)

    expected = assess(demos.MEAN, answer).expected
    setting()
    set_before = torch.get_default_device(), torch.get_default_dtype(), np.geterr()
    for each in (*demos.EXERCISES, replace(demos.MEAN, misconceptions=())):
        assert assess(each, answer if each.id == "demo.mean" else each.reference).passed
        assert (torch.get_default_device(), torch.get_default_dtype(), np.geterr()) == set_before
    found = assess(demos.MEAN, demos.mean)
    assert found.misconception is None
    assert all((a.value.values == b.value.values).all() for a, b in zip(expected, found.expected))


def test_a_check_inside_of_inference_mode_or_on_a_device(demos, put_back):
    with torch.inference_mode(), torch.device("meta"):
        assert assess(demos.MEAN, demos.mean).passed
        assert torch.zeros(1).is_meta and torch.is_inference_mode_enabled()

    def sets(x):
        torch.set_default_device("meta")
        return demos.mean(x)

    assert assess(demos.MEAN, sets).passed and not torch.zeros(1).is_meta


def test_new_tensors_have_the_dtype_of_float64_inputs(demos):
    def with_eye(x):
        return demos.mean(x @ torch.eye(x.shape[-1]))

    wide = [case("float64", torch.ones(2, 3, dtype=torch.float64)), case("float32", torch.ones(2, 3))]
    exercise = replace(demos.MEAN, cases=lambda generator: wide, misconceptions=())
    assert assess(exercise, with_eye).passed
    narrow = assess(exercise, lambda x: demos.mean(x @ torch.eye(x.shape[-1], dtype=torch.float32)))
    assert [verdict.kind for verdict in narrow.verdicts] == ["raised", "right"]
    assert "double != float" in narrow.verdicts[0].reason
    assert assess(exercise, lambda x: demos.mean(x.float())).passed


def test_every_call_has_its_own_copy_and_the_same_generator(demos):
    seen = []

    def answer(p, n, generator):
        drawn = torch.rand(n, generator=generator)
        seen.append(drawn)
        return drawn < p

    assess(demos.DRAW, answer), assess(demos.DRAW, answer)
    assert torch.equal(seen[0], seen[2])


def test_judge_accepts_another_draw_and_survives_what_it_cannot_read(demos):
    assert check("demo.draw", demos.DRAW.accepts[0]) == 2
    assert "the share of True is not p" in wrong(lambda p, n, g: torch.ones(n, dtype=torch.bool), "demo.draw")
    assert "expected booleans" in wrong(lambda p, n, g: torch.rand(n), "demo.draw")
    blind = replace(demos.DRAW, decide=lambda given, output, expected: output.nothing)
    reason = assess(blind, demos.draw).verdicts[0].reason
    assert "the result cannot be checked (AttributeError" in reason


def test_misconception_is_recognised_by_the_judges_complaint_where_the_draws_differ():
    assert "fair coin" in wrong(lambda p, n, g: torch.rand(n) > 0.5, "demo.draw")


def test_value_exercise_does_not_give_the_answer_away():
    assert check("demo.years", {"BERT": 2018, "GPT-3": 2020}) == 1
    message = wrong({"BERT": 2018, "GPT-3": 2019}, "demo.years")
    assert "answer['GPT-3']" in message and "2020" not in message
    assert "2018" not in wrong({}, "demo.years") and "keys are missing" in wrong({}, "demo.years")


def test_function_and_value_mixed_up(demos):
    assert "is a function: did you mean" in wrong(lambda: 3, "demo.years")
    assert "asks for the function itself" in wrong(torch.zeros(3))


def test_named_tuples_count_as_tuples():
    pair = namedtuple("pair", "a b")
    assert "a tuple, expected a tensor" in wrong(lambda x: pair(1, 2))


def test_unknown_id_suggests_the_nearest(unchecked):
    with pytest.raises(KeyError, match="did you mean demo.mean"):
        check("demo.maen", None)
    with pytest.raises(TypeError, match="got a int"):
        get(3)
    assert list(all_exercises()) == ["demo.mean", "demo.years", "demo.draw"]


def test_hints_come_one_at_a_time(capsys):
    for expected in ("Hint 1 of 2: Add up first.", "Hint 2 of 2: Then divide by x.shape[-1].", "Hint 2 of 2"):
        hint("demo.mean")
        assert capsys.readouterr().out.startswith(expected)
    hint("demo.years")
    assert "has no hints" in capsys.readouterr().out


def test_ipython_shows_the_message_and_no_traceback(demos, capsys):
    shell = InteractiveShell.instance()
    shell.user_ns.update(check=check)
    result = shell.run_cell("check('demo.mean', lambda x: x.sum(-1))")
    shown = capsys.readouterr().out
    assert isinstance(result.error_in_exec, WrongAnswer)
    assert "do not divide" in shown and "engine.py" not in shown and "Traceback" not in shown
    InteractiveShell.clear_instance()


def test_broken_reference_is_not_the_students_fault(demos):
    broken = replace(demos.MEAN, reference=lambda x: 1 / 0)
    with pytest.raises(RuntimeError, match="the exercise demo.mean is broken, not your answer"):
        assess(broken, demos.mean)
    with pytest.raises(RuntimeError, match="it changed x"):
        assess(replace(demos.MEAN, reference=demos.in_place), demos.mean)


def test_what_is_told_of_one_case_and_of_many_lines(demos, capsys, monkeypatch):
    alone = replace(demos.MEAN, cases=lambda generator: demos.MEAN.cases(generator)[:1])
    monkeypatch.setattr(registry, "exercises_of", lambda module: {each.id: each for each in (alone, demos.DRAW)})
    check("demo.mean", demos.mean)
    assert capsys.readouterr().out == "✓ demo.mean: right on 1 case, 3 points.\n"

    def talks(x):
        print("one")
        print("two")
        return x

    message = wrong(talks)
    assert "    printed   one ⏎ two" in message and "(hint('demo.mean') helps, one step at a time.)" in message
    assert "helps" not in wrong(lambda x: x.sum(-1)), "the mistake has its own hint"
    message = wrong(lambda p, n, g: torch.ones(n, dtype=torch.bool), "demo.draw")
    assert "(for instance)" in message and "helps" not in message, "it has no hints"


def test_a_right_value_is_said_to_be_right_without_cases(capsys):
    check("demo.years", {"BERT": 2018, "GPT-3": 2020})
    assert capsys.readouterr().out == "✓ demo.years: right, 1 point.\n"
    assert "    got       {'BERT': 3}" in wrong({"BERT": 3}, "demo.years")


@pytest.mark.parametrize("points", ["3", None.__class__, [1], -0.5, float("-inf")])
def test_other_points_than_numbers_are_refused_before_anything_runs(points, demos, unchecked):
    with pytest.raises(ValueError, match="points must be a number"):
        check("demo.mean", lambda x: 1 / 0, points=points)


def test_the_first_case_that_is_wrong_is_told_with_its_own_inputs(demos):
    """Cases before it were right: its number, its words, its input, what it printed and what came of it."""

    def answer(x):
        print("rows:", x.dim())
        return torch.tensor(5.0) if x.dim() == 1 else demos.mean(x) * 1.0

    message = wrong(answer)
    assert "Case 2 of 3, one number: " in message and "    input     x = tensor float32 (1,) [2.]" in message
    assert "    expected  tensor float32 () 2." in message and "    got       tensor float32 () 5." in message
    assert "    printed   rows: 1" in message and "rows: 2" not in message
    message = wrong(lambda x: demos.mean(x) if x.numel() else torch.tensor([7.0, 0.0]))
    assert "Case 3 of 3, an empty row: " in message and "input     x = tensor float32 (2, 0)" in message
    assert "expected 0, got 7" in message
