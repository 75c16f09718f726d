"""What is trained, what cannot be, and what an error says about the batch that stopped a run."""

import pytest
import torch
from torch import nn

from lib.training.nonfinite import NonFiniteGradientError, NonFiniteLossError, trained_parameters
from lib.training.random_state import kept_states


def test_each_parameter_that_is_trained_once_and_in_order():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    first.bias.requires_grad_(False)
    second.weight = first.weight
    found = trained_parameters(policy=first, value=second)
    assert [id(p) for p in found] == [id(first.weight), id(second.bias)]


def test_one_parameter_in_float16_among_others_is_one_too_many():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).half())
    with pytest.raises(ValueError, match="^value has float16 parameters"):
        trained_parameters(policy=nn.Linear(1, 1), value=model)
    model[1].requires_grad_(False)
    assert len(trained_parameters(value=model)) == 2
    with pytest.raises(ValueError, match="^value has no parameter that requires a gradient"):
        trained_parameters(policy=nn.Linear(1, 1), value=model[1])


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (torch.zeros(2, 3, dtype=torch.long), r"int64 tensor of shape \(2, 3\)$"),
        ([torch.zeros(1), torch.zeros(()).bool()],
         r"\(float32 tensor of shape \(1,\), bool tensor of shape \(\)\)$"),
        ((torch.zeros(1),), r"\(float32 tensor of shape \(1,\)\)$"),
        ({"x": torch.zeros(1), "y": [3]}, r"\{x: float32 tensor of shape \(1,\), y: \(int\)\}$"),
        ("text", "str$"),
    ],
)  # fmt: skip
def test_the_error_describes_its_batch(batch, said):
    error = NonFiniteLossError(7, "the loss is nan", batch, None)
    assert error.step == 7 and error.batch is batch
    with pytest.raises(
        RuntimeError, match=rf"^the loss is nan at step 7; the model was not updated with it\. .*{said}"
    ):
        raise error


def test_a_checkpoint_is_named_if_it_is_there(tmp_path):
    file = tmp_path / "r.pt"
    assert "last good state" not in str(NonFiniteLossError(0, "", 1, file))
    file.touch()
    error = NonFiniteGradientError(0, "", 1, file)
    assert "not updated with it; the last good state is in r.pt. " in str(error)
    assert isinstance(error, NonFiniteLossError)


@pytest.mark.parametrize("error", [None, KeyError, KeyboardInterrupt])
def test_generators_are_as_they_were_whatever_happens(error):
    both = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    before = [generator.get_state() for generator in both]
    with pytest.raises(error or StopIteration), kept_states(both):
        for generator in both:
            torch.rand(3, generator=generator)
        raise error or StopIteration
    assert all(torch.equal(generator.get_state(), state) for generator, state in zip(both, before))
