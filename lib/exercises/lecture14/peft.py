"""Exercises of notebook 14: a soft prompt in front of the text, and the bytes of QLoRA."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED


# --- peft.soft_prompt -------------------------------------------------------------------------------------------------
def soft_prompt(
    prompt: Float[Tensor, "P D"], embeddings: Float[Tensor, "B T D"], mask: Int[Tensor, "B T"]
) -> tuple[Float[Tensor, "B U D"], Int[Tensor, "B U"]]:
    """The same P trained vectors before the embeddings of each text, and a mask that shows them (Lester et al. 2021)."""
    many = prompt.expand(len(embeddings), -1, -1)
    return torch.cat([many, embeddings], dim=1), torch.cat([mask.new_ones(len(mask), len(prompt)), mask], dim=1)


def _texts(generator):
    def draw(P, B, T, D):
        return torch.randn(P, D, generator=generator), torch.randn(B, T, D, generator=generator)

    def mask(*lengths, T):
        return torch.tensor([[int(t < length) for t in range(T)] for length in lengths])

    return [
        case("two vectors, two texts of three tokens, one padded", *draw(2, 2, 3, 4), mask(3, 2, T=3)),
        case("one text", *draw(3, 1, 4, 2), mask(4, T=4)),
        case("one vector", *draw(1, 3, 2, 5), mask(2, 1, 2, T=2)),
        case("as many vectors as texts and tokens", *draw(3, 3, 3, 3), mask(3, 1, 2, T=3)),
        case("padding before the text", *draw(2, 2, 3, 4), mask(3, 2, T=3).flip(1)),
        case("a prompt longer than the text", *draw(5, 2, 2, 3), mask(2, 1, T=2)),
    ]


def _filled(prompt, embeddings, mask):
    B, T, D = embeddings.shape
    P = prompt.shape[0]
    out, seen = torch.zeros(B, P + T, D), torch.ones(B, P + T, dtype=torch.long)
    for b in range(B):
        out[b, :P], out[b, P:], seen[b, P:] = prompt, embeddings[b], mask[b]
    return out, seen


def _by_repeat(prompt, embeddings, mask):
    B = embeddings.size(0)
    return (
        torch.cat((prompt.unsqueeze(0).repeat(B, 1, 1), embeddings), 1),
        torch.nn.functional.pad(mask, (len(prompt), 0), value=1),
    )


def _both(change, change_mask=None):
    """An answer that makes the embeddings with `change`, and the mask with `change_mask` (None: the right one)."""

    def answer(prompt, embeddings, mask):
        seen = soft_prompt(prompt, embeddings, mask)[1]
        return change(prompt, embeddings), seen if change_mask is None else change_mask(prompt, mask)

    return answer


def _joined(prompt, embeddings):
    return torch.cat([prompt.expand(len(embeddings), -1, -1), embeddings], dim=1)


def _ones(prompt, mask):
    return mask.new_ones(len(mask), len(prompt))


SOFT_PROMPT = Exercise(
    id="peft.soft_prompt",
    slides=("W25", "W28"),
    points=4,
    minutes=15,
    title="A soft prompt",
    reference=soft_prompt,
    cases=_texts,
    gradient=("prompt",),
    accepts=(_filled, _by_repeat),
    misconceptions=(
        Misconception(
            "appended",
            _both(
                lambda prompt, x: torch.cat([x, prompt.expand(len(x), -1, -1)], dim=1),
                lambda prompt, mask: torch.cat([mask, _ones(prompt, mask)], dim=1),
            ),
            "Your vectors stand behind the text. They go before it, so that every token of a decoder can see them.",
        ),
        Misconception(
            "mask_appended",
            _both(_joined, lambda prompt, mask: torch.cat([mask, _ones(prompt, mask)], dim=1)),
            "In your mask the ones of the prompt stand behind those of the text: padding and text trade places.",
        ),
        Misconception(
            "mask_of_zeros",
            _both(_joined, lambda prompt, mask: torch.cat([0 * _ones(prompt, mask), mask], dim=1)),
            "Your mask hides the prompt. 1 means: may be looked at.",
        ),
        Misconception(
            "mask_of_the_text",
            _both(_joined, lambda prompt, mask: mask),
            "Your mask has still T columns. It needs one for each vector of the prompt as well.",
        ),
        Misconception(
            "all_seen",
            _both(_joined, lambda prompt, mask: torch.cat([_ones(prompt, mask), torch.ones_like(mask)], dim=1)),
            "Your mask shows the padding too. Behind the prompt it stays as it was given.",
        ),
        Misconception(
            "overwritten",
            lambda prompt, x, mask: (torch.cat([prompt.expand(len(x), -1, -1), x[:, len(prompt) :]], dim=1), mask),
            "You replace the first tokens of the text. They stay; the prompt comes before them.",
        ),
        Misconception(
            "only_the_first_text",
            _both(
                lambda prompt, x: torch.cat(
                    [torch.cat([prompt[None], torch.zeros(len(x) - 1, *prompt.shape)]), x], dim=1
                )
            ),
            "Only the first text of your batch has the prompt. Every text gets the same P vectors.",
        ),
        Misconception(
            "in_reverse",
            _both(lambda prompt, x: _joined(prompt.flip(0), x)),
            "Your prompt is the wrong way round: its first vector comes first.",
        ),
        Misconception("detached", _both(lambda prompt, x: _joined(prompt.detach(), x)), DETACHED),
    ),
    hints=(
        "The result has T + P positions: first the prompt, then the text, for each of the B texts.",
        "A tensor of shape (P, D) can be repeated for B texts with `expand`, without copying it.",
        "The mask gets P columns of ones before its own.",
    ),
)


# --- peft.qlora_bytes -------------------------------------------------------------------------------------------------
def qlora_bytes(total: int, shapes: Sequence[tuple[int, int]], rank: int) -> tuple[int, float, float]:
    """Trained numbers, bytes of the frozen base, bytes of what is trained (Dettmers et al. 2023, section 3).

    Base: 4 bits each, one 8-bit scale per 64 of them, one 32-bit number per 256 scales. Trained: 2 bytes each for
    the number and its gradient, and 8 for Adam's two moments.
    """
    trained = sum(rank * (d + k) for d, k in shapes)
    return trained, total * (4 + 8 / 64 + 32 / (64 * 256)) / 8, 12.0 * trained


def _bytes(total, shapes, rank, *, bits=4 + 8 / 64 + 32 / (64 * 256), each=12.0, count=None):
    trained = sum(rank * (d + k) for d, k in shapes) if count is None else count(shapes, rank)
    return trained, total * bits / 8, each * trained


def _models(generator):
    blocks, rank = torch.randint(2, 40, (2,), generator=generator).tolist()
    return [
        case("one square matrix, rank 2", 4096 * 16, [(64, 64)], 2),
        case("queries and values of a 7B model, r = 16", 6_738_415_616, [(4096, 4096)] * 64, 16),
        case("a matrix that is not square", 2**20, [(256, 1024)], 4),
        case("four matrices of two shapes", 2**22, [(512, 512), (512, 128), (128, 512), (512, 512)], 8),
        case("rank 1", 2**16, [(40, 30), (30, 50)], 1),
        case("a random model", 64 * 256 * blocks, [(128 * blocks, 64)] * blocks, rank),
    ]


def _mistake(name, hint, **switches):
    return Misconception(name, lambda total, shapes, rank: _bytes(total, shapes, rank, **switches), hint)


QLORA = Exercise(
    id="peft.qlora_bytes",
    slides=("W28", "T47"),
    points=4,
    minutes=15,
    title="A 7B model on one small GPU?",
    reference=qlora_bytes,
    cases=_models,
    tolerance=Tolerance(rtol=1e-6, atol=0.0),
    accepts=(
        lambda total, shapes, rank: [
            rank * sum(map(sum, shapes)),
            total / 2 + total / 64 + total / 64 / 256 * 4,
            (2 + 2 + 4 + 4) * rank * sum(sum(shape) for shape in shapes),
        ],
    ),
    withheld=(
        "lib.accounting.peft.adapter_parameters",
        "lib.accounting.peft.low_rank_parameters",
        "lib.accounting.peft.qlora_base_bytes",
    ),
    misconceptions=(
        _mistake("no_scales", "You count the 4 bits alone. The scales, and the numbers that scale them, come on top.", bits=4),
        _mistake(
            "no_second_level",
            "The 32-bit numbers are missing, one for each 256 scales.",
            bits=4 + 8 / 64,
        ),
        _mistake(
            "not_quantized_twice",
            "You count a scale of 32 bits for each 64 weights. With double quantization a scale has 8 bits, and 256 of them "
            "share one number of 32.",
            bits=4 + 32 / 64,
        ),
        _mistake(
            "second_level_per_weights",
            "You count one 32-bit number per 256 weights. It is one per 256 scales, and a scale serves 64 weights.",
            bits=4 + 8 / 64 + 32 / 256,
        ),
        _mistake(
            "bits_for_bytes", "Your base is counted in bits. A byte has 8.", bits=8 * (4 + 8 / 64 + 32 / (64 * 256))
        ),
        _mistake("sixteen_bits", "You count the base with 16 bits per weight: that is LoRA, not QLoRA.", bits=16),
        _mistake("scales_of_a_byte_as_bits", "A scale has 8 bits, not one.", bits=4 + 1 / 64 + 4 / (64 * 256)),
        _mistake(
            "weights_alone",
            "You count the trained numbers alone (2 bytes each). Their gradients and Adam's two moments are in memory too.",
            each=2.0,
        ),
        _mistake("no_moments", "Adam's two moments are missing: 4 bytes each.", each=4.0),
        _mistake("one_moment", "Adam has two moments, 4 bytes each.", each=8.0),
        _mistake("no_gradient", "The gradients of the trained numbers are missing, 2 bytes each.", each=10.0),
        _mistake("all_in_fp32", "Numbers and gradients of the adapter have 2 bytes here, not 4.", each=16.0),
        _mistake("one_factor", "You count A or B alone: a matrix of d by k has r · k and d · r numbers.",
                 count=lambda shapes, rank: sum(rank * k for d, k in shapes)),
        _mistake("the_other_factor", "You count B alone. A has numbers too: r for each input.",
                 count=lambda shapes, rank: sum(rank * d for d, k in shapes)),
        _mistake("product_of_the_sides", "You count r · d · k. The two factors have r · k and d · r numbers: r (d + k).",
                 count=lambda shapes, rank: sum(rank * d * k for d, k in shapes)),
        _mistake("full_matrices", "You count the matrices themselves, d · k. LoRA trains two thin ones beside each.",
                 count=lambda shapes, rank: sum(d * k for d, k in shapes)),
        _mistake("first_matrix_only", "You count the first matrix only. All of `shapes` are adapted.",
                 count=lambda shapes, rank: rank * sum(shapes[0])),
        _mistake("as_if_square", "You count 2 r d, which is right for square matrices only. It is r (d + k).",
                 count=lambda shapes, rank: sum(2 * rank * d for d, k in shapes)),
    ),
    hints=(
        "A matrix of d by k gets A with r rows of k numbers, and B with d rows of r numbers.",
        "How many bits does one weight of the base take, when its share of the scale, and of the number that scales "
        "the scale, is added to its own 4?",
        "What is trained has four things in memory for each number: itself, its gradient, and two moments.",
    ),
)  # fmt: skip

EXERCISES = (SOFT_PROMPT, QLORA)
"""The exercises of this module, in the order of the notebook."""
