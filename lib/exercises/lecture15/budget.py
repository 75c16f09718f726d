"""Exercise of notebook 15: the state of a real optimizer."""

import torch

from lib.accounting import optimizer_state_bytes
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import optimizer_in_groups, optimizer_with_none, used_optimizer

# --- budget.state_bytes -------------------------------------------------------------------------------------
_OPTIMIZERS = [
    ("Adam", {}), ("Adam", {"amsgrad": True}), ("AdamW", {}), ("AdamW", {"amsgrad": True}), ("NAdam", {}), ("RAdam", {}),
    ("SGD", {"momentum": 0.9}), ("RMSprop", {}), ("RMSprop", {"momentum": 0.9}), ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}), ("Adamax", {}), ("Adagrad", {}), ("Adadelta", {}),
]  # fmt: skip
_WIDTHS = (torch.bfloat16, torch.float32, torch.float64)


def _optimizer_cases(generator):
    def made(name, dtype=torch.float32, steps=1, **settings):
        return Made(used_optimizer, (name, dtype, steps, settings))

    def drawn():
        which, width, steps = (int(torch.randint(n, (1,), generator=generator)) for n in (len(_OPTIMIZERS), 3, 3))
        name, settings = _OPTIMIZERS[which]
        widths = tuple(torch.randint(2, 40, (4,), generator=generator).tolist())
        return Made(used_optimizer, (name, _WIDTHS[width], steps + 1, settings, widths))

    return [
        case("Adam, after a step", made("Adam")),
        case("Adam, before its first step", made("Adam", steps=0)),
        case("AdamW in bf16, after two steps", made("AdamW", torch.bfloat16, steps=2)),
        case("SGD with momentum", made("SGD", momentum=0.9)),
        case("plain SGD", made("SGD")),
        case("SGD that keeps None for the biases", Made(optimizer_with_none)),
        case(
            "two groups of parameters, whose gradients were freed, and one layer frozen since",
            Made(optimizer_in_groups),
        ),
        case("Adam that also keeps the largest v", made("Adam", amsgrad=True)),
        case("RMSprop in float64", made("RMSprop", torch.float64)),
        case("NAdam, which keeps one more number", made("NAdam", steps=2)),
        case("a random optimizer", drawn()),
        case("a second random optimizer", drawn()),
        case("a third random optimizer", drawn()),
    ]


def _tensors(kept):
    return [value for value in kept.values() if isinstance(value, torch.Tensor)]


def _state(optimizer):
    return [value for kept in optimizer.state.values() for value in _tensors(kept)]


