"""Corruption and prediction apart: what a batch of each design hides, and what it asks for."""

import math

import pytest
import torch

from lib.text import train_wordpiece
from lib.training.fit import FitSettings
from lib.training.masking_design import DESIGNS, Design, design_run, designed_batch, questions
from lib.training.recipes import Recipe

TEXTS = {part: ["the old sailor told us a long story about a storm . " * 40] for part in ("train", "validation")}
TINY = Recipe(
    "tiny", "bert", FitSettings(steps=3), vocab_size=60, d_model=8, num_layers=1, num_heads=1, length=16, batch_size=4
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(TEXTS["train"], 60)


def windows(tokenizer, rows=200):
    return torch.randint(5, tokenizer.vocab_size, (rows, 50), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_corrupts_and_predicts_what_it_says(tokenizer, name):
    design, text = DESIGNS[name], windows(tokenizer)
    ids, labels = designed_batch(text, design, tokenizer, generator=torch.Generator().manual_seed(1))
    copies = len(ids) // len(text)
    if design.predicted == 1:
        assert copies == 1 and torch.equal(labels, text) and abs((ids != text).float().mean() - 0.15 * 0.9) < 0.02
        return
    assert copies == max(1, round(design.predicted / design.corrupted))
    text = text.repeat(copies, 1)
    asked = labels != -100
    assert torch.equal(labels[asked], text[asked])
    hidden = ids == tokenizer.mask_id
    near = lambda share, expected: abs(share.float().mean().item() - expected) < 0.02  # noqa: E731
    assert near(asked, design.predicted / copies) and near(hidden, design.corrupted * design.split[0])
    assert near((ids != text) & ~hidden, design.corrupted * design.split[1])
    if design.split == (1, 0, 0):
        assert not (asked & ~hidden).any()


def test_copies_hide_other_tokens_so_that_together_they_predict_each_at_most_once(tokenizer):
    text = windows(tokenizer)
    _, labels = designed_batch(text, DESIGNS["13 / 40"], tokenizer, generator=torch.Generator().manual_seed(1))
    times = (labels != -100).view(3, *text.shape).sum(dim=0)
    assert times.max() == 1 and abs(times.float().mean() - 0.4) < 0.02


def test_fewer_labels_than_gaps_are_a_part_of_them(tokenizer):
    ids, labels = designed_batch(
        windows(tokenizer), DESIGNS["40 / 15"], tokenizer, generator=torch.Generator().manual_seed(1)
    )
    assert (ids[labels != -100] == tokenizer.mask_id).all()
    assert 0.3 < ((labels != -100).sum() / (ids == tokenizer.mask_id).sum()).item() < 0.45


def test_the_text_itself_stays_and_special_tokens_are_left_alone(tokenizer):
    text = windows(tokenizer)
    text[:, 0] = tokenizer.sep_id
    before = text.clone()
    ids, labels = designed_batch(text, Design(1.0, 1.0), tokenizer)
    assert torch.equal(text, before) and (ids[:, 0] == tokenizer.sep_id).all() and (labels[:, 0] == -100).all()


def test_bad_input(tokenizer):
    with pytest.raises(ValueError, match="predicted must be a multiple of corrupted"):
        designed_batch(windows(tokenizer), Design(0.15, 0.40), tokenizer)
    with pytest.raises(ValueError, match="15 / 15"):
        design_run("15/15", 0, tokenizer, TEXTS, TINY)


def test_a_run_is_a_row_with_three_losses_and_the_same_again(tokenizer):
    row = design_run("80/10/10", 3, tokenizer, TEXTS, TINY)
    again = design_run("80/10/10", 3, tokenizer, TEXTS, TINY)
    assert row | {"seconds": 0} == again | {"seconds": 0}
    assert (row["seed"], row["steps"], row["to_mask"], row["to_random"], row["kept"]) == (3, 3, 0.8, 0.1, 0.1)
    other = design_run("80/10/10", 4, tokenizer, TEXTS, TINY)
    assert row["loss_masked"] != other["loss_masked"]
    assert all(0 < row[name] < 2 * math.log(60) for name in ("loss_masked", "loss_random", "loss_kept"))


def test_the_questions_are_the_same_for_every_model(tokenizer):
    class Always(torch.nn.Module):
        """Says what it reads, whatever that is."""

        def encoder(self, ids):
            return 30.0 * torch.nn.functional.one_hot(ids, tokenizer.vocab_size).float()

        def head(self, hidden):
            return hidden

    asked = {name: ask(Always()) for name, ask in questions(tokenizer, TEXTS["validation"], TINY).items()}
    assert (
        asked["loss_kept"] < 0.01 and asked["loss_masked"] == pytest.approx(30, abs=0.1) and asked["loss_random"] > 25
    )


def test_a_seed_draws_the_weights_and_the_batches(tokenizer, monkeypatch):
    """And the model is asked after its training, about held-out text."""
    seen = []

    def fit(model, loss_fn, sample, settings, **more):
        seen.append((model.encoder.tokens.weight.detach().clone(), settings.seed, more["count_tokens"]))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()

    monkeypatch.setattr("lib.training.masking_design.fit", fit)
    rows = [design_run("15 / 15", seed, tokenizer, TEXTS, TINY) for seed in (3, 3, 4)]
    assert torch.equal(seen[0][0], seen[1][0]) and not torch.equal(seen[0][0], seen[2][0])
    assert [each[1] for each in seen] == [3, 3, 4] and seen[0][2].__name__ == "predicted_tokens"
    for row in rows:  # of zeros every piece is equally likely
        assert row["loss_masked"] == pytest.approx(math.log(tokenizer.vocab_size), abs=2e-4)


def test_questions_are_about_the_validation_text_and_without_dropout(tokenizer):
    texts = ["a storm ! " * 400]
    seen = set()

    class Watches(torch.nn.Module):
        def encoder(self, ids):
            seen.update(ids.flatten().tolist())
            assert not self.training and not torch.is_grad_enabled()
            return torch.zeros(*ids.shape, tokenizer.vocab_size)

        def head(self, hidden):
            return hidden

    questions(tokenizer, texts, TINY)["loss_kept"](Watches().train())
    allowed = {*tokenizer.encode("a storm !"), *tokenizer.special_ids}
    assert seen and seen <= allowed
