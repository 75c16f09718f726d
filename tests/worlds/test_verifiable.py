import copy
import csv
import json
from collections import Counter
from dataclasses import replace

import pytest
import torch

from lib import DATA
from lib.adapters import count_trainable, trainable_parameters, use_adapter
from lib.course.train import RLVR_SEEDS
from lib.models import Decoder, TransformerConfig
from lib.text import smollm2_tokenizer
from lib.training.preferences import log_probs_of
from lib.worlds import verifiable
from lib.worlds.verifiable import (
    NEARBY,
    RlvrSettings,
    Sum,
    answers_to,
    described,
    evaluate,
    nearby,
    prompts_of,
    report,
    rlvr_step,
    stored_runs,
    sums,
    texts_of,
    train_rlvr,
    verify,
    verify_strictly,
    with_adapter,
)

QUICK = RlvrSettings(steps=2, questions=2, samples=3, max_new_tokens=4, evaluate_every=2, rank=2)


@pytest.fixture(scope="module")
def tokenizer():
    return smollm2_tokenizer()


@pytest.fixture
def model():
    config = TransformerConfig(
        architecture="decoder", vocab_size=49152, d_model=16, num_layers=3, num_heads=2, d_ff=32, max_positions=64,
        position="rotary", norm="rmsnorm", bias=False,
    )  # fmt: skip
    return Decoder(config, generator=torch.Generator().manual_seed(0)).eval()


def test_held_out_sums_are_held_out_in_both_orders():
    split = sums()
    assert Counter(map(len, split.values())) == Counter([61, 20]) and len(set(split["train"] + split["held_out"])) == 81
    for s in split["held_out"]:
        assert Sum(s.b, s.a) in split["held_out"]


@pytest.mark.parametrize(
    "text, found, strictly",
    [("6 + 4 = 10", 1, 1), ("10", 1, 1), ("10 or 11", 1, 0), ("100", 0, 0), ("ten", 0, 0), ("", 0, 0), ("1 0", 0, 0)],
)
def test_the_verifiers(text, found, strictly):
    assert (verify(text, 10), verify_strictly(text, 10)) == (found, strictly)


def test_nearby_questions_have_right_answers():
    for task in NEARBY:
        for question, answer in nearby(task):
            a, sign, b = question.removeprefix("What is ").split("?")[0].split()
            assert answer == {"+": int(a) + int(b), "-": int(a) - int(b), "x": int(a) * int(b)}[sign]
    with pytest.raises(ValueError, match="task must be .two digits"):
        nearby("sums")


def test_prompts_must_be_equally_long(tokenizer):
    with pytest.raises(ValueError, match="questions must be equally many tokens"):
        prompts_of(["a", "What is 6 + 4?"], tokenizer)
    with pytest.raises(ValueError):
        prompts_of([], tokenizer)


