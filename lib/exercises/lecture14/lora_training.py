"""An exercise of `lora`: train the two factors of one layer by gradient descent, and merge them."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- lora.tune --------------------------------------------------------------------------------------------------------
def tuned_weight(
    x: Float[Tensor, "N I"],
    y: Float[Tensor, "N O"],
    weight: Float[Tensor, "O I"],
    A: Float[Tensor, "R I"],
    alpha: float | int,
    learning_rate: float,
    steps: int,
) -> Float[Tensor, "O I"]:
    """`steps` updates of A and B (zero at the start) on the mean squared error; then W₀ + α/r BA (slide W27)."""
    return _tuned(x, y, weight, A, alpha, learning_rate, steps)


def _tuned(
    x, y, weight, A, alpha, learning_rate, steps, *, scale=None, start=None, mean=True, one_after_another=False,
    freeze_A=False, freeze_B=False, train_weight=False, summed=False, ascend=False, merged=True, late=0,
    merge_scale=None, keep_scale=True,
):  # fmt: skip
    """The exercise by formulas, with a switch for each mistake."""
    s = alpha / A.shape[0] if scale is None else scale(A, alpha)
    B = torch.zeros(weight.shape[0], A.shape[0]).to(weight) if start is None else start(weight, A)
    sum_A, sum_B = torch.zeros_like(A), torch.zeros_like(B)
    weight_now = weight
    for _ in range(steps + late):
        error = x @ weight_now.T + s * x @ A.T @ B.T - y
        slope = 2 * error / (error.numel() if mean else 1)  # (N, O): the loss's gradient with respect to the outputs
        passed = s if keep_scale else 1
        sum_B = passed * slope.T @ (x @ A.T) + (sum_B if summed else 0)
        B_next = B - (0 if freeze_B else 1) * (-1 if ascend else 1) * learning_rate * sum_B
        sum_A = passed * (B_next if one_after_another else B).T @ slope.T @ x + (sum_A if summed else 0)
        A = A - (0 if freeze_A else 1) * (-1 if ascend else 1) * learning_rate * sum_A
        B = B_next
        if train_weight:
            weight_now = weight_now - learning_rate * slope.T @ x
    if not merged:
        return s * B @ A
    return weight_now + (s if merge_scale is None else merge_scale(A, alpha)) * B @ A


def _by_optimizer(make, x, y, weight, A, alpha, learning_rate, steps, *, until_it_rises=False):
    A = A.detach().clone().requires_grad_()
    B = torch.zeros(weight.shape[0], A.shape[0], dtype=A.dtype, requires_grad=True)
    optimizer, least = make([A, B], lr=learning_rate), float("inf")
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(x @ (weight + alpha / len(A) * B @ A).T, y)
        if until_it_rises and loss.item() > least:
            break
        loss.backward()
        optimizer.step()
        least = loss.item()
    return (weight + alpha / len(A) * B @ A).detach()


def _with_momentum(parameters, lr):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def _by_autograd(*inputs):
    return _by_optimizer(torch.optim.SGD, *inputs)


def _factors(x, y, weight, A, alpha, learning_rate, steps, A_first=False):
    """A and B after each update, by formulas; with `A_first`, B's gradient is taken at the new A."""
    s, B = alpha / A.shape[0], torch.zeros(weight.shape[0], A.shape[0]).to(weight)
    for _ in range(steps):
        slope = 2 * (x @ weight.T + s * x @ A.T @ B.T - y) / y.numel()
        A_next = A - learning_rate * s * B.T @ slope.T @ x
        B = B - learning_rate * s * slope.T @ (x @ (A_next if A_first else A).T)
        A = A_next
        yield A, B


def _A_first(x, y, weight, A, alpha, learning_rate, steps):
    merged = weight
    for now, B in _factors(x, y, weight, A, alpha, learning_rate, steps, A_first=True):
        merged = weight + alpha / len(A) * B @ now
    return merged


def _added_after_each(x, y, weight, A, alpha, learning_rate, steps):
    s, B = alpha / A.shape[0], torch.zeros(weight.shape[0], A.shape[0]).to(weight)
    for _ in range(steps):
        slope = 2 * (x @ weight.T + s * x @ A.T @ B.T - y) / y.numel()
        to_A, to_B = s * B.T @ slope.T @ x, s * slope.T @ (x @ A.T)
        A, B = A - learning_rate * to_A, B - learning_rate * to_B
        weight = weight + s * B @ A
    return weight


