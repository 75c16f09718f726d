r"""Reinforcement learning with a reward that a program computes: SmolLM2 learns to answer small sums (RLVR).

Nobody rates anything here: a few lines of Python read the answer and say right (1) or wrong (0). Lambert et al. 2024 call
this reinforcement learning with verifiable rewards. The policy is the packaged model with LoRA on its last ten layers;
without the adapter it is the reference, so that the KL penalty costs one pass more and no second model.
`course train rlvr` repeats the stored runs; lecture 12 shows them and takes one step itself.
"""

import csv
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib import DATA, checks
from lib.adapters import LoraSettings, inject_lora, trainable_parameters, use_adapter
from lib.generation import Rollout, generate, rollout
from lib.models import Decoder
from lib.objectives import reinforce_loss, rloo
from lib.text import Tokenizer
from lib.training.preferences import log_probs_of

HELD_OUT_PAIRS = 11  # of the 45 unordered pairs of digits from 1 to 9


class Sum(NamedTuple):
    """A question with one right answer.

    >>> Sum(6, 4).question, Sum(6, 4).answer
    ('What is 6 + 4? Reply with the number only.', 10)
    """

    a: int
    b: int

    @property
    def question(self) -> str:
        """What the model is asked; all are equally many tokens."""
        return f"What is {self.a} + {self.b}? Reply with the number only."

    @property
    def answer(self) -> int:
        """What is right."""
        return self.a + self.b


@dataclass(frozen=True)
class RlvrSettings:
    """How the policy is trained. Raises ValueError for a number out of its range."""

    steps: int = 10  # updates, each from fresh answers
    questions: int = 4  # drawn for each update
    samples: int = 6  # answers to each of them
    max_new_tokens: int = 10
    learning_rate: float = 2e-3  # of Adam
    beta: float = 0.02  # weight of the KL penalty: reward per nat of log π − log π_ref
    rank: int = 8  # of LoRA
    evaluate_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "questions", "max_new_tokens", "rank", "evaluate_every"):
            checks.whole(name, getattr(self, name))
        checks.whole("samples", self.samples, 2)
        checks.positive("learning_rate", self.learning_rate)
        checks.number("beta", self.beta, "[0, inf)")


def sums() -> dict[str, list[Sum]]:
    """All 81 sums of two digits from 1 to 9: those to train on, and those held out, in either order of the two digits.

    >>> {split: len(found) for split, found in sums().items()}
    {'train': 61, 'held_out': 20}
    """
    pairs = [(a, b) for a in range(1, 10) for b in range(a, 10)]
    kept = set(random.Random(0).sample(pairs, HELD_OUT_PAIRS))
    every = [Sum(a, b) for a in range(1, 10) for b in range(1, 10)]
    return {
        "train": [s for s in every if (min(s), max(s)) not in kept],
        "held_out": [s for s in every if (min(s), max(s)) in kept],
    }


def verify(text: str, answer: int) -> float:
    """The reward: 1 if the right number stands anywhere in the text, else 0.

    >>> verify("6 + 4 = 10", 10), verify("It is 100.", 10)
    (1.0, 0.0)
    """
    return float(str(answer) in re.findall(r"\d+", text))


def verify_strictly(text: str, answer: int) -> float:
    """1 if the *last* number of the text is right: who lists candidates is not believed. Never trained on.

    >>> verify_strictly("10 or 11", 10), verify_strictly("6 + 4 = 10", 10)
    (0.0, 1.0)
    """
    numbers = re.findall(r"\d+", text)
    return float(numbers[-1:] == [str(answer)])


