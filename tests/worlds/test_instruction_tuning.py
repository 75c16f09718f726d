import math

import pytest
import torch

from lib.objectives import autoregressive_loss, sft_loss
from lib.worlds.instruction_tuning import (
    accuracy,
    base_model,
    continue_questions,
    demonstrate,
    everything_but_the_first,
    fine_tune,
    question_entropy,
    right_answers,
)
from lib.worlds.instructions import (
    END_ID,
    VERBS,
    WORDS,
    Instruction,
    encode_words,
    write_instructions,
)
from tests.nightly import by_day

ITEMS = [Instruction("first", "bad"), Instruction("reverse", "cafe")]


def test_demonstrations_mark_the_answers_and_nothing_else():
    demonstrations = demonstrate(ITEMS)
    rows = [[WORDS[i] for i in ids[mask]] for ids, mask in zip(demonstrations.input_ids, demonstrations.response_mask)]
    assert rows == [["b", "<end>"], ["e", "f", "a", "c", "<end>"]]
    everything = everything_but_the_first(demonstrations)
    assert everything.sum(dim=1).tolist() == [6, 10] and not everything[:, 0].any()
    assert demonstrations.attention_mask[:, 0].all(), "the mask given was not changed"


class Knows:
    """Stands in for a decoder: writes what the dictionary says after each question."""

    def __init__(self, answers):
        self.answers = {tuple(encode_words(question)): encode_words(answer) for question, answer in answers.items()}

    def write(self, model, asked, tokens, *, eos_id):
        assert eos_id == END_ID
        new = torch.zeros(len(asked), tokens, dtype=torch.long)
        for row, ids in enumerate(asked.tolist()):
            new[row, : len(self.answers[tuple(ids)])] = torch.tensor(self.answers[tuple(ids)])
        return torch.cat((asked, new), dim=1)


@pytest.mark.parametrize(
    "written, right",
    [
        ("b <end>", True),
        ("b", False),  # it never ends
        ("b b <end>", False),
        ("a <end>", False),
        ("b <end> b", False),
    ],
)
def test_an_answer_is_right_when_all_of_it_is(written, right, monkeypatch, unchecked):
    item = ITEMS[0]
    knows = Knows({item.question: written, ITEMS[1].question: "e f a c <end>"})
    monkeypatch.setattr("lib.worlds.instruction_tuning.generate", knows.write)
    assert right_answers(None, ITEMS).tolist() == [right, True]
    assert accuracy(None, ITEMS) == (1 + right) / 2


def test_questions_cannot_be_foreseen_below_their_entropy(generator):
    items = write_instructions(20_000, generator=generator)
    lengths = sum(len(item.letters) for item in items) / len(items)
    counted = lengths * math.log(8) + math.log(2)
    assert question_entropy() == pytest.approx(counted, rel=0.01)


@pytest.mark.parametrize("seed", by_day(0, range(5)))
def test_what_the_notebook_claims_of_fine_tuning(seed):
    generator = torch.Generator().manual_seed(seed)
    known = write_instructions(8000, generator=generator)
    seen = set(known)
    new = [item for item in write_instructions(300, generator=generator) if item not in seen][:120]
    base = base_model(known, seed=seed, show_progress=False)
    listed = continue_questions(base, new)[:, 0]
    assert sum(WORDS[i] in VERBS for i in listed) > 0.95 * len(new), "a base model goes on with the next question"
    assert accuracy(base, new) == 0

    lessons, checked = demonstrate(known), demonstrate(new)
    everything = everything_but_the_first(lessons)
    runs = [
        fine_tune(base, lessons, counted, held_out=new[:60], seed=seed, steps=steps, show_progress=False)
        for counted, steps in (
            (lessons.response_mask, 120),
            (everything, 120),
            (lessons.response_mask & (lessons.input_ids != END_ID), 40),
        )
    ]
    (masked, masked_run), (unmasked, unmasked_run), (endless, endless_run) = runs
    means = [sum(value for _, value in run.evaluations) / len(run.evaluations) for run in (masked_run, unmasked_run)]
    assert means[0] > means[1] + 0.05, "who learns questions too learns answers later"
    floor = question_entropy() * len(known) / everything.sum().item()
    assert sum(unmasked_run.loss[-20:]) / 20 > floor, "most of the loss is the questions'"

    assert not (continue_questions(endless, new, 8) == END_ID).any(), "it never stops"
    assert (continue_questions(masked, new, 8) == END_ID).any(dim=1).float().mean() > 0.95

    with torch.no_grad():
        logits = [model(checked.input_ids, checked.attention_mask) for model in (base, masked, unmasked)]
    losses = [sft_loss(z, checked.input_ids, checked.response_mask).item() for z in logits]
    assert losses[1] < losses[2] < losses[0]
    assert autoregressive_loss(logits[1], checked.input_ids, checked.attention_mask) > floor
    assert endless_run.loss[-1] < endless_run.loss[0]


def test_the_base_stays_as_it_was_and_accuracy_is_measured_where_it_is_asked_for():
    items = write_instructions(8, generator=torch.Generator().manual_seed(0))
    base = base_model(items, steps=1, show_progress=False)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    lessons = demonstrate(items)
    counted = everything_but_the_first(lessons)
    tuned, history = fine_tune(base, lessons, counted, held_out=items, steps=5, show_progress=False)
    assert all(torch.equal(value, base.state_dict()[name]) for name, value in before.items())
    assert any(not torch.equal(value, tuned.state_dict()[name]) for name, value in before.items())
    assert not tuned.training and not base.training
    assert [step for step, _ in history.evaluations] == [1, 2, 3, 4, 5]
    assert history.evaluations[-1][1] == accuracy(tuned, items)
    _, silent = fine_tune(base, lessons, counted, steps=1, show_progress=False)
    assert silent.evaluations == []
    other, _ = fine_tune(base, lessons, lessons.response_mask, steps=5, show_progress=False)
    assert any(not torch.equal(value, tuned.state_dict()[name]) for name, value in other.state_dict().items())


def test_continuations_are_in_the_order_of_the_questions_and_as_long_as_asked(monkeypatch, unchecked):
    mixed = [ITEMS[1], ITEMS[0], Instruction("last", "abcd")]
    knows = Knows({mixed[0].question: "e f", mixed[1].question: "b <end>", mixed[2].question: "d <end>"})
    monkeypatch.setattr("lib.worlds.instruction_tuning.generate", knows.write)
    written = continue_questions(None, mixed, 3)
    assert [[WORDS[i] for i in row] for row in written.tolist()] == [
        ["e", "f", "<pad>"], ["b", "<end>", "<pad>"], ["d", "<end>", "<pad>"]
    ]  # fmt: skip
