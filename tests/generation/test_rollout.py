"""Sampled answers and their masks; and, where all answers can be listed, their exact probabilities."""

import importlib

import pytest
import torch

from lib.generation import enumerate_responses, rollout
from lib.generation.rollout import _answers
from lib.models import Decoder, TransformerConfig
from lib.objectives import response_log_prob, token_log_probs

MODULE = importlib.import_module("lib.generation.rollout")  # `lib.generation.rollout` itself is the function
EOS = 2


def decoder(vocab_size=3, **changes):
    config = {"architecture": "decoder", "vocab_size": vocab_size, "d_model": 8, "num_layers": 1, "num_heads": 2,
              "d_ff": 16, "max_positions": 12, "init_std": 0.7}  # fmt: skip
    return Decoder(TransformerConfig(**config | changes), generator=torch.Generator().manual_seed(1))


def step_by_step(model, prompt, answer):
    """log π(y | x) by one forward pass a token."""
    total, seen = 0.0, list(prompt)
    for token in answer:
        total += model(torch.tensor([seen]))[0, -1].log_softmax(-1)[token].item()
        seen.append(token)
    return total


def test_masks_mark_the_answer_up_to_its_end(generator):
    model = decoder()
    prompts = torch.tensor([[0, 1], [1, 1], [0, 0]])
    answers = rollout(model, prompts, 5, samples=4, eos_id=EOS, generator=generator)
    assert torch.equal(answers.input_ids[:, :2], prompts.repeat_interleave(4, dim=0))
    assert not answers.response_mask[:, :2].any() and answers.attention_mask[:, :2].all()
    for ids, counts in zip(answers.input_ids[:, 2:].tolist(), answers.response_mask[:, 2:].tolist()):
        end = ids.index(EOS) + 1 if EOS in ids else len(ids)
        assert counts == [True] * end + [False] * (len(ids) - end)
    assert torch.equal(answers.attention_mask[:, 2:], answers.response_mask[:, 2:])


def test_each_row_has_the_mask_of_its_own_prompt(generator):
    prompts, real = torch.tensor([[0, 1, 1], [1, 1, 0]]), torch.tensor([[0, 0, 1], [1, 1, 1]])
    answers = rollout(decoder(), prompts, 2, attention_mask=real, samples=3, generator=generator)
    assert torch.equal(answers.attention_mask[:, :3], real.bool().repeat_interleave(3, dim=0))
    assert torch.equal(answers.input_ids[:, :3], prompts.repeat_interleave(3, dim=0))


def test_frequencies_are_the_enumerated_probabilities(generator):
    model, prompt = decoder(), torch.tensor([0, 1])
    world = enumerate_responses(model, prompt, 2, eos_id=EOS)
    number = 4000
    answers = rollout(model, prompt[None], 2, samples=number, eos_id=EOS, generator=generator)
    for ids, log_prob in zip(world.input_ids, world.log_probs.detach()):
        share = (answers.input_ids == ids).all(dim=1).float().mean()
        p = log_prob.exp()
        assert abs(share - p) <= 4.5 * (p * (1 - p) / number) ** 0.5 + 1e-9


def test_left_padded_prompts_get_the_answers_of_bare_ones():
    model = decoder()
    bare = rollout(model, torch.tensor([[0, 1]]), 6, temperature=0.0)
    padded = rollout(
        model, torch.tensor([[EOS, 0, 1], [1, 0, 1]]), 6, attention_mask=torch.tensor([[0, 1, 1], [1, 1, 1]]),
        temperature=0.0,
    )  # fmt: skip
    assert torch.equal(padded.input_ids[0, 1:], bare.input_ids[0])
    assert padded.attention_mask[0].tolist() == [False] + [True] * 8
    assert not padded.response_mask[:, :3].any() and padded.response_mask[:, 3:].all()