def _with_the_first_A(x, y, weight, A, alpha, learning_rate, steps):
    merged = weight
    for _, B in _factors(x, y, weight, A, alpha, learning_rate, steps):
        merged = weight + alpha / len(A) * B @ A
    return merged


def _by_autograd_two_paths(x, y, weight, A, alpha, learning_rate, steps):
    A, B = A.clone(), A.new_zeros(weight.shape[0], A.shape[0])
    for _ in range(steps):
        A.requires_grad_(), B.requires_grad_()
        loss = (x @ weight.T + (x @ A.T) @ B.T * (alpha / A.shape[0]) - y).pow(2).mean()
        to_A, to_B = torch.autograd.grad(loss, [A, B])
        A, B = (A - learning_rate * to_A).detach(), (B - learning_rate * to_B).detach()
    return torch.addmm(weight, B, A, alpha=alpha / A.shape[0])


def _steep():
    """Two inputs of one feature, and the same tensors for every seed."""
    return torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5]]), torch.tensor([[1.0]])


def _layers(generator):
    def draw(N, out, width, rank):
        shapes = ((N, width), (N, out), (out, width), (rank, width))
        return [torch.randn(*shape, generator=generator) for shape in shapes]

    x, y, W, A = draw(6, 3, 4, 2)
    return [
        case("three updates, rank 2", x, y, W, A, 4, 0.05, 3),
        case("one update: A has not moved yet", x, y, W, A, 4, 0.05, 1),
        case("no update: the layer as it was", x, y, W, A, 4, 0.05, 0),
        case("two updates", *draw(5, 4, 3, 1), 2.0, 0.1, 2),
        case("a square layer, rank 3", *draw(8, 4, 4, 3), 5, 0.05, 4),
        case("alpha below the rank", *draw(4, 5, 6, 3), 1.5, 0.2, 3),
        case("one row", *draw(1, 3, 5, 2), 3.0, 0.05, 5),
        case("a large learning rate: the loss rises, and the updates go on", *_steep(), 2, 0.12, 3),
    ]


def _mistake(name, hint, **switches):
    def answer(x, y, weight, A, alpha, learning_rate, steps):
        return _tuned(x, y, weight, A, alpha, learning_rate, steps, **switches)

    return Misconception(name, answer, hint)