@pytest.mark.parametrize(
    "wrong", [{"samples": 1}, {"steps": 0}, {"beta": -1.0}, {"learning_rate": 0.0}, {"evaluate_every": 0}]
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RlvrSettings(**wrong)


def test_only_the_last_third_is_trained_and_the_base_stays(model, tokenizer):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with_adapter(model, QUICK)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    assert names and all(name.startswith("stack.blocks.2.") for name in names)
    assert count_trainable(model) == sum(p.numel() for p in trainable_parameters(model))
    list(train_rlvr(model, tokenizer, QUICK))
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_a_step_makes_the_better_answers_likelier(model, tokenizer, monkeypatch):
    monkeypatch.setattr(verifiable, "verify", lambda text, answer: float(len(text) % 2))
    with_adapter(model, QUICK)
    kept = {}

    def remembered(*given, **options):
        kept["answers"] = rollout(*given, **options)
        return kept["answers"]

    rollout = verifiable.rollout
    monkeypatch.setattr(verifiable, "rollout", remembered)
    optimizer = torch.optim.SGD(trainable_parameters(model), lr=1.0)
    found = rlvr_step(model, tokenizer, [Sum(1, 2), Sum(3, 4)], optimizer, QUICK, torch.Generator().manual_seed(0))
    assert found.texts == texts_of(kept["answers"], tokenizer) and found.kl.abs().max() < 1e-5
    assert 0 < found.reward.mean() < 1
    after = log_probs_of(model, kept["answers"]).sum(dim=1).detach()
    advantage = found.reward.view(2, 3) - (found.reward.view(2, 3).sum(1, keepdim=True) - found.reward.view(2, 3)) / 2
    assert (advantage.flatten() * (after - found.log_prob)).sum() > 0
    with torch.no_grad(), use_adapter(model, None):
        torch.testing.assert_close(log_probs_of(model, kept["answers"]).sum(dim=1), found.log_prob)


def test_rows_of_a_run(model, tokenizer):
    rows = list(train_rlvr(with_adapter(model, QUICK), tokenizer, QUICK))
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert [row["held_out"] == "" for row in rows] == [False, True, False]
    assert rows[0]["kl"] == 0 and 0 < rows[0]["distinct"] <= 1 and rows[0]["length"] <= 4
    assert all(len(json.loads(row["examples"])) == 4 for row in rows)


def test_described_by_hand():
    step = verifiable.Step(
        ["a", "a", "b", "c"], torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.ones(4), -torch.ones(4), 2 * torch.ones(4)
    )
    assert described(step, RlvrSettings(samples=2)) == {
        "reward": 0.25, "kl": 1.0, "length": 2.0, "entropy": 0.5, "distinct": 0.75,
    }  # fmt: skip


def test_a_report_counts_what_the_answers_say(model, tokenizer, monkeypatch):
    def answers(policy, tokenizer, questions, settings, samples=0):
        right = [
            str(eval(q.removeprefix("What is ").split("?")[0].replace("x", "*"))) if " " in q else "" for q in questions
        ]
        return [text for text in right for _ in range(max(1, samples))]

    monkeypatch.setattr(verifiable, "ELSEWHERE", ("Why?",))
    monkeypatch.setattr(verifiable, "answers_to", answers)
    found = report(model, tokenizer, QUICK)
    assert {found[name] for name in ("one_of", "greedy", *NEARBY)} == {1.0} and found["elsewhere"] == {"Why?": ""}
    assert {task: len(texts) for task, texts in found["nearby"].items()} == dict.fromkeys(NEARBY, 16)
    assert evaluate(model, tokenizer, sums()["held_out"], QUICK) == {"held_out": 1.0, "strict": 1.0}


def test_answers_are_the_same_every_time(model, tokenizer):
    first, again = (answers_to(model, tokenizer, ["What is 1 + 1?"], QUICK, samples=3) for _ in range(2))
    assert first == again and len(first) == 3
    assert len(answers_to(model, tokenizer, ["What is 1 + 1?"], QUICK)) == 1


def test_the_two_files_of_the_stored_runs_agree():
    runs, stored = stored_runs()
    with open(DATA / "experiments" / "rlvr.csv", newline="", encoding="utf-8") as file:
        assert sum(map(len, runs.values())) == len(list(csv.DictReader(file))) and list(runs) == [
            str(s) for s in RLVR_SEEDS
        ]
    for run, found in [
        (run[i], f) for s, run in runs.items() for i, f in ((0, stored["before"]), (-1, stored["after"][s]))
    ]:
        judged = [(text, s.answer) for s in sums()["held_out"] for text in found["samples"][s.question]]
        assert float(run["held_out"]) == sum(verify(*pair) for pair in judged) / len(judged)
        assert float(run["strict"]) == sum(verify_strictly(*pair) for pair in judged) / len(judged)
        for task in NEARBY:
            judged = [(text, right) for text, (_, right) in zip(found["nearby"][task], nearby(task), strict=True)]
            assert found[task] == round(sum(verify_strictly(*pair) for pair in judged) / len(judged), 4)


def test_rows_are_measured_every_so_often_and_at_the_end(model, tokenizer, monkeypatch):
    monkeypatch.setattr(verifiable, "evaluate", lambda *given: {"held_out": 0.5, "strict": 0.25})
    settings = replace(QUICK, steps=5, evaluate_every=3)
    rows = list(train_rlvr(with_adapter(model, settings), tokenizer, settings))
    assert [row["step"] for row in rows if row["held_out"] != ""] == [0, 3, 5]
    assert all((row["held_out"] == "") == (row["strict"] == "") for row in rows)


def test_the_last_row_is_measured_and_not_learned_from(model, tokenizer, monkeypatch):
    """Otherwise the policy that is kept, and reported on, has taken one step more than its rows say."""
    monkeypatch.setattr(verifiable, "verify", lambda text, answer: float(len(text) % 2))
    monkeypatch.setattr(verifiable, "evaluate", lambda *given: {"held_out": 0.5, "strict": 0.25})
    with_adapter(model, QUICK)
    states = []
    for _ in train_rlvr(model, tokenizer, QUICK):
        states.append(torch.cat([p.detach().flatten().clone() for p in trainable_parameters(model)]))
    assert len(states) == 3 and not torch.equal(states[0], states[1]) and torch.equal(states[1], states[2])


def test_measuring_changes_nothing_of_the_run(model, tokenizer, monkeypatch):
    few = {split: found[:4] for split, found in sums().items()}
    monkeypatch.setattr(verifiable, "sums", lambda: few)
    often, once = (
        list(train_rlvr(with_adapter(copy.deepcopy(model), QUICK), tokenizer, replace(QUICK, evaluate_every=every)))
        for every in (1, 2)
    )
    assert [row["examples"] for row in often] == [row["examples"] for row in once]


def test_a_step_by_hand(model, tokenizer, monkeypatch):
    """Half a run later: the adapter has moved, so the penalty is not 0; both its sign and its weight are in the step."""
    monkeypatch.setattr(verifiable, "verify", lambda text, answer: float(len(text) % 2) + answer)
    settings = replace(QUICK, beta=0.7)
    with_adapter(model, settings)
    with torch.no_grad():
        for p in trainable_parameters(model):
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    own, kept = copy.deepcopy(model), {}
    rollout = verifiable.rollout
    monkeypatch.setattr(verifiable, "rollout", lambda *a, **n: kept.setdefault("answers", rollout(*a, **n)))
    optimizer = torch.optim.SGD(trainable_parameters(model), lr=1.0)
    found = rlvr_step(model, tokenizer, [Sum(1, 2), Sum(3, 4)], optimizer, settings, torch.Generator().manual_seed(0))

    answers = kept["answers"]
    log_probs = log_probs_of(own, answers).sum(dim=1)
    with torch.no_grad(), use_adapter(own, None):
        reference = log_probs_of(own, answers).sum(dim=1)
    kl = log_probs.detach() - reference
    torch.testing.assert_close(found.kl, kl)
    assert kl.abs().min() > 1e-3
    reward = torch.tensor([float(len(text) % 2) + (3 if i < 3 else 7) for i, text in enumerate(found.texts)])
    assert torch.equal(found.reward, reward)
    returns = (reward - 0.7 * kl).view(2, 3)
    advantages = (returns - (returns.sum(1, keepdim=True) - returns) / 2).flatten()
    parameters = trainable_parameters(own)
    gradients = torch.autograd.grad(-(advantages * log_probs).mean(), parameters)
    norm = torch.cat([g.flatten() for g in gradients]).norm().item()
    for after, before, gradient in zip(trainable_parameters(model), parameters, gradients, strict=True):
        torch.testing.assert_close(after, before - gradient * min(1.0, 1 / (norm + 1e-6)), rtol=1e-4, atol=1e-6)
    assert found.length.tolist() == answers.response_mask.sum(dim=1).tolist()


def test_a_report_tells_one_right_answer_of_four_from_four(model, tokenizer, monkeypatch):
    """The first of four is right, and lists a second number; the greedy answer is right for the first half of the sums."""
    right = {s.question: s.answer for s in sums()["held_out"]} | {q: a for task in NEARBY for q, a in nearby(task)}

    def answers(policy, tokenizer, questions, settings, samples=0):
        if not samples:
            return [f"{right.get(q, '')}" if i < len(questions) / 2 else "none" for i, q in enumerate(questions)]
        return [f"{right[q]} or 999" if k == 0 else "none" for q in questions for k in range(samples)]

    monkeypatch.setattr(verifiable, "answers_to", answers)
    found = report(model, tokenizer, QUICK)
    assert (found["one_of"], found["greedy"]) == (1.0, 0.5) and {found[task] for task in NEARBY} == {0.5}
    assert set(map(len, found["samples"].values())) == {4} and list(found["elsewhere"]) == list(verifiable.ELSEWHERE)
    assert evaluate(model, tokenizer, sums()["held_out"], QUICK) == {"held_out": 0.25, "strict": 0.0}


@pytest.mark.parametrize("name", ["questions", "max_new_tokens", "rank", "samples", "learning_rate"])
@pytest.mark.parametrize("value", [0, -1])
def test_every_number_of_the_settings_is_checked(name, value, unchecked):
    with pytest.raises(ValueError, match=name):
        RlvrSettings(**{name: value})
    assert RlvrSettings(samples=2, beta=0, steps=1, evaluate_every=1).beta == 0
