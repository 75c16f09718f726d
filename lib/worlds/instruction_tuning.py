r"""Supervised fine-tuning in the world of `lib.worlds.instructions`: a model that lists questions learns to answer them.

The base model has only ever seen questions, one after another, as GPT-3 has seen lists of prompts (slide C32).
Demonstrations then teach it to answer (slide C33). Runs differ only in which tokens count in the loss.
"""

import copy
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lib.generation import Rollout, generate
from lib.models import Decoder, TransformerConfig
from lib.text.packing import sample_windows
from lib.training.fit import FitSettings, History, fit
from lib.training.preferences import batches_of, demonstration_loss, join_answers
from lib.training.recipes import next_token_loss
from lib.worlds.instructions import (
    END_ID,
    LETTERS,
    PAD_ID,
    WORDS,
    Instruction,
    encode_words,
)

LONGEST = 5  # tokens of an answer, <end> included


def base_model(
    instructions: Sequence[Instruction], *, steps: int = 60, seed: int = 0, show_progress: bool = True
) -> Decoder:
    """A small decoder (67 thousand weights) after `steps` updates on the questions alone, written one after another."""
    config = TransformerConfig(
        architecture="decoder", vocab_size=len(WORDS), d_model=64, num_layers=2, num_heads=4, d_ff=128,
        max_positions=32, position="rotary", norm="rmsnorm", bias=False, init_std=0.125, pad_id=PAD_ID,
    )  # fmt: skip
    model = Decoder(config, generator=torch.Generator().manual_seed(seed))
    sheet = torch.tensor([token for item in instructions for token in encode_words(item.question)])
    fit(
        model,
        next_token_loss,
        lambda generator: sample_windows(sheet, 32, 24, generator=generator),
        FitSettings(steps=steps, learning_rate=3e-3, warmup_steps=steps // 10, seed=seed),
        description="pre-training on questions",
        show_progress=show_progress,
    )
    return model.eval()


def demonstrate(instructions: Sequence[Instruction]) -> Rollout:
    """Questions with their right answers, each ended by <end>, as one batch; `response_mask` is true on the answers.

    >>> demonstrate([Instruction("first", "bad")]).response_mask.int()
    tensor([[0, 0, 0, 0, 0, 1, 1]], dtype=torch.int32)
    """
    questions = [encode_words(item.question) for item in instructions]
    answers = [[*encode_words(item.answer), END_ID] for item in instructions]
    return join_answers(questions, answers, pad_id=PAD_ID)


def fine_tune(
    base: Decoder,
    demonstrations: Rollout,
    counted: Bool[Tensor, "B T"],
    *,
    held_out: Sequence[Instruction] = (),
    steps: int = 150,
    seed: int = 0,
    description: str = "fine-tuning",
    show_progress: bool = True,
) -> tuple[Decoder, History]:
    """A copy of `base` after SFT on the tokens of `counted`, and the history with its accuracy on `held_out`."""
    model = copy.deepcopy(base)
    training_set = demonstrations._replace(response_mask=counted)
    history = fit(
        model,
        demonstration_loss,
        batches_of(training_set, 64),
        FitSettings(steps=steps, learning_rate=6e-3, warmup_steps=steps // 15, seed=seed,
                    eval_every=max(1, steps // 5)),
        evaluate=(lambda model: accuracy(model, held_out)) if held_out else None,
        description=description,
        show_progress=show_progress,
    )  # fmt: skip
    return model.eval(), history


def everything_but_the_first(demonstrations: Rollout) -> Bool[Tensor, "B T"]:
    """The tokens that count when the prompt is not masked: all but the first of a row, which is never predicted."""
    counted = demonstrations.attention_mask.clone()
    counted[:, 0] = False
    return counted


def continue_questions(
    model: Decoder, instructions: Sequence[Instruction], tokens: int = LONGEST
) -> Int[Tensor, "B S"]:
    """The model's greedy continuation of each question: `tokens` tokens, padded after <end>."""
    written = torch.full((len(instructions), tokens), PAD_ID)
    lengths = torch.tensor([len(item.letters) for item in instructions])
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0]
        asked = torch.tensor([encode_words(instructions[row].question) for row in rows])
        new = generate(model, asked, tokens, eos_id=END_ID)[:, asked.shape[1] :]
        written[rows, : new.shape[1]] = new
    return written


def right_answers(model: Decoder, instructions: Sequence[Instruction]) -> Bool[Tensor, " B"]:
    """Whether the model's greedy answer to each question is the right one, <end> included."""
    wanted = demonstrate(instructions)
    answers = torch.full((len(instructions), LONGEST), PAD_ID)
    for row in range(len(instructions)):
        tokens = wanted.input_ids[row][wanted.response_mask[row]]
        answers[row, : len(tokens)] = tokens
    return (continue_questions(model, instructions) == answers).all(dim=1)


def accuracy(model: Decoder, instructions: Sequence[Instruction]) -> float:
    """The share of questions that `model` answers correctly."""
    return right_answers(model, instructions).float().mean().item()


def question_entropy() -> float:
    r"""Entropy of a question given its verb, in nats: $\ln 8$ for each of 3.5 letters on average, $\ln 2$ for how many.

    No model can lower this part of the loss: the questions are drawn at random.

    >>> round(question_entropy(), 3)
    7.971
    """
    return 3.5 * math.log(len(LETTERS)) + math.log(2)
