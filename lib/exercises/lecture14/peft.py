"""Exercises of notebook 14: a soft prompt in front of the text, and the bytes of QLoRA (`peft_bytes`)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture14.peft_bytes import QLORA


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


def _behind_padding(prompt, embeddings, mask):
    first = mask.argmax(dim=1).tolist()  # of the tokens of each text
    joined = [torch.cat([x[:at], prompt, x[at:]]) for x, at in zip(embeddings, first, strict=True)]
    seen = [torch.cat([row[:at], row.new_ones(len(prompt)), row[at:]]) for row, at in zip(mask, first, strict=True)]
    return torch.stack(joined), torch.stack(seen)


def _padding_zeroed(prompt, embeddings, mask):
    return soft_prompt(prompt, embeddings * mask[..., None], mask)


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
        Misconception(
            "mixed",
            _both(
                lambda prompt, x: torch.cat([prompt.repeat_interleave(len(x), 0).view(len(x), *prompt.shape), x], dim=1)
            ),
            "The P vectors are mixed up among the texts: `view` or `reshape` has put them into another order.",
        ),
        Misconception(
            "own_parameter",
            _both(lambda prompt, x: _joined(torch.nn.Parameter(prompt.detach().clone()), x)),
            "You make a new Parameter of the prompt. The gradient ends there and does not come back to the one that was given.",
        ),
        Misconception(
            "mask_copied",
            _both(_joined, lambda prompt, mask: torch.cat([mask[:, :1].expand(-1, len(prompt)), mask], dim=1)),
            "Your mask repeats its first column for the prompt: 0 where padding is on the left. A prompt is always seen.",
        ),
        Misconception(
            "ones_as_long_as_the_text",
            _both(_joined, lambda prompt, mask: torch.cat([torch.ones_like(mask[:, : len(prompt)]), mask], dim=1)),
            "Your mask has at most T columns for the prompt. The prompt may be longer than the texts.",
        ),
        Misconception(
            "padding_zeroed",
            _padding_zeroed,
            "You set the embeddings of the padding to zero. They stay as they are: the mask tells that nobody looks at them.",
        ),
        Misconception(
            "behind_the_padding",
            _behind_padding,
            "Your prompt stands behind the padding on the left. It comes first, before all T positions.",
        ),
        Misconception("detached", _both(lambda prompt, x: _joined(prompt.detach(), x)), DETACHED),
    ),
    hints=(
        "The result has T + P positions: first the prompt, then the text, for each of the B texts.",
        "A tensor of shape (P, D) can be repeated for B texts with `expand`, without copying it.",
        "The mask gets P columns of ones before its own.",
    ),
)


EXERCISES = (SOFT_PROMPT, QLORA)
"""The exercises of this module, in the order of the notebook."""
