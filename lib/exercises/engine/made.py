"""Inputs that the `Made` recipes of cases build: models, LLM judges and optimizers that an answer is called with.

They are separate from the exercises because the grader builds them in a process that must never load a
reference, an accepted answer or a misconception. So this module imports nothing from an exercise's module, and
nothing from the rooms of lib that a student may have replaced before the cases are built.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Judge = Callable[[Tensor, Tensor], Tensor]
Function = Callable[[Tensor], Tensor]


# --- functions with known receptive fields (attention.receptive_field) ----------------------------------------------
def reads_by_pattern(pattern: list[list[float | int]], cancelling: bool = False) -> Function:
    """A function of x (T, 2) whose output i reads the inputs in row i of `pattern`, with these weights; 0 for not at all.

    With `cancelling`, the derivatives of an output's two coordinates sum to 0.

    >>> reads_by_pattern([[1, 0], [1, 1]])(torch.ones(2, 2)).tolist()
    [[3.0, 3.0], [5.0, 5.0]]
    """
    mix = torch.tensor(pattern, dtype=torch.float32)
    turn = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) if cancelling else torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    return lambda x: mix @ x @ turn + 1


def reads_in_second_output() -> Function:
    """A function of x (T, D): output 0 of each position is constant, output 1 reads the previous position."""
    return lambda x: torch.stack([torch.zeros_like(x[:, 0]), x.roll(1, dims=0)[:, 0]], dim=1)


def reads_one_number(output: int, given: int) -> Function:
    """A function of x (T, D): number `output` of each position is number `given` of the previous one; the rest is 0.

    >>> reads_one_number(0, 1)(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[4.0, 0.0], [2.0, 0.0]]
    """
    return lambda x: torch.eye(x.shape[1])[output] * x.roll(1, dims=0)[:, given, None]


def reads_faintly() -> Function:
    """A function of x (T, D): every position also reads the first one, with a weight of 0.001."""
    return lambda x: x + 1e-3 * x[:1]


def reads_what_is_positive(pattern: list[list[float | int]]) -> Function:
    """As `reads_by_pattern`, but a coordinate of x that is not positive has no influence (ReLU).

    >>> reads_what_is_positive([[1, 0], [1, 1]])(torch.tensor([[1.0, 2.0], [-3.0, 0.0]])).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    mix = torch.tensor(pattern, dtype=torch.float32)
    return lambda x: mix @ x.relu()


# --- language models without a neural network (chain, sft, writing, windows) ------------------------------------------------
def next_probs_of_prefix(V: int, seed: int) -> Callable[[list[int]], list[float]]:
    """A model over V tokens whose next distribution depends on the whole prefix and its order.

    >>> round(sum(next_probs_of_prefix(3, seed=0)([2, 1])), 6)
    1.0
    """

    def next_probs(prefix: list[int]) -> list[float]:
        code = seed
        for token in prefix:
            code = _next_code(code, token)
        return torch.softmax(_scores(V, code), dim=0).tolist()

    return next_probs


def next_probs_of_calls(V: int, seed: int, most: int | None = None) -> Callable[[list[int]], list[float]]:
    """As `next_probs_of_prefix`, but each call counts, too: whoever asks twice for one token gets another row.

    The model raises RuntimeError when it is called more than `most` times.

    >>> model = next_probs_of_calls(3, seed=0)
    >>> model([2, 1]) == model([2, 1])
    False
    """
    calls = 0

    def next_probs(prefix: list[int]) -> list[float]:
        nonlocal calls
        calls += 1
        if most is not None and calls > most:
            raise RuntimeError(f"this model was called {calls} times, but only {most} new tokens may be written")
        return next_probs_of_prefix(V, seed + calls)(prefix)

    return next_probs


def next_probs_of_steps(V: int) -> Callable[[list[int]], list[float]]:
    """A model that begins with any of V tokens and then stays or goes one up: all other tokens have the probability 0.

    >>> next_probs_of_steps(3)([2, 1])
    [0.0, 0.5, 0.5]
    """

    def next_probs(prefix: list[int]) -> list[float]:
        if not prefix:
            return [1 / V] * V
        return [0.5 * (token in (prefix[-1], (prefix[-1] + 1) % V)) for token in range(V)]

    return next_probs