TUNE = Exercise(
    id="lora.tune",
    slides=("W27", "T47"),
    points=5,
    minutes=25,
    title="Train a low-rank update and merge it",
    reference=tuned_weight,
    cases=_layers,
    accepts=(_by_autograd, _by_autograd_two_paths),
    tolerance=Tolerance(rtol=1e-4, atol=1e-5),
    withheld=(
        "lib.adapters.lora.inject_lora",
        "lib.adapters.lora.weight_changes",
        "lib.adapters.lora.attach",
        "lib.adapters.merging.merge",
        "lib.adapters.saved.load_adapter",
        "lib.adapters.lora_layer.LoraLayer",
        "lib.adapters.lora_layer._with_low_rank",
        "lib.adapters.lora_layer._add_product",
        "lib.adapters.lora_layer._LowRankProduct",
        "lib.adapters.lora_layer._add_low_rank",
    ),
    misconceptions=(
        _mistake(
            "one_after_another",
            "You update B first and use the new B for A's gradient. Both gradients belong to the same loss: compute both, "
            "then update both.",
            one_after_another=True,
        ),
        _mistake(
            "gradients_add_up",
            "Your gradients add up from one update to the next. PyTorch adds to `.grad`; set it to zero, or use "
            "torch.autograd.grad.",
            summed=True,
        ),
        _mistake("A_not_trained", "A stays as it was. Both factors are trained.", freeze_A=True),
        _mistake("B_not_trained", "B stays zero, so nothing changes. Both factors are trained.", freeze_B=True),
        _mistake(
            "weight_trained",
            "You update the weight too. It is frozen: only A and B are trained.",
            train_weight=True,
        ),
        _mistake("ascending", "You add the gradient. Descent subtracts it.", ascend=True),
        _mistake(
            "sum_of_squares",
            "You use the sum of the squared errors. The mean is over all N · d numbers.",
            mean=False,
        ),
        _mistake("no_scale", "The update has no scale. It is α/r times BA.", scale=lambda A, alpha: 1.0),
        _mistake("alpha_alone", "You scale by α; divide it by the rank.", scale=lambda A, alpha: alpha),
        _mistake(
            "scale_forgotten_in_the_gradient",
            "Your gradients lack the factor α/r, which stands between A, B and the loss.",
            keep_scale=False,
        ),
        _mistake(
            "merged_without_scale",
            "You train with the scale α/r but merge BA without it.",
            merge_scale=lambda A, alpha: 1.0,
        ),
        _mistake("update_only", "That is the update alone. Merged, it is added to the weight.", merged=False),
        _mistake(
            "B_ones",
            "Your B does not start at zero, so the layer does not start as it was.",
            start=lambda weight, A: torch.ones(weight.shape[0], A.shape[0]).to(weight),
        ),
        _mistake("one_update_more", "You make one update more than `steps`.", late=1),
        Misconception(
            "one_update_less",
            lambda x, y, weight, A, alpha, learning_rate, steps: _tuned(
                x, y, weight, A, alpha, learning_rate, max(steps - 1, 0)
            ),
            "You make one update less than `steps`.",
        ),
        _mistake(
            "integer_scale",
            "You divide α by r with //, which drops the fraction: the scale need not be a whole number.",
            scale=lambda A, alpha: alpha // A.shape[0],
        ),
        _mistake(
            "rank_from_the_inputs",
            "You divide α by the number of inputs. A is r × k: which of its two sizes is the rank?",
            scale=lambda A, alpha: alpha / A.shape[1],
        ),
        Misconception(
            "A_first",
            _A_first,
            "You update A first and use the new A for B's gradient. Both gradients belong to the same loss: compute both, then "
            "update both.",
        ),
        Misconception(
            "adamw",
            lambda *inputs: _by_optimizer(torch.optim.AdamW, *inputs),
            "That is AdamW. Plain gradient descent moves by minus the learning rate times the gradient, no more.",
        ),
        Misconception(
            "momentum",
            lambda *inputs: _by_optimizer(_with_momentum, *inputs),
            "Your updates have momentum. Plain gradient descent moves by this update's gradient alone.",
        ),
        Misconception(
            "stops_when_the_loss_rises",
            lambda *inputs: _by_optimizer(torch.optim.SGD, *inputs, until_it_rises=True),
            "You stop when the loss rises. `steps` updates are made, whatever the loss does.",
        ),
        Misconception(
            "added_after_each_update",
            _added_after_each,
            "You add BA to the weight after each update, so early updates count again and again. It is merged once, at the end.",
        ),
        Misconception(
            "merged_with_the_first_A",
            _with_the_first_A,
            "You merge the trained B with the A of the beginning. Both factors have moved: merge both as they are at the end.",
        ),
        Misconception(
            "half_the_gradient",
            lambda x, y, weight, A, alpha, learning_rate, steps: _tuned(
                x, y, weight, A, alpha, learning_rate / 2, steps
            ),
            "Your updates are half as long as they should be. The derivative of a square has a factor of 2.",
        ),
        Misconception(
            "mean_over_the_inputs",
            lambda x, y, weight, A, alpha, learning_rate, steps: _tuned(
                x, y, weight, A, alpha, learning_rate * weight.shape[0] / weight.shape[1], steps
            ),
            "You divide by N · k, how many numbers x has. The mean is over the N · d numbers of y.",
        ),
        Misconception(
            "row_by_row_mean",
            lambda x, y, weight, A, alpha, learning_rate, steps: _tuned(
                x, y, weight, A, alpha, learning_rate * weight.shape[0], steps
            ),
            "You average over the N rows only. The mean is over all N · d numbers.",
        ),
    ),
    hints=(
        "Four parts: B of zeros; a loop; in it one loss and its gradients for A and B; after it, the merged weight.",
        "torch.autograd.grad(loss, [A, B]) returns both gradients. A and B must require grad before the loss is computed.",
        "The new A and B of an update are new starting points: detach them, and let them require grad again in the next update.",
    ),
)
