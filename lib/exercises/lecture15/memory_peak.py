"""memory.step_peak: the most bytes that live at once in a training step."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- memory.step_peak ---------------------------------------------------------------------------------------
def step_peak(fixed: int, saved: list[int], inputs: list[int], gradients: list[int], recompute: bool) -> int:
    """The most bytes that live at once in a training step of a model of blocks, without temporary buffers.

    >>> step_peak(10, [5, 5], [1, 1], [2, 2], False), step_peak(10, [5, 5], [1, 1], [2, 2], True)
    (22, 20)
    """
    kept = inputs if recompute else saved
    live = peak = fixed + sum(kept)
    for i in reversed(range(len(saved))):
        live += gradients[i]
        peak = max(peak, live + saved[i] * recompute)
        live -= kept[i]
    return peak


def _peak_cases(generator):
    def drawn(low, high, n):
        return torch.randint(low, high, (n,), generator=generator).tolist()

    def random_blocks(name, large, n, recompute):
        return case(
            name, *drawn(1, 10**6, 1), drawn(1000, 90_000, n), drawn(50, 900, n), drawn(10, large, n), recompute
        )

    return [
        case("two equal blocks", 10, [5, 5], [1, 1], [2, 2], False),
        case("two equal blocks, recomputed", 10, [5, 5], [1, 1], [2, 2], True),
        case("many activations, small gradients", 1000, [700, 800, 900], [70, 80, 90], [10, 20, 30], False),
        case("few activations, large gradients", 1000, [10, 20, 30], [1, 2, 3], [700, 800, 900], False),
        case("few activations, large gradients, recomputed", 1000, [10, 20, 30], [4, 5, 6], [700, 800, 900], True),
        case("the peak is in the middle", 0, [10, 90, 90, 10], [1, 9, 9, 1], [5, 60, 95, 5], False),
        case("the peak is in the middle, recomputed", 7, [10, 500, 90, 10], [11, 40, 9, 31], [5, 60, 95, 5], True),
        case("one block", 100, [50], [5], [30], False),
        case("one block, recomputed", 100, [50], [5], [30], True),
        case("a block without parameters, one that saves nothing", 64, [40, 0, 70], [8, 8, 8], [0, 90, 20], False),
        case("large inputs, recomputed", 200, [30, 40, 300], [90, 80, 70], [5, 5, 5], True),
        random_blocks("random blocks", 2000, 6, False),
        random_blocks("random blocks, large gradients", 150_000, 7, False),
        random_blocks("random blocks, recomputed", 2000, 6, True),
        random_blocks("random blocks, large gradients, recomputed", 150_000, 7, True),
    ]


def _moments(live):
    """An answer: the largest of `live(i, fixed, kept, saved, gradients, recompute)` over the blocks i."""

    def answer(fixed, saved, inputs, gradients, recompute):
        kept = inputs if recompute else saved
        return max(live(i, fixed, kept, saved, gradients, recompute) for i in range(len(saved)))

    return answer


def _live(i, fixed, kept, saved, gradients, again):
    """What lives while the backward pass is at block i."""
    return fixed + sum(kept[: i + 1]) + saved[i] * again + sum(gradients[i:])


def _at_the_largest(fixed, kept, saved, gradients, again):
    """With recomputation, only the moment when the block that saves most runs again."""
    if not again:
        return step_peak(fixed, saved, kept, gradients, again)
    return _live(max(range(len(saved)), key=saved.__getitem__), fixed, kept, saved, gradients, again)


def _ends_of_backward(fixed, kept, saved, gradients, again):
    return max(_live(i, fixed, kept, saved, gradients, again) for i in (0, len(saved) - 1))


PEAK = Exercise(
    id="memory.step_peak",
    slides=("T46",),
    points=4,
    minutes=20,
    title="The peak of a step",
    reference=step_peak,
    cases=_peak_cases,
    accepts=(_moments(_live),),
    misconceptions=(
        Misconception(
            "sum_of_all",
            lambda fixed, saved, inputs, gradients, recompute: (
                fixed + sum(gradients) + (sum(inputs) + max(saved) if recompute else sum(saved))
            ),
            "This is the sum of all parts. They do not all live at once: activations go while gradients come.",
        ),
        Misconception(
            "end_of_forward",
            lambda fixed, saved, inputs, gradients, recompute: fixed + sum(inputs if recompute else saved),
            "This is the end of the forward pass. In the backward pass gradients are added: look at each of its moments.",
        ),
        Misconception(
            "end_of_backward",
            lambda fixed, saved, inputs, gradients, recompute: fixed + sum(gradients),
            "This is the end of the backward pass, when all activations are gone. Look at the moments before it.",
        ),
        Misconception(
            "only_the_two_ends",
            lambda fixed, saved, inputs, gradients, recompute: (
                fixed + max(sum(inputs if recompute else saved), sum(gradients))
            ),
            "You compare the two ends of the backward pass. At a block in between, some activations and some gradients live.",
        ),
        Misconception(
            "first_block_first",
            _moments(
                lambda i, fixed, kept, saved, g, again: fixed + sum(kept[i:]) + saved[i] * again + sum(g[: i + 1])
            ),
            "Your backward pass begins at the first block. It goes from the last block to the first.",
        ),
        Misconception(
            "freed_too_early",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[:i]) + sum(g[i:])),
            "You free what a block has put aside before its gradients are there. While it is at work, both live.",
        ),
        Misconception(
            "gradients_too_late",
            _moments(
                lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + saved[i] * again + sum(g[i + 1 :])
            ),
            "You add a block's gradients only after it is done. They are there in full beside what it has put aside.",
        ),
        Misconception(
            "gradients_freed",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + saved[i] * again + g[i]),
            "You free the gradients of each block after it. All of them stay until the update.",
        ),
        Misconception(
            "activations_stay",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept) + saved[i] * again + sum(g[i:])),
            "In your step nothing is freed in the backward pass. What a block has put aside goes when it is done.",
        ),
        Misconception(
            "recompute_ignored",
            lambda fixed, saved, inputs, gradients, recompute: step_peak(fixed, saved, inputs, gradients, False),
            "You ignore `recompute`. If it is True, the forward pass keeps inputs[i] of each block, not saved[i].",
        ),
        Misconception(
            "block_in_full_forgotten",
            _moments(lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + sum(g[i:])),
            "With recomputation the block at work has saved[i] bytes besides its input, for a moment.",
        ),
        Misconception(
            "inputs_forgotten",
            lambda fixed, saved, inputs, gradients, recompute: step_peak(
                fixed, saved, [0] * len(inputs) if recompute else inputs, gradients, recompute
            ),
            "With recomputation the inputs of all blocks before still wait: they belong to the sum.",
        ),
        Misconception(
            "recomputed_stays",
            _moments(
                lambda i, fixed, kept, saved, g, again: fixed + sum(kept[: i + 1]) + sum(saved[i:]) * again + sum(g[i:])
            ),
            "What a block computes again lives while this block is at work. You keep it to the end.",
        ),
        Misconception(
            "own_input_forgotten",
            _moments(
                lambda i, fixed, kept, saved, g, again: (
                    fixed + sum(kept[: i + (not again)]) + saved[i] * again + sum(g[i:])
                )
            ),
            "With recomputation the input of the block at work is still there, besides the saved[i] bytes, which do not contain "
            "it.",
        ),
        Misconception(
            "inputs_stay",
            _moments(
                lambda i, fixed, kept, saved, g, again: (
                    fixed + sum(kept if again else kept[: i + 1]) + saved[i] * again + sum(g[i:])
                )
            ),
            "With recomputation you keep the inputs of all blocks to the end. When a block is done, its input is freed too.",
        ),
        Misconception(
            "inputs_always",
            lambda fixed, saved, inputs, gradients, recompute: max(
                fixed + sum(inputs[: i + 1]) + sum(gradients[i:]) + (saved[i] if recompute else sum(saved[: i + 1]))
                for i in range(len(saved))
            ),
            "Without recomputation you count the inputs besides what is saved. Then a block puts aside saved[i] bytes, and no "
            "more.",
        ),
        Misconception(
            "largest_block_only",
            lambda fixed, saved, inputs, gradients, recompute: _at_the_largest(
                fixed, inputs if recompute else saved, saved, gradients, recompute
            ),
            "With recomputation you look at one moment, when the block that saves most is at work. Another one may have more "
            "inputs and gradients beside it.",
        ),
        Misconception(
            "first_and_last_block",
            lambda fixed, saved, inputs, gradients, recompute: _ends_of_backward(
                fixed, inputs if recompute else saved, saved, gradients, recompute
            ),
            "You look at the last and at the first block alone. The peak may be at any block between them.",
        ),
        Misconception(
            "without_block_0",
            lambda fixed, saved, inputs, gradients, recompute: max(
                [fixed + sum(inputs if recompute else saved)]
                + [
                    _live(i, fixed, inputs if recompute else saved, saved, gradients, recompute)
                    for i in range(1, len(saved))
                ]
            ),
            "Your backward pass ends before block 0. reversed(range(L)) visits it as well.",
        ),
        Misconception(
            "without_fixed",
            lambda fixed, *rest: step_peak(0, *rest),
            "Weights and moments are missing: `fixed` bytes are there all the time.",
        ),
    ),
    hints=(
        "How much lives at the end of the forward pass? Keep this number, and change it as the backward pass goes on.",
        "At each block, from the last to the first: what appears, what lives at this moment, and only then what goes?",
    ),
)
