r"""Questions that real sentences answer, made by rule, and supervised fine-tuning on them.

"Rugby is a traditional sport in Andorra." answers "What is Rugby?". The answers are sentences of Wikipedia as they stand;
only the questions are made, and a rule makes some odd ones. Training and held-out questions come from different articles.
"""

import copy
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib import checks
from lib.generation import Rollout, generate
from lib.models import Decoder
from lib.objectives import token_log_probs
from lib.text import Tokenizer, load_corpus
from lib.training.fit import FitSettings, History, fit
from lib.training.preferences import batches_of, demonstration_loss, join_answers

_SENTENCES = re.compile(r"(?<=[a-z0-9)]\.)\s+(?=[A-Z])")
_DEFINES = re.compile(
    r"((?:(?:The|An?) )?[\w'’-]+(?: [\w'’-]+){0,3}?) (is|was|are|were) "
    r"(?:an?|the|one|also|not|known|used|born|made|found)\b.*\."
)
_NO_SUBJECT = (
    "Although", "Also", "Another", "As", "At", "Because", "Both", "But", "Each", "Few", "He", "Her", "His",
    "However", "I", "If", "In", "It", "Its", "Many", "Most", "On", "She", "Simply", "Since", "Some", "Such", "That",
    "There", "These", "They", "This", "Those", "We", "What", "When", "While", "Who", "You",
)  # fmt: skip


class QuestionAnswer(NamedTuple):
    """A question made by rule, the sentence of Wikipedia that answers it, and the title of its article."""

    question: str
    answer: str
    article: str


def wikipedia_questions(*splits: str, longest: int = 115) -> list[QuestionAnswer]:
    """All pairs of these splits of the course's Wikipedia, in order; answers have at most `longest` characters.

    Raises ValueError for no split or an unknown one, and for `longest` below 1.

    >>> wikipedia_questions("validation")[3][:2]
    ('What is Rugby?', 'Rugby is a traditional sport in Andorra, mainly influenced by the popularity in southern France.')
    """
    checks.not_empty(splits=splits)
    checks.whole("longest", longest)
    corpus = load_corpus("wikipedia").splits
    pairs = []
    for split in splits:
        for document in corpus[checks.one_of("split", split, corpus)]:
            sentences = (s for line in document.text.split("\n") for s in _SENTENCES.split(line) if len(s) <= longest)
            pairs += [QuestionAnswer(question, s, document.title) for s in sentences if (question := question_of(s))]
    return pairs


def question_of(sentence: str) -> str | None:
    """The question that a sentence "SUBJECT is a …" answers; None where the rule finds none.

    >>> question_of("The aardwolf is the only surviving species."), question_of("It is a sport.")
    ('What is the aardwolf?', None)
    """
    found = _DEFINES.fullmatch(sentence)
    if found is None or found[1].split()[0] in _NO_SUBJECT:
        return None
    first, *rest = found[1].split()
    subject = " ".join([first.lower() if first in ("The", "A", "An") else first, *rest])
    return f"What {found[2]} {subject}?"


def as_prompt(question: str) -> str:
    r"""The question in this world's template.

    >>> as_prompt("What is Art?")
    'Question: What is Art?\nAnswer:'
    """
    return f"Question: {question}\nAnswer:"


def as_demonstrations(pairs: Sequence[QuestionAnswer], tokenizer: Tokenizer) -> Rollout:
    """Each prompt with its answer and the tokenizer's end token, as one padded batch; `response_mask` marks the answers.

    Raises ValueError when there is no pair.
    """
    prompts = [tokenizer.encode(as_prompt(pair.question)) for pair in pairs]
    answers = [[*tokenizer.encode(" " + pair.answer), tokenizer.eos_id] for pair in pairs]
    return join_answers(prompts, answers, pad_id=tokenizer.eos_id)


def fine_tune(
    base: Decoder,
    demonstrations: Rollout,
    counted: Bool[Tensor, "B T"] | None = None,
    *,
    steps: int = 30,
    seed: int = 0,
    description: str = "fine-tuning",
    show_progress: bool = True,
) -> tuple[Decoder, History]:
    """A copy of `base` after SFT, eight demonstrations an update, and the history.

    `counted` says which tokens the loss counts; the answers if it is not given. Raises ValueError as `sft_loss` does.
    """
    model = copy.deepcopy(base)
    data = demonstrations if counted is None else demonstrations._replace(response_mask=counted)
    settings = FitSettings(steps=steps, learning_rate=1e-3, warmup_steps=min(5, steps - 1), seed=seed)
    history = fit(
        model,
        demonstration_loss,
        batches_without_slack(data, 8),
        settings,
        description=description,
        show_progress=show_progress,
    )
    return model.eval(), history


def batches_without_slack(data: Rollout, batch_size: int) -> Callable[[torch.Generator], Rollout]:
    """`sample_batch` for `fit`: rows drawn with replacement, cut to the longest of them.

    Raises ValueError when `batch_size` is less than 1.
    """
    draw = batches_of(data, batch_size)

    def cut(generator: torch.Generator) -> Rollout:
        batch = draw(generator)
        width = int(batch.attention_mask.sum(dim=1).max())
        return Rollout(*(part[:, :width] for part in batch))

    return cut


def write_answers(
    model: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int = 40,
    *,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[tuple[str, bool]]:
    """What the model writes after each prompt: the text, and whether it ended by itself. Greedy at `temperature` 0.

    Raises ValueError when there is no prompt.
    """
    checks.not_empty(prompts=prompts)
    rows = [tokenizer.encode(prompt) for prompt in prompts]
    width = max(map(len, rows))
    ids = torch.tensor([[tokenizer.eos_id] * (width - len(row)) + row for row in rows])  # padded on the left
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    written = generate(model, ids, max_new_tokens, attention_mask=mask, eos_id=tokenizer.eos_id,
                       temperature=temperature, generator=generator)[:, width:].tolist()  # fmt: skip
    ends = [row.index(tokenizer.eos_id) if tokenizer.eos_id in row else None for row in written]
    return [(tokenizer.decode(row[:end]), end is not None) for row, end in zip(written, ends)]


def loss_by_part(model: Decoder, demonstrations: Rollout) -> dict[str, Float[Tensor, " B"]]:
    r"""−log P of each row's answer in nats, in three parts: its first token, the mean of those between, its last one.

    The last token is the end token. Raises ValueError for an answer of less than three tokens.
    """
    with torch.no_grad():
        nats = -token_log_probs(
            model(demonstrations.input_ids, demonstrations.attention_mask), demonstrations.input_ids
        )
    mask = demonstrations.response_mask
    place, length = mask.cumsum(dim=1), mask.sum(dim=1, keepdim=True)
    if int(length.min()) < 3:
        raise ValueError(f"demonstrations must have answers of at least 3 tokens, got one of {int(length.min())}")
    between = mask & (place > 1) & (place < length)
    return {
        "first": nats[mask & (place == 1)],
        "between": nats.masked_fill(~between, 0).sum(dim=1) / between.sum(dim=1),
        "end": nats[mask & (place == length)],
    }