def draws_in_turn(seed: int) -> Callable[[list[float]], int]:
    """A function that draws a token by its probabilities, with the next of a fixed row of random numbers at each call.

    >>> draws_in_turn(0)([0.0, 1.0, 0.0])
    1
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(probabilities: list[float]) -> int:
        weights = torch.tensor(probabilities, dtype=torch.float64)
        u = torch.rand((), generator=generator, dtype=torch.float64) * weights.sum()
        return int((weights.cumsum(0) <= u).sum())

    return draw


def log_probs_in_window(V: int, window: int, seed: int) -> Callable[[Tensor], Tensor]:
    """A model that reads at most `window` of V ids: ids (T,) → log-probabilities (T, V) of what follows each of them.

    Each row depends on all ids up to its own, in their order. ValueError for no ids, or for more than `window`.

    >>> log_probs_in_window(3, window=4, seed=0)(torch.tensor([2, 1])).exp().sum(-1).tolist()
    [1.0, 1.0]
    """
    next_probs = next_probs_of_prefix(V, seed)

    def log_probs(ids: Tensor) -> Tensor:
        prefix = [int(i) for i in ids]
        if not 1 <= len(prefix) <= window:
            raise ValueError(f"this model reads 1 to {window} ids at a time, got {len(prefix)}")
        rows = [next_probs(prefix[: t + 1]) for t in range(len(prefix))]
        return torch.tensor(rows, dtype=torch.float64).log()

    return log_probs


def log_prob_of_sequence(V: int, seed: int) -> Callable[[list[int]], float]:
    """log P of whole sequences over V tokens, for a model whose next distribution depends on the prefix.

    >>> log_prob_of_sequence(3, seed=0)([])
    0.0
    """

    def log_prob(ids: list[int]) -> float:
        total, code = 0.0, seed
        for token in ids:
            total += torch.log_softmax(_scores(V, code), dim=0)[token].item()
            code = _next_code(code, token)
        return total

    return log_prob


def encodes_pairs(seed: int) -> Callable[[str], list[int]]:
    """A tokenizer of two letters a token: a text that is encoded in pieces has other ids than the whole. Ids are above 9.

    >>> encode = encodes_pairs(0)
    >>> len(encode("abc")), encode("ab") + encode("c") == encode("abc"), encode("a") + encode("bc") == encode("abc")
    (2, True, False)
    """

    def encode(text: str) -> list[int]:
        pairs = (text[i : i + 2] for i in range(0, len(text), 2))
        return [
            10 + (seed + sum(ord(letter) * 997**place for place, letter in enumerate(pair))) % 99_991 for pair in pairs
        ]

    return encode


def _scores(V: int, code: int) -> Tensor:
    return torch.randn(V, generator=torch.Generator().manual_seed(code), dtype=torch.float64)


def _next_code(code: int, token: int) -> int:
    return (code * 31 + token + 1) % 10_007


# --- a policy that writes several tokens (credit.train_step) --------------------------------------------------
def token_policy(N: int, T: int, seed: int) -> Function:
    """Log-probabilities (N, T) of N written answers as functions of three parameters.

    >>> token_policy(2, 4, seed=0)(torch.zeros(3, dtype=torch.float64)).shape
    torch.Size([2, 4])
    """
    features = torch.randn(N, T, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lambda theta: nn.functional.logsigmoid(features @ theta)


# --- an LLM judge with a position bias (judge.debiased_preference) -----------------------------------------------
def judge_with_bias(position_bias: float, temperature: float) -> Judge:
    """A simulated LLM judge: from two scores (N,), its probability (N,) that the answer shown first wins.

    It does the same as `lib.evaluation.judge_probability`, even if a notebook has replaced that function.

    >>> judge_with_bias(0.0, 1.0)(torch.zeros(1), torch.zeros(1))
    tensor([0.5000])
    """

    def judge(shown_first: Tensor, shown_second: Tensor) -> Tensor:
        return torch.sigmoid((shown_first - shown_second) / temperature + position_bias)

    return judge


# --- an optimizer with a state (budget.state_bytes) ------------------------------------------------------
def used_optimizer(
    name: str, dtype: torch.dtype, steps: int, settings: dict, widths: tuple[int, ...] = (4, 3, 5, 2)
) -> torch.optim.Optimizer:
    """An optimizer of two small layers with a frozen layer between them, after `steps` steps.

    `widths` are those of the input, of the two hidden layers and of the output.

    >>> len(used_optimizer("Adam", torch.float32, 1, {}).state)
    4
    """
    first, second, third, last = widths
    layers = nn.Sequential(nn.Linear(first, second), nn.Linear(second, third, bias=False), nn.Linear(third, last))
    layers.to(dtype)
    layers[1].requires_grad_(False)
    optimizer = getattr(torch.optim, name)(layers.parameters(), lr=0.01, **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        layers(torch.ones(2, first, dtype=dtype)).sum().backward()
        optimizer.step()
    return optimizer


def optimizer_with_none() -> torch.optim.Optimizer:
    """SGD whose biases have no momentum: None instead of a tensor, as PyTorch 2.0 and earlier saved it.

    >>> [kept["momentum_buffer"] is None for kept in optimizer_with_none().state.values()]
    [False, True, False, True]
    """
    optimizer = used_optimizer("SGD", torch.float32, 1, {"momentum": 0.9})
    for parameter, kept in optimizer.state.items():
        if parameter.dim() == 1:
            kept["momentum_buffer"] = None
    return optimizer


def optimizer_in_groups() -> torch.optim.Optimizer:
    """Adam of three layers in two groups, after a step; since then gradients were freed, and the first layer frozen.

    The entry of each bias begins with None, as an optimizer may keep for something that it does not use.

    >>> [len(group["params"]) for group in optimizer_in_groups().param_groups]
    [4, 2]
    """
    layers = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3))
    first, second = list(layers[:2].parameters()), list(layers[2].parameters())
    groups: list[dict[str, Any]] = [{"params": first}, {"params": second, "lr": 0.1}]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    layers(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    layers[0].requires_grad_(False)
    for parameter, kept in list(optimizer.state.items()):
        if parameter.dim() == 1:
            optimizer.state[parameter] = {"max_exp_avg_sq": None, **kept}
    return optimizer
