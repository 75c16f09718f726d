"""Choices by log-probability, against one pass for each, and calibration by hand."""

import pytest
import torch

from lib.evaluation import calibrated, choice_log_probs, label_log_probs
from lib.models import Decoder
from tests.models.small import decoder, llama, shaken

PROMPT = [3, 1, 4, 1, 5]
CHOICES = [[9], [2, 6], [5, 3, 5], [2]]


@pytest.mark.parametrize("make", [decoder, llama], ids=["gpt2", "llama"])
def test_equals_one_pass_for_each_choice(make):
    model = shaken(Decoder(make()), width=0.5)
    expected = []
    for choice in CHOICES:
        ids = torch.tensor([PROMPT + choice])
        with torch.no_grad():
            log_probs = model(ids)[0, len(PROMPT) - 1 : -1].log_softmax(-1)
        expected.append(sum(log_probs[i, token].item() for i, token in enumerate(choice)))
    torch.testing.assert_close(choice_log_probs(model, PROMPT, CHOICES), torch.tensor(expected))
    one_by_one = torch.cat([choice_log_probs(model, PROMPT, [choice]) for choice in CHOICES])
    torch.testing.assert_close(one_by_one, torch.tensor(expected))


@pytest.mark.parametrize(
    "prompts",
    [
        [[3, 1, 4, 1], [3, 1, 5], [3, 1, 4, 2, 6]],  # two tokens in common
        [[3, 1], [4, 1, 5]],  # none
        [[3, 1], [3, 1, 5], [3, 1]],  # one is the beginning of another
        [[7]],
    ],
)
def test_labels_after_prompts_equal_one_pass_for_each(prompts):
    model = shaken(Decoder(llama()), width=0.5)
    with torch.no_grad():
        expected = torch.stack([model(torch.tensor([ids]))[0, -1, [2, 9, 4]].log_softmax(-1) for ids in prompts])
    torch.testing.assert_close(label_log_probs(model, prompts, [2, 9, 4]), expected)


def test_calibration_takes_the_preference_for_a_label_away():
    preference = torch.tensor([0.7, 0.2, 0.1]).log()
    even = calibrated(preference, preference).exp()
    torch.testing.assert_close(even, torch.full((3,), 1 / 3))
    two = calibrated(torch.tensor([[0.6, 0.4], [0.9, 0.1]]).log(), torch.tensor([0.8, 0.2]).log()).exp()
    torch.testing.assert_close(two, torch.tensor([[0.75 / 2.75, 2 / 2.75], [1.125 / 1.625, 0.5 / 1.625]]))


def test_bad_input(unchecked):
    model = shaken(Decoder(decoder()))
    for prompt, choices, named in (([], [[1]], "prompt"), ([1], [], "choices"), ([1], [[1], []], r"choices\[1\]")):
        with pytest.raises(ValueError, match=f"{named} must not be empty"):
            choice_log_probs(model, prompt, choices)
    with pytest.raises(ValueError, match="more than the context"):
        choice_log_probs(model, [1] * 11, [[1, 2, 3]])
    for prompts, labels, named in (([], [1], "prompts"), ([[1]], [], "labels"), ([[1], []], [1], r"prompts\[1\]")):
        with pytest.raises(ValueError, match=f"{named} must not be empty"):
            label_log_probs(model, prompts, labels)
    with pytest.raises(ValueError, match="as many choices"):
        calibrated(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="without"):
        calibrated(torch.zeros(2), torch.tensor([0.0, -torch.inf]))
