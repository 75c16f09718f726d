"""Exercises of notebook 15: the state of a real optimizer, and the number of GPUs for a training run."""

import math

import torch

from lib.accounting import optimizer_state_bytes
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import optimizer_with_none, used_optimizer

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
            "You count only exp_avg_sq. “Adam stores the second moment” (T46) is half of the state: exp_avg is stored "
            "too.",
        ),
        Misconception(
            "parameters_and_gradients",
            lambda optimizer: _bytes(t for p in _parameters(optimizer) for t in (p, p.grad) if t is not None),
            "These are parameters and gradients, which T46 calls the optimizer's weights. They belong to the model; "
            "look "
            "into optimizer.state.",
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
        "Add t.numel() * t.element_size() over all tensors of all entries of optimizer.state.values().",
    ),
    withheld=("lib.accounting.measured.tensor_bytes",),
)


# --- budget.gpus_needed -------------------------------------------------------------------------------------
def gpus_for(state_bytes: int, activation_bytes: int, gpu_bytes: int) -> int | None:
    """The number of GPUs for a training run whose state is divided among them; each holds its own activations.

    None if the activations leave no room for the state.

    >>> gpus_for(112, 20, 80), gpus_for(112, 80, 80)
    (2, None)
    """
    room = gpu_bytes - activation_bytes
    return -(-state_bytes // room) if room > 0 else None


def _gpu_cases(generator):
    GB = 10**9
    state, activations = torch.randint(1, 40, (2,), generator=generator).tolist()
    return [
        case("T46's 7B on GPUs of 80 GB", 112 * GB, 10 * GB, 80 * GB),
        case("a small model fits on one GPU", 2 * GB, GB, 24 * GB),
        case("it fits exactly", 300 * GB, 30 * GB, 80 * GB),
        case("one byte more than fits", 300 * GB + 1, 30 * GB, 80 * GB),
        case("it fits exactly on one GPU", 50 * GB, 30 * GB, 80 * GB),
        case("one byte more than fits on many", 10**15 - 80 * GB + 1, 40 * GB, 80 * GB),
        case("one byte of room", 7, 80 * GB - 1, 80 * GB),
        case("the activations fill the GPU", 16 * GB, 24 * GB, 24 * GB),
        case("the activations are too large", 112 * GB, 31 * GB, 24 * GB),
        case("random sizes", 40 * state * GB, activations * GB, 48 * GB),
    ]


def _with_room(count):
    """An answer that returns None where there is no room, and else `count(state, activations, gpu)`."""
    return lambda state, activations, gpu: count(state, activations, gpu) if activations < gpu else None


def _one_by_one(state, activations, gpu):
    if activations >= gpu:
        return None
    count = 1
    while state > count * (gpu - activations):
        count += 1
    return count


GPUS = Exercise(
    id="budget.gpus_needed",
    slides=("T45",),
    points=3,
    minutes=10,
    title="How many GPUs?",
    reference=gpus_for,
    cases=_gpu_cases,
    accepts=(_one_by_one, _with_room(lambda state, activations, gpu: math.ceil(state / (gpu - activations)))),
    withheld=("lib.accounting.units.gpus_needed",),
    misconceptions=(
        Misconception(
            "rounded_down",
            _with_room(lambda state, activations, gpu: state // (gpu - activations)),
            "You round down, and the rest of the state does not fit. A fraction of a GPU needs one more GPU.",
        ),
        Misconception(
            "rounded",
            _with_room(lambda state, activations, gpu: round(state / (gpu - activations))),
            "You round to the nearest number. 2.3 GPUs means 3, not 2: always round up.",
        ),
        Misconception(
            "one_too_many",
            _with_room(lambda state, activations, gpu: state // (gpu - activations) + 1),
            "If the state fits exactly, your answer is one GPU too many. Round up instead of adding one.",
        ),
        Misconception(
            "not_rounded",
            _with_room(lambda state, activations, gpu: state / (gpu - activations)),
            "The number of GPUs is a whole number. Round up.",
        ),
        Misconception(
            "activations_divided",
            _with_room(lambda state, activations, gpu: math.ceil((state + activations) / gpu)),
            "You divide the activations among the GPUs too. Each GPU holds those of its own texts, so gpu_bytes − "
            "activation_bytes remain for the state on each.",
        ),
        Misconception(
            "no_activations",
            _with_room(lambda state, activations, gpu: math.ceil(state / gpu)),
            "The activations are missing: they take memory on every GPU.",
        ),
        Misconception(
            "no_room_is_below_zero",
            lambda state, activations, gpu: math.ceil(state / (gpu - activations)) if activations <= gpu else None,
            "If the activations fill the GPU to the last byte, you divide by zero: that is no room either.",
        ),
        Misconception(
            "zero_for_none",
            lambda state, activations, gpu: gpus_for(state, activations, gpu) or 0,
            "Where there is no room you return 0, as if no GPU were needed. Return None.",
        ),
        Misconception(
            "no_room_is_zero",
            lambda state, activations, gpu: math.ceil(state / (gpu - activations)) if activations != gpu else None,
            "If the activations are larger than the GPU, your number of GPUs is negative: that is no room either.",
        ),
        Misconception(
            "no_room_unnoticed",
            lambda state, activations, gpu: math.ceil(state / (gpu - activations)),
            "If the activations leave no room, you divide by zero or get a negative number. No number of GPUs is "
            "enough: "
            "return None.",
        ),
    ),
    hints=(
        "On each GPU gpu_bytes − activation_bytes remain for its share of the state.",
        "If there is room: the state by the room, rounded up, for instance with math.ceil.",
    ),
)

EXERCISES = (STATE, GPUS)
