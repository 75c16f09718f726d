"""The labels of supervised fine-tuning: an exercise of `sft`."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- sft.response_labels ----------------------------------------------------------------------------------------------
def response_labels(
    prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad_id: int
) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
    """Prompt and response of each row, padded on the right, and labels that are −100 outside the response (slide C33).

    >>> response_labels([[5, 6]], [[7, 8]], 0)
    (tensor([[5, 6, 7, 8]]), tensor([[-100, -100,    7,    8]]))
    """
    return _batch(prompts, responses, pad_id)


def _batch(prompts, responses, pad_id, *, ignore=-100, hide_prompt=True, hide_padding=True, hide_more=0):
    """The batch and its labels. The default options are right; each other option makes a mistake."""
    length = max(len(p) + len(r) for p, r in zip(prompts, responses))
    input_ids = torch.full((len(prompts), length), pad_id)
    labels = torch.full((len(prompts), length), ignore if hide_padding else pad_id)
    for row, (prompt, response) in enumerate(zip(prompts, responses)):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor([*prompt, *response])
        labels[row, :end] = input_ids[row, :end]
        if hide_prompt:
            labels[row, : max(0, min(end, len(prompt) + hide_more))] = ignore
    return input_ids, labels


def _by_lists(prompts, responses, pad_id):
    length = max(map(len, (p + r for p, r in zip(prompts, responses))))
    rows = [p + r + [pad_id] * (length - len(p + r)) for p, r in zip(prompts, responses)]
    labels = [[-100] * len(p) + r + [-100] * (length - len(p + r)) for p, r in zip(prompts, responses)]
    return torch.tensor(rows), torch.tensor(labels)


def _hidden_by_value(prompts, responses, pad_id):
    input_ids, labels = _batch(prompts, responses, pad_id)
    return input_ids, labels.masked_fill(input_ids == pad_id, -100)


def _shifted_already(prompts, responses, pad_id):
    input_ids, labels = _batch(prompts, responses, pad_id)
    return input_ids, torch.cat((labels[:, 1:], torch.full_like(labels[:, :1], -100)), dim=1)


def _inputs_hidden_too(prompts, responses, pad_id):
    _, labels = _batch(prompts, responses, pad_id)
    return labels.masked_fill(labels == -100, pad_id), labels


def _padded_on_the_left(prompts, responses, pad_id):
    rows = [(torch.tensor([*p, *r]), torch.tensor([-100] * len(p) + [*r])) for p, r in zip(prompts, responses)]
    length = max(len(ids) for ids, _ in rows)
    input_ids = [torch.cat((torch.full((length - len(ids),), pad_id), ids)) for ids, _ in rows]
    labels = [torch.cat((torch.full((length - len(ids),), -100), label)) for ids, label in rows]
    return torch.stack(input_ids), torch.stack(labels)


def _room_for_the_longest_of_each(prompts, responses, pad_id):
    input_ids, labels = _batch(prompts, responses, pad_id)
    more = max(map(len, prompts)) + max(map(len, responses)) - input_ids.shape[1]
    wider = torch.full((len(prompts), more), pad_id)
    return torch.cat((input_ids, wider), dim=1), torch.cat((labels, torch.full_like(wider, -100)), dim=1)


def _padded_with_zero(prompts, responses, pad_id):
    return _batch(prompts, responses, 0)


def _ignored_in_the_inputs(prompts, responses, pad_id):
    return _batch(prompts, responses, -100)[0], _batch(prompts, responses, pad_id)[1]


def _last_token_hidden(prompts, responses, pad_id):
    input_ids, labels = _batch(prompts, responses, pad_id)
    for row, (prompt, response) in enumerate(zip(prompts, responses)):
        labels[row, max(0, len(prompt) + len(response) - 1)] = -100
    return input_ids, labels


def _prompt_by_value(prompts, responses, pad_id):
    input_ids, labels = _batch(prompts, responses, pad_id)
    for row, prompt in enumerate(prompts):
        labels[row] = labels[row].masked_fill(torch.isin(labels[row], torch.tensor(prompt).long()), -100)
    return input_ids, labels


def _counted_from_the_end(prompts, responses, pad_id):
    input_ids, labels = _batch(prompts, responses, pad_id)
    for row, (prompt, response) in enumerate(zip(prompts, responses)):
        if not response:
            labels[row, : len(prompt)] = input_ids[row, : len(prompt)]
    return input_ids, labels


def _demonstrations(generator):
    draw = [torch.randint(1, 50, (n,), generator=generator).tolist() for n in (4, 3, 2, 5, 3, 1)]
    told = [5, 57, 8]  # 57 is the padding, too
    return [
        case("two rows of different lengths", draw[0:4:2], draw[3:0:-2], 0),
        case("one row, nothing to pad", [draw[4]], [draw[1]], 0),
        case("a response that ends with the padding id", [draw[0], draw[2]], [[*draw[5], 49], [*draw[1], 49]], 49),
        case("the padding id inside a prompt and a response", [told, [6]], [[57, 9, *told], [7, 57]], 57),
        case("a word of the prompt again in the response", [[11, 12, 13], [14]], [[12, 11], [14, 15, 16]], 58),
        case("an empty prompt, and an empty response", [[], [21, 22, 23], [24]], [[25, 26], [], [27, 28, 29, 30]], 59),
        case("three rows, a response of one token", [draw[2], draw[5], draw[3]], [draw[3], draw[5], draw[1]], 0),
    ]


RESPONSE_LABELS = Exercise(
    id="sft.response_labels",
    slides=("C33",),
    points=3,
    minutes=12,
    title="Which tokens have labels?",
    reference=response_labels,
    cases=_demonstrations,
    accepts=(_by_lists,),
    withheld=(
        "lib.objectives.sft.response_labels",
        "lib.worlds.wikipedia_questions.as_demonstrations",
        "lib.training.preferences.join_answers",
    ),
    misconceptions=(
        Misconception(
            "prompt_not_masked",
            lambda p, r, pad_id: _batch(p, r, pad_id, hide_prompt=False),
            "The labels still contain the prompt: the model would learn to write questions as well. Put −100 there.",
        ),
        Misconception(
            "padding_not_masked",
            lambda p, r, pad_id: _batch(p, r, pad_id, hide_padding=False),
            "The labels contain the padding id after the responses: the model would learn to write padding, which is "
            "easy, "
            "and the loss would look too good. Put −100 there.",
        ),
        Misconception(
            "padding_masked_by_value",
            _hidden_by_value,
            "You mask every padding id, even where it ends a response. Many tokenizers pad with their end-of-text "
            "token: a "
            "model trained like this never learns to stop. Mask by position.",
        ),
        Misconception(
            "shifted_already",
            _shifted_already,
            "Your labels are shifted by one. Here, as in transformers, a label is at its own token's position, and the "
            "loss "
            "does the shift. Yours would be shifted twice.",
        ),
        Misconception(
            "first_token_masked",
            lambda p, r, pad_id: _batch(p, r, pad_id, hide_more=1),
            "The first token of each response is masked too. It is predicted at the last token of the prompt, and only "
            "this "
            "label teaches the model how to begin.",
        ),
        Misconception(
            "last_token_masked",
            _last_token_hidden,
            "The last token of each response has no label: it is often the end token, and without it nothing stops.",
        ),
        Misconception(
            "label_one_place_early",
            lambda p, r, pad_id: _batch(p, r, pad_id, hide_more=-1),
            "The last token of each prompt has a label too. It is where the response is predicted, but its own label is −100: "
            "labels are not shifted.",
        ),
        Misconception(
            "prompt_masked_by_value",
            _prompt_by_value,
            "You mask each id that occurs in the prompt, also where the response repeats it. Mask by position.",
        ),
        Misconception(
            "counted_from_the_end",
            _counted_from_the_end,
            "An empty response gets the prompt's labels: [-len(response):] with length 0 is the whole row.",
        ),
        Misconception(
            "padded_on_the_left",
            _padded_on_the_left,
            "You put the padding in front. Here it stands on the right, after the response.",
        ),
        Misconception(
            "padded_with_zero",
            _padded_with_zero,
            "You pad with 0; the padding is pad_id, whatever it is.",
        ),
        Misconception(
            "room_for_the_longest_of_each",
            _room_for_the_longest_of_each,
            "You add the longest prompt and the longest response, which may stand in different rows: take the longest row.",
        ),
        Misconception(
            "ignored_in_the_inputs",
            _ignored_in_the_inputs,
            "−100 stands in input_ids, but it is no token: only labels have it. The inputs are padded with pad_id.",
        ),
        Misconception(
            "zero_for_ignore",
            lambda p, r, pad_id: _batch(p, r, pad_id, ignore=0),
            "You wrote 0 where there is nothing to predict, but 0 is a token. Losses ignore the value −100.",
        ),
        Misconception(
            "prompt_hidden_from_the_model",
            _inputs_hidden_too,
            "You replaced the prompt in input_ids as well. The model must read the question; it only does not have to "
            "predict it.",
        ),
    ),
    hints=(
        "Begin with two tensors of the final size: one full of pad_id, one full of −100.",
        "For each row, ids go to [: len(p) + len(r)], and labels only to [len(p) : len(p) + len(r)].",
    ),
)
