"""Where training needs the gradient of a result, a result without it, or with another one, is wrong."""

import numpy as np
import pytest
import torch

from lib.exercises import Exercise, Misconception, assess, case, get
from lib.exercises.engine import checking
from lib.exercises.engine.checking import AnswerKey, explain
from lib.exercises.engine.gradients import DETACHED, gradient, gradient_difference, require_grad
from lib.exercises.engine.running import run_answer
from lib.exercises.engine.values import to_plain
from lib.grading.worker import protocol


def mean_square(x, y):
    return ((x - y) ** 2).mean()


def cases(generator):
    return [
        case("three", torch.randn(3, generator=generator), torch.randn(3, generator=generator)),
        case("a matrix", torch.randn(2, 4, generator=generator), y=torch.randn(2, 4, generator=generator)),
    ]


MSE = Exercise(
    id="demo.mse", slides=("C07",), points=3, minutes=5, reference=mean_square, cases=cases, gradient=("x",),
    misconceptions=(
        Misconception("sum", lambda x, y: ((x - y) ** 2).sum(), "You add up."),
        Misconception("detached", lambda x, y: mean_square(x, y).detach(), DETACHED),
    ),
)  # fmt: skip


def numpy_inside(x, y):
    return torch.tensor(np.square(x.numpy() - y.numpy()).mean())


def without_graph(x, y):
    with torch.no_grad():
        return mean_square(x, y)


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda x, y: mean_square(x, y).detach(), "there is none: `.item()`"),
        (lambda x, y: torch.tensor(mean_square(x, y).item()), "there is none"),
        (lambda x, y: mean_square(x, y).item(), "a number has none"),
        (lambda x, y: mean_square(x, y).detach().numpy(), "a NumPy array has none"),
        (numpy_inside, "there is none"),
        (without_graph, "there is none"),
    ],
)
def test_a_result_without_its_gradient_is_named(answer, words):
    found = assess(MSE, answer)
    assert [verdict.kind for verdict in found.verdicts] == ["gradient"] * 2 and found.points == 0
    assert words in found.verdicts[0].reason and "with respect to x" in found.verdicts[0].reason
    assert found.misconception.name == "detached" and "detach().numpy()" not in explain(found)


def test_a_wrong_gradient_stands_beside_the_right_one():
    def doubled(x, y):
        loss = mean_square(x, y)
        return 2 * loss - loss.detach()

    found = assess(MSE, doubled)
    x, y = found.cases[0].args
    grad = (2 * (x - y) / 3).tolist()[0]
    assert found.verdicts[0].kind == "gradient" and found.misconception is None
    assert f"expected {grad:.6g}, got {2 * grad:.6g}" in found.verdicts[0].reason
    message = explain(found)
    assert "expected  (tensor float32 (3,)" in message and "got       (tensor float32 (3,)" in message
    nan = assess(MSE, lambda x, y: mean_square(x, y) + 0 * (x - x.detach()).abs().sqrt().sum())
    assert "values are NaN" in nan.verdicts[0].reason and nan.verdicts[0].kind == "gradient"


def test_a_wrong_value_or_a_changed_input_is_said_before_the_gradient():
    assert assess(MSE, lambda x, y: ((x - y) ** 2).sum().detach()).verdicts[0].kind == "value"
    assert assess(MSE, lambda x, y: ((x - y) ** 2).sum().detach()).misconception.name == "sum"
    assert assess(MSE, lambda x, y: x.sub_(y).pow(2).mean()).verdicts[0].kind == "mutated"


def test_only_the_named_input_has_a_gradient_and_answers_see_plain_ones():
    built = MSE.build_cases()
    assert [c.args[0].requires_grad for c in built] == [True, True]
    assert not built[0].args[1].requires_grad and not built[1].kwargs["y"].requires_grad
    assert assess(MSE, lambda x, y: mean_square(x, y.detach())).passed
    seen = []
    assess(MSE, lambda x, y: seen.append(x.requires_grad) or mean_square(x, y))
    assert seen == [False, True] * 2


def test_a_case_without_gradient_judges_the_result_alone():
    tie = Exercise(**{**vars(MSE), "cases": lambda g: [cases(g)[0].without_gradient(), cases(g)[1]]})
    found = assess(tie, lambda x, y: mean_square(x, y).detach())
    assert [verdict.kind for verdict in found.verdicts] == ["right", "gradient"]


def test_one_expected_gradient_that_is_0_does_not_excuse_the_others():
    nothing, something = to_plain((torch.zeros(2), torch.ones(2)))
    assert gradient_difference("there is none", (nothing, nothing), ("x", "y")) is None
    for expected in ((nothing, something), (something, nothing), (something, something)):
        found = gradient_difference("there is none", expected, ("x", "y"))
        assert found.kind == "gradient" and found.where == "with respect to x and y"
    assert gradient_difference((something,), (nothing, something), ("x", "y")).kind == "gradient"