def test_several_answers_to_a_padded_prompt_are_written_under_its_own_mask():
    model, real = decoder(), torch.tensor([[0, 0, 1], [1, 1, 1]])
    prompts = torch.tensor([[EOS, EOS, 1], [1, 0, 1]])
    bare = [rollout(model, prompt[mask.bool()][None], 6, temperature=0.0) for prompt, mask in zip(prompts, real)]
    answers = rollout(model, prompts, 6, attention_mask=real, samples=3, temperature=0.0)
    assert torch.equal(answers.input_ids[:3, 2:], bare[0].input_ids.expand(3, -1))
    assert torch.equal(answers.input_ids[3:], bare[1].input_ids.expand(3, -1))


@pytest.mark.parametrize("eos_id", [None, EOS])
def test_enumeration_is_complete_and_exact(eos_id):
    model, prompt = decoder().double(), torch.tensor([1, 0])
    world = enumerate_responses(model, prompt, 3, eos_id=eos_id)
    answers = [tuple(ids[counts].tolist()) for ids, counts in zip(world.input_ids, world.response_mask)]
    assert len(set(answers)) == len(answers) == (27 if eos_id is None else 8 + 1 + 2 + 4)
    assert world.log_probs.exp().sum().item() == pytest.approx(1, abs=1e-12)
    for answer, log_prob in zip(answers, world.log_probs.tolist()):
        assert log_prob == pytest.approx(step_by_step(model, [1, 0], answer), abs=1e-10)
    again = response_log_prob(
        token_log_probs(model(world.input_ids, world.attention_mask), world.input_ids), world.response_mask
    )
    assert torch.allclose(again, world.log_probs)


def test_gradients_of_all_probabilities_sum_to_zero():
    model = decoder().double()
    enumerate_responses(model, torch.tensor([0]), 3, eos_id=EOS).log_probs.exp().sum().backward()
    assert max(p.grad.abs().max() for p in model.parameters()) < 1e-12


@pytest.mark.parametrize(
    "change, message",
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"prompts": torch.tensor([1, 0])}, r"prompts must have shape \(B, T\), got \(2,\)"),
        ({"prompts": torch.zeros(0, 3, dtype=torch.long)}, r"prompts must not be empty, got shape \(0, 3\)"),
        ({"max_new_tokens": 20}, "more than the context"),
        ({"temperature": -1.0}, "temperature"),
    ],
)
def test_bad_rollouts(unchecked, change, message):
    arguments = {"prompts": torch.tensor([[1, 0]]), "max_new_tokens": 2} | change
    with pytest.raises(ValueError, match=message):
        rollout(decoder(), arguments.pop("prompts"), arguments.pop("max_new_tokens"), **arguments)


def test_bad_enumerations(unchecked):
    with pytest.raises(ValueError, match="enumerate a smaller world"):
        enumerate_responses(decoder(vocab_size=50), torch.tensor([0]), 4)
    with pytest.raises(ValueError, match="enumerate a smaller world"):
        enumerate_responses(decoder(vocab_size=50), torch.tensor([0]), 4, eos_id=0)
    with pytest.raises(ValueError, match=r"prompt must have shape \(T,\), got \(1, 1\)"):
        enumerate_responses(decoder(), torch.tensor([[0]]), 2)
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1, got 0"):
        enumerate_responses(decoder(), torch.tensor([0]), 0)


@pytest.mark.parametrize("eos_id", [None, 0])
def test_a_hundred_thousand_answers_are_few_enough_and_one_more_is_not(eos_id):
    assert len(_answers(100_000, 1, eos_id)) == 100_000
    with pytest.raises(
        ValueError, match="a vocabulary of 100,?001 has 100,001 answers of up to 1 tokens, more than 100,000"
    ):
        _answers(100_001, 1, eos_id)