def prompts_of(questions: Sequence[str], tokenizer: Tokenizer) -> Tensor:
    """Questions as chats that wait for the model's turn, (B, T); they must be equally many tokens.

    Raises ValueError when there is none or their lengths differ.
    """
    checks.not_empty(questions=questions)
    rows = [tokenizer.encode(f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n") for q in questions]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"questions must be equally many tokens, got {sorted({len(row) for row in rows})}")
    return torch.tensor(rows)


def texts_of(answers: Rollout, tokenizer: Tokenizer) -> list[str]:
    """What was answered, without the end-of-sequence token."""
    return [
        tokenizer.decode([i for i in ids[own].tolist() if i != tokenizer.eos_id])
        for ids, own in zip(answers.input_ids, answers.response_mask)
    ]


def with_adapter(model: Decoder, settings: RlvrSettings) -> Decoder:
    """LoRA on query, value and the second feed-forward matrix of the last third of the layers; all else is frozen."""
    layers = range(model.config.num_layers * 2 // 3, model.config.num_layers)
    parts = ("attention.qkv.q", "attention.qkv.v", "feed_forward.down")
    targets = tuple(f"stack.blocks.{i}.{part}" for i in layers for part in parts)
    generator = torch.Generator().manual_seed(settings.seed)
    inject_lora(model, LoraSettings(rank=settings.rank, targets=targets), generator=generator)
    return model


class Step(NamedTuple):
    """What one update saw, before it changed the policy."""

    texts: list[str]  # of the answers, those to one question side by side
    reward: Float[Tensor, "B"]
    kl: Float[Tensor, "B"]  # log π − log π_ref of each answer, nats
    log_prob: Float[Tensor, "B"]  # log π of each answer, nats
    length: Float[Tensor, "B"]  # tokens


def rlvr_step(
    policy: Decoder,
    tokenizer: Tokenizer,
    batch: Sequence[Sum],
    optimizer: torch.optim.Optimizer,
    settings: RlvrSettings,
    generator: torch.Generator | None = None,
) -> Step:
    r"""Answer, verify, compare with the other answers to the same question, and take one step of REINFORCE.

    Maximises $\mathbb{E}[r - \beta(\log\pi - \log\pi_{ref})]$; the baseline is leave-one-out.
    """
    answers = rollout(
        policy, prompts_of([s.question for s in batch], tokenizer), settings.max_new_tokens,
        samples=settings.samples, eos_id=tokenizer.eos_id, generator=generator,
    )  # fmt: skip
    texts = texts_of(answers, tokenizer)
    asked = [s for s in batch for _ in range(settings.samples)]
    reward = torch.tensor([verify(text, s.answer) for text, s in zip(texts, asked)])
    log_probs = log_probs_of(policy, answers)
    with torch.no_grad(), use_adapter(policy, None):
        kl = (log_probs.detach() - log_probs_of(policy, answers)).sum(dim=1)
    advantages = rloo((reward - settings.beta * kl).view(len(batch), settings.samples)).flatten()
    optimizer.zero_grad(set_to_none=True)
    reinforce_loss(log_probs, advantages, answers.response_mask).backward()
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    return Step(texts, reward, kl, log_probs.detach().sum(dim=1), answers.response_mask.sum(dim=1).float())


def train_rlvr(policy: Decoder, tokenizer: Tokenizer, settings: RlvrSettings) -> Iterator[dict[str, Any]]:
    """Train in place; yields a row for each update, of the policy before it, and one of the last policy.

    `held_out` and `strict` are shares of sampled answers to held-out sums, empty where they were not measured;
    `examples` are the first four answers to the first question, as JSON.
    """
    split, generator = sums(), torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.Adam(trainable_parameters(policy), lr=settings.learning_rate)
    for step in range(settings.steps + 1):
        row: dict[str, Any] = {"seed": settings.seed, "step": step}
        measured = {"held_out": "", "strict": ""}
        if step % settings.evaluate_every == 0 or step == settings.steps:
            measured = evaluate(policy, tokenizer, split["held_out"], settings)
        chosen = torch.randint(len(split["train"]), (settings.questions,), generator=generator)
        if step == settings.steps:
            optimizer.param_groups[0]["lr"] = 0.0  # the last row is measured, not learned from
        found = rlvr_step(policy, tokenizer, [split["train"][i] for i in chosen], optimizer, settings, generator)
        yield row | described(found, settings) | measured | {"examples": json.dumps(found.texts[:4])}


def described(step: Step, settings: RlvrSettings) -> dict[str, float]:
    """Means over the answers of an update; `entropy` is −log π per token, `distinct` the share of different answers."""
    groups = [step.texts[i : i + settings.samples] for i in range(0, len(step.texts), settings.samples)]
    numbers = {
        "reward": step.reward.mean(),
        "kl": step.kl.mean(),
        "length": step.length.mean(),
        "entropy": -step.log_prob.sum() / step.length.sum(),
        "distinct": sum(len(set(group)) for group in groups) / len(step.texts),
    }
    return {name: round(float(value), 4) for name, value in numbers.items()}


@torch.no_grad()
def evaluate(
    policy: Decoder, tokenizer: Tokenizer, questions: Sequence[Sum], settings: RlvrSettings, samples: int = 4
) -> dict[str, float]:
    """Sampled answers to held-out sums, always with the same draws: shares that both verifiers call right."""
    texts = answers_to(policy, tokenizer, [s.question for s in questions], settings, samples)
    asked = [s.answer for s in questions for _ in range(samples)]
    return {
        name: round(sum(map(judge, texts, asked)) / len(texts), 4)
        for name, judge in (("held_out", verify), ("strict", verify_strictly))
    }


@torch.no_grad()
def answers_to(
    policy: Decoder, tokenizer: Tokenizer, questions: Sequence[str], settings: RlvrSettings, samples: int = 0
) -> list[str]:
    """Answers in words: `samples` drawn for each question, from a generator of their own, or (0) the greedy one."""
    prompts, end = prompts_of(questions, tokenizer), tokenizer.eos_id
    if samples:
        drawn = rollout(
            policy, prompts, settings.max_new_tokens, samples=samples, eos_id=end,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
        return texts_of(drawn, tokenizer)
    written = generate(policy, prompts, settings.max_new_tokens, eos_id=end)[:, prompts.shape[1] :]
    return [tokenizer.decode([i for i in row.tolist() if i != end]) for row in written]


NEARBY = {
    "two digits": ("What is {} + {}? Reply with the number only.", lambda a, b: a + b, (10, 49)),
    "differences": ("What is {} - {}? Reply with the number only.", lambda a, b: a - b, (1, 9)),
    "products": ("What is {} x {}? Reply with the number only.", lambda a, b: a * b, (2, 9)),
}
"""Tasks that are never trained: the question, the right answer, the range of both numbers."""

ELSEWHERE = ("What is the capital of France?", "Name an animal.", "What do people do with an umbrella?")


def nearby(task: str, number: int = 16) -> list[tuple[str, int]]:
    """Questions of a task that is not trained, with their answers.

    >>> nearby("differences")[0]
    ('What is 7 - 7? Reply with the number only.', 0)
    """
    form, answer, (low, high) = NEARBY[checks.one_of("task", task, tuple(NEARBY))]
    draw = random.Random(0)
    pairs = [(draw.randint(low, high), draw.randint(low, high)) for _ in range(number)]
    if task == "differences":
        pairs = [(max(pair), min(pair)) for pair in pairs]
    return [(form.format(a, b), answer(a, b)) for a, b in pairs]


def report(policy: Decoder, tokenizer: Tokenizer, settings: RlvrSettings, samples: int = 4) -> dict[str, Any]:
    """What a policy answers: held-out sums (greedy and sampled), tasks nearby, and questions that are no arithmetic.

    `one_of` is the share of held-out sums with at least one right answer among `samples`; `nearby` has the answers
    to `nearby(task)`, in its order.
    """
    held_out = sums()["held_out"]
    questions, right = [s.question for s in held_out], [s.answer for s in held_out]
    drawn = answers_to(policy, tokenizer, questions, settings, samples)
    groups = [drawn[i : i + samples] for i in range(0, len(drawn), samples)]
    found: dict[str, Any] = {
        "samples": dict(zip(questions, groups)),
        "one_of": _share(any(verify(text, a) for text in group) for group, a in zip(groups, right)),
        "greedy": _share(map(verify, answers_to(policy, tokenizer, questions, settings), right)),
    }
    found["nearby"] = {}  # what was written, as the last number of an answer that was cut off says little
    for task in NEARBY:
        asked, answers = zip(*nearby(task))
        written = answers_to(policy, tokenizer, asked, settings)
        found[task] = _share(map(verify_strictly, written, answers))
        found["nearby"][task] = written
    found["elsewhere"] = {q: answers_to(policy, tokenizer, [q], settings)[0] for q in ELSEWHERE}
    return found


def stored_runs() -> tuple[dict[str, list[dict[str, str]]], dict[str, Any]]:
    """The runs of `course train rlvr`: by seed, a row for each step; and what was answered before and after (`report`).

    >>> by_seed, reports = stored_runs()
    >>> len(by_seed["0"]), by_seed["0"][0]["step"], sorted(reports)
    (11, '0', ['after', 'before', 'settings'])
    """
    with open(DATA / "experiments" / "rlvr.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    reports = json.loads((DATA / "experiments" / "rlvr.json").read_text(encoding="utf-8"))
    return {seed: [row for row in rows if row["seed"] == seed] for seed in reports["after"]}, reports


def _share(judged: Iterable[float | bool]) -> float:
    values = [float(value) for value in judged]
    return round(sum(values) / len(values), 4)
