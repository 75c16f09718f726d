"""The loss of supervised fine-tuning: an exercise of `sft`."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.objectives import sft_loss


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


def _shifted_back(logits, input_ids, response_mask):
    labels = input_ids.masked_fill(~response_mask, -100)[:, :-1]
    return functional.cross_entropy(logits[:, 1:].flatten(0, 1), labels.flatten())


def _first_token_lost(logits, input_ids, response_mask):
    return _token_losses(logits, input_ids)[response_mask[:, 1:] & response_mask[:, :-1]].mean()


def _one_stretch(logits, input_ids, response_mask):
    """Counts everything from the first response token of a row to its last one."""
    begun, ended = response_mask.cummax(dim=1).values, response_mask.flip(1).cummax(dim=1).values.flip(1)
    return _loss_with(logits, input_ids, begun & ended)


def _log_of(change):
    """The mean of −log of the tokens' probabilities, each of which `change` may alter."""

    def answer(logits, input_ids, response_mask):
        P = logits[:, :-1].softmax(dim=-1).gather(-1, input_ids[:, 1:, None]).squeeze(-1)
        return -change(P).log()[response_mask[:, 1:]].mean()

    return answer


def _one_maximum(logits, input_ids, response_mask):
    scores = logits[:, :-1] - logits.max()
    log_probs = scores.gather(-1, input_ids[:, 1:, None]).squeeze(-1) - scores.exp().sum(dim=-1).log()
    return -log_probs[response_mask[:, 1:]].mean()


def _ignored_as_zero(logits, input_ids, response_mask):
    labels = (input_ids * response_mask)[:, 1:]
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=0)


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
    turns, talk, learned = batch([(2, 6, 1), (3, 5, 1)])
    learned[:, 5] = False  # a question between two answers
    talk[0, 3], talk[1, 6] = 0, 0
    heights = turns + torch.tensor([0.0, -150, 150, -300, 100, 0, -200, 150, 0])[:, None]
    heights[0, 2, talk[0, 3]] -= 200  # a token of a response that is very unlikely
    return [
        case("answers of different lengths", *batch([(3, 4, 0), (2, 2, 3), (4, 1, 2)])),
        case("one row", *batch([(3, 2, 3)])),
        case("two answers in a row, and a token whose id is 0", turns, talk, learned),
        case("rows of logits at very different heights, one token very unlikely", heights, talk, learned),
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
        Misconception(
            "shifted_back",
            _shifted_back,
            "You shift the other way: logits[:, 1:] with input_ids[:, :-1]. Row t predicts token t + 1: logits[:, :-1] "
            "go with input_ids[:, 1:].",
        ),
        Misconception(
            "first_token_lost",
            _first_token_lost,
            "The first token of each answer is not counted. It is predicted at the last token before it.",
        ),
        Misconception(
            "one_stretch",
            _one_stretch,
            "You count everything between a row's first and last response token. A row may have several answers, and what "
            "stands between them does not count.",
        ),
        Misconception(
            "log_of_softmax",
            _log_of(lambda P: P),
            "You take softmax and then its logarithm: a probability too small for a float becomes 0, and its logarithm −∞. "
            "log_softmax stays finite.",
        ),
        Misconception(
            "small_number_in_the_log",
            _log_of(lambda P: P + 1e-9),
            "A small number inside the logarithm bounds the loss: where an answer is very unlikely, it is too small and has no "
            "gradient. log_softmax needs none.",
        ),
        Misconception(
            "clamped_in_the_log",
            _log_of(lambda P: P.clamp(min=1e-12)),
            "A least probability bounds the loss: where an answer is very unlikely, it is too small and has no gradient. "
            "log_softmax needs none.",
        ),
        Misconception(
            "one_maximum",
            _one_maximum,
            "You subtract one maximum from all logits: where a row lies far below it, every exp is 0. Each row needs its own.",
        ),
        Misconception(
            "softmax_twice",
            lambda logits, ids, mask: _loss_with(logits.softmax(dim=-1), ids, mask),
            "You give probabilities where logits are expected: cross_entropy applies the softmax itself.",
        ),
        Misconception(
            "ignored_as_zero",
            _ignored_as_zero,
            "You write 0 where nothing counts and ignore the label 0, but 0 is a token like any other.",
        ),
        Misconception(
            "perplexity",
            lambda logits, ids, mask: _loss_with(logits, ids, mask).exp(),
            "This is the perplexity, exp of the loss.",
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