def _parameters(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


def _bytes(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


def _all_at_once(optimizer, keep=lambda value: True):
    """The bytes of all entries, or of those that `keep` accepts, without asking which of them are tensors."""
    return sum(v.numel() * v.element_size() for kept in optimizer.state.values() for v in kept.values() if keep(v))


def _named(optimizer, *names):
    """The bytes of the entries that have one of these names."""
    return _bytes(k[n] for k in optimizer.state.values() for n in names if k.get(n) is not None)


def _of(optimizer, keep):
    """The bytes of the entries of those parameters that `keep` accepts."""
    return _bytes(t for p, kept in optimizer.state.items() if keep(p) for t in _tensors(kept))


def _up_to_none(optimizer):
    before = []
    for kept in optimizer.state.values():
        values = list(kept.values())
        before += values[: next((i for i, v in enumerate(values) if v is None), len(values))]
    return _bytes(before)


def _by_recursion(value):
    if isinstance(value, dict):
        return sum(map(_by_recursion, value.values()))
    return value.nbytes if isinstance(value, torch.Tensor) else 0


STATE = Exercise(
    id="budget.state_bytes",
    slides=("T46",),
    points=3,
    minutes=10,
    title="The state of an optimizer",
    reference=lambda optimizer: optimizer_state_bytes(optimizer),
    cases=_optimizer_cases,
    accepts=(
        lambda optimizer: _bytes(_state(optimizer)),
        lambda optimizer: sum(
            value.nbytes
            for kept in optimizer.state_dict()["state"].values()
            for value in kept.values()
            if torch.is_tensor(value)
        ),
        lambda optimizer: _by_recursion(dict(optimizer.state)),
    ),
    misconceptions=(
        Misconception(
            "second_moment_only",
            lambda optimizer: _bytes(k["exp_avg_sq"] for k in optimizer.state.values() if "exp_avg_sq" in k),
            "You count only exp_avg_sq, the second moment. It is half of the state: exp_avg is stored too.",
        ),
        Misconception(
            "parameters_and_gradients",
            lambda optimizer: _bytes(t for p in _parameters(optimizer) for t in (p, p.grad) if t is not None),
            "These are parameters and gradients. They belong to the model; look into optimizer.state.",
        ),
        Misconception(
            "no_step_counter",
            lambda optimizer: _bytes(t for t in _state(optimizer) if t.dim()),
            "Almost: Adam also stores a step counter of 4 bytes for each parameter tensor, a tensor without "
            "dimensions.",
        ),
        Misconception(
            "numbers_not_bytes",
            lambda optimizer: sum(t.numel() for t in _state(optimizer)),
            "You counted numbers. Each has element_size() bytes.",
        ),
        Misconception(
            "four_bytes_each",
            lambda optimizer: sum(4 * t.numel() for t in _state(optimizer)),
            "You count 4 bytes per number. The moments of bf16 weights are bf16 here: use element_size().",
        ),
        Misconception(
            "eight_bytes_a_parameter",
            lambda optimizer: sum(8 * p.numel() for p in _parameters(optimizer)),
            "This is a formula, not a measurement: it counts 8 bytes per parameter even if it is frozen, before the "
            "first "
            "step, or without Adam.",
        ),
        Misconception(
            "two_numbers_a_parameter",
            lambda optimizer: _bytes(2 * _parameters(optimizer)),
            "You assume two numbers per parameter, which is Adam after a step on weights that are all trained: measure "
            "what is there.",
        ),
        Misconception(
            "moments_by_name",
            lambda optimizer: _bytes(
                k[m] for k in optimizer.state.values() for m in ("exp_avg", "exp_avg_sq") if m in k
            ),
            "You ask for Adam's two moments by name. There are step counters too, and other optimizers keep others.",
        ),
        Misconception(
            "adams_names",
            lambda optimizer: _named(optimizer, "step", "exp_avg", "exp_avg_sq"),
            "You ask for three entries of Adam by name. Other optimizers keep others, and Adam itself may keep a fourth: take "
            "all values, whatever their names.",
        ),
        Misconception(
            "adams_formula",
            lambda optimizer: sum(2 * p.nbytes + 4 for p in optimizer.state),
            "Two numbers for each weight and a counter are Adam's usual state. Measure the tensors that are there.",
        ),
        Misconception(
            "as_wide_as_the_parameter",
            lambda optimizer: sum(
                t.numel() * p.element_size() for p, kept in optimizer.state.items() for t in _tensors(kept)
            ),
            "You count every entry with the bytes per number of its parameter. A step counter has 4 bytes beside weights of any "
            "width: ask each tensor itself.",
        ),
        Misconception(
            "first_group_only",
            lambda optimizer: _of(optimizer, lambda p: any(p is q for q in optimizer.param_groups[0]["params"])),
            "You count the first group of parameters alone. optimizer.param_groups may have several; optimizer.state has the "
            "entries of all.",
        ),
        Misconception(
            "with_a_gradient_only",
            lambda optimizer: _of(optimizer, lambda p: p.grad is not None),
            "You count only parameters that have a gradient at this moment. After zero_grad() the moments are still there.",
        ),
        Misconception(
            "trained_now_only",
            lambda optimizer: _of(optimizer, lambda p: p.requires_grad),
            "You count only parameters that are still trained. Who is frozen later keeps its entry: measure optimizer.state.",
        ),
        Misconception(
            "stops_at_none",
            _up_to_none,
            "You leave an entry at its first None. Tensors may follow it: pass over the None alone.",
        ),
        Misconception(
            "without_none",
            _all_at_once,
            "An entry may hold None instead of a tensor, which has no bytes: pass over it.",
        ),
        Misconception(
            "truth_of_a_tensor",
            lambda optimizer: _all_at_once(optimizer, bool),
            "A tensor of several numbers is neither true nor false. Ask whether the value is a tensor at all.",
        ),
        Misconception(
            "step_left_out_by_name",
            lambda optimizer: _bytes(
                t for k in optimizer.state.values() for n, t in k.items() if n != "step" and t is not None
            ),
            "You leave out what is called step. It is a tensor as well, of 4 bytes for each parameter tensor.",
        ),
        Misconception(
            "one_tensor",
            lambda optimizer: _bytes(_tensors(next(iter(optimizer.state.values()), {}))),
            "You measured the state of one parameter tensor. optimizer.state has an entry for each.",
        ),
        Misconception(
            "with_the_parameters",
            lambda optimizer: _bytes([*_state(optimizer), *_parameters(optimizer)]),
            "The parameters are in your sum too. They belong to the model; count only the optimizer's state.",
        ),
    ),
    hints=(
        ("optimizer.state is a dictionary: parameter → {'exp_avg': tensor, 'exp_avg_sq': tensor, 'step': tensor}."),
        "Two loops: over optimizer.state.values(), and over the values of each. Which values are tensors? A tensor's bytes are "
        "its numbers times the bytes of one of them.",
    ),
    withheld=("lib.accounting.measured.tensor_bytes",),
)

EXERCISES = (STATE,)