@pytest.mark.parametrize("vocab_size, length", [(2, 4), (3, 3), (4, 2), (1, 3)])
@pytest.mark.parametrize("eos_id", [None, 0])
def test_answers_are_counted_as_they_are_listed(vocab_size, length, eos_id, monkeypatch):
    listed = len(_answers(vocab_size, length, eos_id))
    monkeypatch.setattr(MODULE, "MOST_ANSWERS", listed)
    assert len(set(_answers(vocab_size, length, eos_id))) == listed
    monkeypatch.setattr(MODULE, "MOST_ANSWERS", listed - 1)
    with pytest.raises(ValueError, match=f"has {listed} answers"):
        _answers(vocab_size, length, eos_id)


def test_one_answer_at_temperature_one_unless_told_otherwise():
    model, prompts = decoder(), torch.tensor([[0, 1], [1, 1], [0, 0]]).repeat(20, 1)
    seeds = lambda: torch.Generator().manual_seed(4)
    usual = rollout(model, prompts, 4, generator=seeds())
    told = rollout(model, prompts, 4, samples=1, temperature=1.0, eos_id=None, generator=seeds())
    assert torch.equal(usual.input_ids, told.input_ids) and usual.input_ids.shape == (60, 6)
    hot = rollout(model, prompts, 4, temperature=3.0, generator=seeds())
    assert not torch.equal(hot.input_ids, usual.input_ids) and usual.response_mask[:, 2:].all()
    assert usual.attention_mask.all() and usual.attention_mask.dtype == usual.response_mask.dtype == torch.bool


@pytest.mark.parametrize("as_type", [torch.long, torch.bool])
def test_every_sample_is_drawn_under_the_mask_of_its_own_prompt(as_type):
    """The padding is the end-of-sequence token: it neither ends an answer nor is it read."""
    model = decoder(vocab_size=7)
    prompts, real = torch.tensor([[EOS, EOS, 4], [5, EOS, 6]]), torch.tensor([[0, 0, 1], [1, 1, 1]]).to(as_type)
    answers = rollout(model, prompts, 6, attention_mask=real, samples=2, temperature=0.0)
    ended = rollout(model, prompts, 6, attention_mask=real, samples=2, temperature=0.0, eos_id=EOS)
    for row, bare in enumerate(([4], [4], [5, EOS, 6], [5, EOS, 6])):
        alone = rollout(model, torch.tensor([bare]), 6, temperature=0.0).input_ids[0, len(bare) :]
        assert torch.equal(answers.input_ids[row, 3:], alone)
        assert ended.response_mask[row, 3] and ended.attention_mask[row, :3].tolist() == [False] * (3 - len(bare)) + [
            True
        ] * len(bare)
    assert not torch.equal(answers.input_ids[0, 3:], rollout(model, prompts, 6, temperature=0.0).input_ids[0, 3:])


def test_a_prompt_may_hold_the_end_of_a_sequence():
    world = enumerate_responses(decoder().double(), torch.tensor([EOS, 0]), 2, eos_id=EOS)
    assert world.attention_mask[:, :2].all() and not world.response_mask[:, :2].any()
    assert world.response_mask[:, 2:].sum(1).tolist() == [2, 2, 2, 2, 2, 2, 1]
    assert world.input_ids[-1].tolist() == [EOS, 0, EOS, EOS] and world.log_probs.exp().sum().item() == pytest.approx(1)


def test_a_sequence_may_end_with_token_zero(generator):
    answers = rollout(decoder(vocab_size=7), torch.tensor([[0, 1]]), 5, samples=60, eos_id=0, generator=generator)
    lengths = set()
    for ids, counts in zip(answers.input_ids[:, 2:].tolist(), answers.response_mask[:, 2:].tolist()):
        end = ids.index(0) + 1 if 0 in ids else 5
        lengths.add(end)
        assert counts == [True] * end + [False] * (5 - end)
    assert len(lengths) > 2
    world = enumerate_responses(decoder(), torch.tensor([0, 1]), 2, eos_id=0)
    assert [ids[2:].tolist() for ids in world.input_ids] == [[0, 0], [1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2]]
    assert world.response_mask[:, 2:].sum(dim=1).tolist() == [1, 2, 2, 2, 2, 2, 2]