def test_a_gradient_with_a_nan_may_be_that_of_a_mistake():
    broken, whole = to_plain((torch.tensor([float("nan"), 1.0]), torch.ones(2)))
    assert gradient_difference((broken,), (broken,), ("x",)) is None
    assert gradient_difference((whole,), (broken,), ("x",)) and gradient_difference((broken,), (whole,), ("x",))


def test_the_gradient_is_that_of_finite_differences():
    def result(x):
        return {"p": torch.softmax(x, dim=-1), "n": [x.square().sum(), 3]}

    x = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    drawn = torch.Generator().manual_seed(0)
    weights = [0.5 + torch.rand(shape, generator=drawn, dtype=torch.float64) for shape in ((4,), ())]

    def weighted(x):
        made = result(x)
        return ((made["p"] * weights[0]).sum() + made["n"][0] * weights[1]).item()

    steps = torch.eye(4, dtype=torch.float64) * 1e-6
    numeric = np.array([(weighted(x.detach() + s) - weighted(x.detach() - s)) / 2e-6 for s in steps])
    (found,) = gradient(result(x), [x])
    assert np.abs(found.values - numeric).max() < 1e-8 and np.abs(numeric).min() > 1e-3
    (itself,) = gradient((3 * x).sum(), [x])
    assert itself.values.tolist() == [3.0] * 4


def test_a_result_that_does_not_depend_on_an_input_needs_no_gradient_there():
    x = require_grad(torch.ones(2))
    (zero,) = gradient(0 * x.sum(), [x])
    assert gradient_difference("there is none", (zero,), ["x"]) is None
    assert gradient_difference("there is none", to_plain((torch.ones(2),)), ["x"]).what == "there is none"
    assert gradient_difference((), to_plain((torch.ones(2),)), ["x"]).kind == "gradient"
    y = require_grad(torch.ones(2))
    assert [part.values.any() for part in gradient(x.sum(), [x, y])] == [True, False]


def test_the_gradient_crosses_to_the_grader_as_plain_data():
    there = MSE.build_cases()[0]
    here = protocol.case_from_plain(protocol.decode(protocol.encode(protocol.case_to_plain(there), 10**6), inputs=True))
    for answer in (mean_square, without_graph):
        outcome = run_answer(answer, here)
        sent = protocol.encode(protocol.outcome_to_plain(outcome), 10**6)
        back = protocol.outcome_from_plain(protocol.decode(sent))
        assert (
            to_plain(back.gradient) == outcome.gradient
            or gradient_difference(back.gradient, outcome.gradient, ["x"]) is None
        )
        assert bool(outcome.gradient) and type(back.gradient) is type(outcome.gradient)


def test_a_reference_without_a_finite_gradient_is_the_exercises_fault():
    for reference, words in ((without_graph, "there is none"), (lambda x, y: (x - x).abs().sqrt().sum(), "not finite")):
        with pytest.raises(RuntimeError, match=words):
            AnswerKey(Exercise(**{**vars(MSE), "reference": reference}))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"gradient": "x"}, "must be a tuple"), ({"gradient": ("z",)}, "names 'z', but the reference has x, y"),
        ({"decide": lambda *a: None}, "no `decide`"), ({"reference": 3, "cases": None}, "asks for a function"),
    ],
)  # fmt: skip
def test_a_gradient_that_cannot_be_judged_is_refused(changes, words, unchecked):
    with pytest.raises(ValueError, match=words):
        Exercise(**{**vars(MSE), **changes})
    whole = Exercise(**{**vars(MSE), "cases": lambda g: [case("ints", torch.ones(1, dtype=torch.long), 0)]})
    with pytest.raises(ValueError, match="no case has a tensor of decimal numbers as x"):
        whole.build_cases()


def test_it_holds_for_an_exercise_of_the_course():
    loss = get("autoregressive.loss")
    found = assess(loss, lambda *args: torch.tensor(loss.reference(*args).item()))
    assert found.misconception.name == "detached" and not any(verdict.right for verdict in found.verdicts)
    with pytest.raises(checking.WrongAnswer, match="cut off from the inputs"):
        checking.check(loss.id, lambda *args: loss.reference(*args).item())


@pytest.mark.parametrize(
    "mine, right",
    [([1.0005, 100.0], True), ([1.0015, 100.0], True), ([1.0025, 100.0], False), ([1.0, 100.09], True),
     ([1.0, 100.11], False), ([1.0, float("nan")], False)],
)  # fmt: skip
def test_a_gradient_may_be_off_by_a_thousandth_and_a_little_of_the_largest(mine, right):
    """By hand: of 1 allowed are 0.001 and 1e-5 of 100, which is 0.001 as well; of 100 it is 0.101."""
    wanted = to_plain((torch.tensor([1.0, 100.0], dtype=torch.float64),))
    found = gradient_difference(to_plain((torch.tensor(mine, dtype=torch.float64),)), wanted, ["x"])
    assert (found is None) is right and (right or found.kind == "gradient")


