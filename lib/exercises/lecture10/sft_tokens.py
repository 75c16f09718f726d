"""Labels and loss of supervised fine-tuning: two exercises of `sft`."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.objectives import sft_loss


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
            labels[row, : min(end, len(prompt) + hide_more)] = ignore
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


def _demonstrations(generator):
    draw = [torch.randint(1, 50, (n,), generator=generator).tolist() for n in (4, 3, 2, 5, 3, 1)]
    return [
        case("two rows of different lengths", draw[0:4:2], draw[3:0:-2], 0),
        case("one row, nothing to pad", [draw[4]], [draw[1]], 0),
        case("a response that ends with the padding id", [draw[0], draw[2]], [[*draw[5], 49], [*draw[1], 49]], 49),
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


# --- sft.sft_loss -----------------------------------------------------------------------------------------------------
def _token_losses(logits: Tensor, input_ids: Tensor) -> Tensor:
    """−log P of each token except the first, given the tokens before it: (B, T − 1)."""
    log_probs = torch.log_softmax(logits[:, :-1], dim=-1)
    return -log_probs.gather(-1, input_ids[:, 1:, None]).squeeze(-1)


def _loss_with(logits: Tensor, input_ids: Tensor, mask: Tensor, *, per: int | None = None) -> Tensor:
    """The mean over the tokens of `mask`, or their sum divided by `per`."""
    kept = _token_losses(logits, input_ids)[mask[:, 1:]]
    return kept.mean() if per is None else kept.sum() / per


def _with_cross_entropy(logits, input_ids, response_mask):
    labels = input_ids.masked_fill(~response_mask, -100)[:, 1:]
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())


def _prompt_too(logits, input_ids, response_mask):
    return _loss_with(logits, input_ids, response_mask.flip(1).cummax(dim=1).values.flip(1))


def _padding_too(logits, input_ids, response_mask):
    return _loss_with(logits, input_ids, response_mask.cummax(dim=1).values)


def _all_positions(logits, input_ids, response_mask):
    return _loss_with(logits, input_ids, torch.ones_like(response_mask))


def _unshifted(logits, input_ids, response_mask):
    return functional.cross_entropy(logits[response_mask], input_ids[response_mask])


def _mask_not_moved(logits, input_ids, response_mask):
    return _token_losses(logits, input_ids)[response_mask[:, :-1]].mean()


def _mean_of_means(logits, input_ids, response_mask):
    losses = _token_losses(logits, input_ids)
    return torch.stack([row[kept].mean() for row, kept in zip(losses, response_mask[:, 1:])]).mean()


def _sum_of_all(logits, input_ids, response_mask):
    return _loss_with(logits, input_ids, response_mask, per=1)


def _mean_of_sums(logits, input_ids, response_mask):
    return _loss_with(logits, input_ids, response_mask, per=len(logits))


def _answered(generator):
    def batch(rows, V=7):
        """Rows of (prompt, response, padding) lengths, with random ids and logits; the padding id is 0."""
        length = sum(rows[0])
        mask, input_ids = torch.zeros(len(rows), length, dtype=torch.bool), torch.zeros(len(rows), length)
        for row, (prompt, _, padding) in enumerate(rows):
            end = length - padding
            mask[row, prompt:end] = True
            input_ids[row, :end] = torch.randint(0, V, (end,), generator=generator)
        return 2 * torch.randn(len(rows), length, V, generator=generator), input_ids.long(), mask

    logits, ids, mask = batch([(2, 3, 2), (3, 2, 2)])
    return [
        case("answers of different lengths", *batch([(3, 4, 0), (2, 2, 3), (4, 1, 2)])),
        case("one row", *batch([(3, 2, 3)])),
        case("an answer of one token at the very end", *batch([(5, 1, 0), (1, 4, 1)])),
        case(
            "logits of a thousand", 1e3 * logits.sign(), ids, mask
        ),  # at 10,000 float32 has only three digits after the point
    ]


SFT_LOSS = Exercise(
    id="sft.sft_loss",
    slides=("C33",),
    points=4,
    minutes=15,
    title="The loss of supervised fine-tuning",
    reference=sft_loss,
    cases=_answered,
    gradient=("logits",),
    accepts=(_with_cross_entropy, lambda logits, ids, mask: _loss_with(logits, ids, mask)),
    withheld=(
        "lib.objectives.log_probs._after",
        "lib.objectives.log_probs._next_ids",
        "lib.objectives.log_probs.chunked_token_log_probs",
        "lib.objectives.log_probs.response_log_prob",
        "lib.objectives.log_probs.token_log_probs",
        "lib.objectives.policy.reinforce_loss",
        "lib.objectives.sft.response_labels",
        "lib.training.preferences.demonstration_loss",
    ),
    misconceptions=(
        Misconception(
            "prompt_counted",
            _prompt_too,
            "The tokens of the prompt are in your mean. The slide trains P(response | instruction): only where "
            "response_mask is true.",
        ),
        Misconception(
            "padding_counted",
            _padding_too,
            "You count everything after the prompt, padding included. Its loss soon falls to 0 and hides the rest.",
        ),
        Misconception(
            "everything_counted",
            _all_positions,
            "All positions count in your mean; only those of response_mask should.",
        ),
        Misconception(
            "unshifted",
            _unshifted,
            "You compare logits[:, t] with token t, which the model has just read. They predict token t + 1.",
        ),
        Misconception(
            "mask_not_shifted",
            _mask_not_moved,
            "The ids are shifted but the mask is not: you lose the first token of each answer and count the one after its "
            "end. The mask belongs to the predicted tokens: response_mask[:, 1:].",
        ),
        Misconception(
            "mean_of_means",
            _mean_of_means,
            "You average each answer first, then the answers: 'sequence_mean'. The exercise asks for the mean over all "
            "tokens, where a long answer has more weight.",
        ),
        Misconception(
            "sum_for_mean",
            _sum_of_all,
            "This is the sum over the tokens: it grows with the batch. Divide by the number of counted tokens.",
        ),
        Misconception(
            "sum_per_answer",
            _mean_of_sums,
            "You divide by the number of answers ('sequence_sum'), not by the number of tokens.",
        ),
        Misconception(
            "zeros_in_the_mean",
            lambda logits, ids, mask: _loss_with(logits, ids, mask, per=mask[:, 1:].numel()),
            "You set the loss of other tokens to zero and then average over them as well. Divide by the answers' "
            "tokens.",
        ),
        Misconception("detached", lambda logits, ids, mask: sft_loss(logits, ids, mask).detach(), DETACHED),
        Misconception(
            "in_bits",
            lambda logits, ids, mask: _loss_with(logits, ids, mask) / math.log(2),
            "Your logarithm has base 2. The loss is in nats: the natural logarithm.",
        ),
        Misconception(
            "sign",
            lambda logits, ids, mask: -_loss_with(logits, ids, mask),
            "This is the mean log-probability: a loss is its negative.",
        ),
    ),
    hints=(
        "logits[:, :-1] predict input_ids[:, 1:], and response_mask[:, 1:] says which of these count.",
        "torch.log_softmax, then .gather(-1, ids[..., None]), then the values where the mask is true, then −mean.",
    ),
)