def test_small_gradients_are_held_against_themselves():
    """What is allowed shrinks with the expected gradient: 0 is not near to one of a few millionths."""
    wanted = to_plain((torch.tensor([5e-6, -2e-6], dtype=torch.float64),))
    near, none = (to_plain((torch.tensor(v, dtype=torch.float64),)) for v in ([5.001e-6, -2e-6], [0.0, 0.0]))
    assert gradient_difference(near, wanted, ["x"]) is None
    assert gradient_difference(none, wanted, ["x"]).kind == "gradient"


def test_the_second_input_counts_as_the_first():
    ones, twos = (to_plain(torch.full((2,), value)) for value in (1.0, 2.0))
    assert gradient_difference((ones, twos), (ones, twos), ["x", "y"]) is None
    found = gradient_difference((ones, ones), (ones, twos), ["x", "y"])
    assert found.where == "with respect to y"
    assert gradient_difference((ones,), (ones, twos), ["x", "y"]).what == "there is not one for each input"


def test_decimal_tensors_in_lists_require_grad_and_others_stay():
    inputs = [torch.ones(1), (torch.arange(2), [torch.ones(1, dtype=torch.float64)]), 3, {"x": torch.ones(1)}]
    made = require_grad(inputs)
    assert made[0].requires_grad and made[1][1][0].requires_grad and type(made[1]) is tuple
    assert not made[1][0].requires_grad and made[2] == 3 and not inputs[0].requires_grad
    assert not made[3]["x"].requires_grad


def test_two_calls_are_seeded_alike_and_what_the_second_prints_is_not_shown():
    def draws(x, y):
        print("called")
        return mean_square(x, y) * (1 + torch.rand(()))

    outcome = run_answer(draws, MSE.build_cases()[0])
    x, y = MSE.build_cases()[0].args
    factor = outcome.value.values / mean_square(x, y).item()
    np.testing.assert_allclose(outcome.gradient[0].values, factor * (2 * (x - y) / 3).detach().numpy(), rtol=1e-5)
    assert outcome.printed == "called\n"


def test_an_input_given_by_its_name_has_its_gradient_too():
    by_name = Exercise(**{**vars(MSE), "cases": lambda g: [case("by name", y=torch.zeros(2), x=torch.ones(2))]})
    (built,) = by_name.build_cases()
    assert built.kwargs["x"].requires_grad and not built.kwargs["y"].requires_grad
    assert assess(by_name, lambda x, y: mean_square(x, y).detach()).verdicts[0].kind == "gradient"


def test_inputs_that_require_grad_are_copies():
    x = torch.ones(2)
    made = require_grad(x)
    with torch.no_grad():
        made += 1
    assert x.tolist() == [1, 1]


@pytest.mark.parametrize(
    "form, shown",
    [
        (lambda loss: loss.item(), "4"), (lambda loss: loss.numpy(), "array float32 () 4."),
        (lambda loss: np.array([loss.item()]), "array float64 (1,) [4.]"),
    ],
)  # fmt: skip
def test_what_is_shown_is_what_came_not_the_tensor_that_was_compared(form, shown):
    fixed = Exercise(**{**vars(MSE), "cases": lambda g: [case("by hand", torch.tensor([0.0, 2.0]), torch.zeros(2))]})
    found = assess(fixed, lambda x, y: form(((x - y) ** 2).sum()))
    assert found.verdicts[0].kind in ("value", "shape") and f"    got       {shown}" in explain(found)
    right = assess(fixed, lambda x, y: form(((x - y) ** 2).mean()))
    assert not right.passed and getattr(right.outcomes[0].value, "kind", "number") != "tensor"


def test_every_tensor_of_a_list_has_its_gradient_compared():
    """Two lists of tensors: one name stands for several gradients, and the last counts as the first."""

    def total(xs, ys):
        return sum(x.square().sum() for x in xs) + sum((3 * y).sum() for y in ys)

    def drawn(generator):
        xs, ys = ([torch.randn(2, generator=generator) for _ in range(3)] for _ in range(2))
        return [case("three of each", xs, ys), case("by name", xs=xs[:2], ys=tuple(ys))]

    lists = Exercise(
        **{**vars(MSE), "reference": total, "cases": drawn, "gradient": ("xs", "ys"), "misconceptions": ()}
    )
    assert assess(lists, total).passed
    for number, cut in enumerate(("xs", "xs", "xs", "ys", "ys", "ys")):

        def answer(xs, ys):
            parts = {"xs": list(xs), "ys": list(ys)}
            at = min(number % 3, len(parts[cut]) - 1)
            parts[cut][at] = parts[cut][at].detach()
            return total(**parts)

        found = assess(lists, answer)
        assert [verdict.kind for verdict in found.verdicts] == ["gradient"] * 2
        assert all(f"with respect to {cut}" in verdict.reason for verdict in found.verdicts)
