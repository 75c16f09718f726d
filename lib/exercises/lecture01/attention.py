"""Exercises of lecture 01: attention; masks, receptive fields and several heads come from modules of their own."""

import math

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture01 import attention_answers as answers
from lib.exercises.lecture01.attention_fields import RECEPTIVE_FIELD
from lib.exercises.lecture01.attention_heads import MULTI_HEAD
from lib.exercises.lecture01.attention_masks import CAUSAL_MASK


# --- attention.attention ------------------------------------------------------------------------------------
def _attention_cases(generator):
    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    everything = torch.ones(3, 3, dtype=torch.bool)
    some = torch.rand(2, 5, generator=generator) < 0.8
    some[:, 0] = True  # every query sees a key; a query that sees none is not part of the exercise
    long = (30 * draw(3, 64)).round()  # whole numbers, which float32 adds exactly; q₀·k₀ is about 57,000
    one_each = torch.eye(3).bool()
    far = ("long vectors", long, torch.stack((long[0], *(30 * draw(2, 64)).round())), draw(3, 2), everything)
    return [
        case("no position hidden", draw(3, 4), draw(3, 4), draw(3, 4), everything),
        case("causal", draw(4, 8), draw(4, 8), draw(4, 8), torch.ones(4, 4).tril().bool()),
        case("more keys than queries", draw(2, 4), draw(5, 4), draw(5, 3), some),
        case("each query sees one key", draw(3, 2), draw(3, 2), draw(3, 2), one_each).without_gradient(),  # of q, k: 0
        case("a hidden value of a thousand million", *_large_value(generator)).without_gradient(),
        *(case(*large).without_gradient() for large in (far, *_large_scores(generator))),  # it is 0, or rounding
    ]


def _large_value(generator):
    """Two queries and three keys; the last is hidden, and its value so large that a weight of 1e-8 would show."""
    q, k, v = torch.randn(3, 3, 4, generator=generator)
    v[2] = 1e9
    return q[:2], k, v, torch.tensor([[True, True, False], [True, True, False]])


def _large_scores(generator):
    """What it is, q, k, v and mask with scores in the tens of thousands; all numbers are whole, so float32 is exact.

    The last key is hidden from both queries. The scores of the two others differ by 1.
    """
    q, v = torch.tensor([[200.0, 2, 0, 0], [200, 0, 2, 0]]), 1 + torch.rand(3, 3, generator=generator)
    mask = torch.tensor([[True, True, False], [True, True, False]])
    high, low = torch.tensor([150.0, 0, 0, 0]), torch.tensor([-150.0, 0, 0, 0])
    first, second = torch.tensor([0.0, 1, 0, 0]), torch.tensor([0.0, 0, 1, 0])
    return [
        ("a hidden key with a score of 15,000", q, torch.stack((first, second, high)), v, mask),
        ("scores of −15,000 and a hidden key", q, torch.stack((low + first, low + second, 0 * low)), v, mask),
        ("scores of −15,000 and a hidden one of 15,000", q, torch.stack((low + first, low + second, high)), v, mask),
    ]


ATTENTION = Exercise(
    id="attention.attention",
    slides=("N34", "C20"),
    points=4,
    minutes=15,
    title="Scaled dot-product attention",
    reference=answers.reference_attention,
    cases=_attention_cases,
    gradient=("q", "k", "v"),
    tolerance=Tolerance(rtol=1e-3),  # exp(scores − logsumexp) is right too: 1e-3 is the rounding of scores of 15,000
    accepts=(
        lambda q, k, v, mask: answers.weights(q, k, mask) @ v,
        answers.hidden_far_below,  # below every score that the statement allows
        lambda q, k, v, mask: torch.nn.functional.scaled_dot_product_attention(
            q[None, None], k[None, None], v[None, None], attn_mask=mask
        )[0, 0],
    ),
    withheld=(
        "lib.kernels.tiled.plain_attention",
        "lib.kernels.attention.attention_fused",
        "lib.kernels.attention.attention_weights",
        "lib.kernels.tiled._TiledAttention",
        "lib.kernels.tiled.attention_tiled",
        "lib.kernels.triton.triton_attention",
        "lib.models.attention.CrossAttention",
        "lib.models.attention.SelfAttention",
        "lib.kernels.attention.default_scale",
        "lib.kernels.tiled._Tiles",
        "lib.kernels.triton._Attention",
        "lib.kernels.triton_launch.launch",
    ),
    misconceptions=(
        Misconception(
            "not_scaled",
            lambda q, k, v, mask: answers.weights(q, k, mask, 1.0) @ v,
            "The scores are not divided by √d_k. Their variance is then d_k, and with many numbers per key the softmax puts "
            "nearly all weight on one key.",
        ),
        Misconception(
            "divided_by_k",
            lambda q, k, v, mask: answers.weights(q, k, mask, 1 / q.shape[-1]) @ v,
            "You divide by d_k, not by its square root. A dot product of d_k terms has variance d_k, standard deviation √d_k.",
        ),
        Misconception(
            "divided_by_root_of_d_v",
            lambda q, k, v, mask: answers.weights(q, k, mask, v.shape[-1] ** -0.5) @ v,
            "You divide by √d_v, the width of the values. The score is a dot product of a query and a key, of d_k terms.",
        ),
        Misconception(
            "divided_by_root_of_keys",
            lambda q, k, v, mask: answers.weights(q, k, mask, len(k) ** -0.5) @ v,
            "You divide by √S, the number of keys. What makes scores large is the length d_k of each key.",
        ),
        Misconception(
            "divided_by_root_of_queries",
            lambda q, k, v, mask: answers.weights(q, k, mask, len(q) ** -0.5) @ v,
            "You divide by √T, the number of queries. What makes scores large is the length d_k of each key.",
        ),
        Misconception(
            "divided_after_softmax",
            lambda q, k, v, mask: answers.weights(q, k, mask, 1.0) @ v / q.shape[-1] ** 0.5,
            "You divide the result by √d_k, after the softmax. The scores are to be divided, before the softmax.",
        ),
        Misconception(
            "assumed_causal",
            lambda q, k, v, mask: answers.weights(q, k, torch.ones_like(mask).tril(len(k) - len(q))) @ v,
            "You hide the future, whatever `mask` says. Hide where `mask` is False: it need not be a triangle.",
        ),
        Misconception(
            "a_little_below_the_smallest",
            answers.just_below,
            "A hidden key gets a score a little below the smallest, and so a small weight. Its weight must be 0: only "
            "−∞ is sure.",
        ),
        Misconception(
            "mask_forgotten",
            lambda q, k, v, mask: answers.weights(q, k, torch.ones_like(mask)) @ v,
            "Your queries look at hidden keys too: the mask is not used.",
        ),
        Misconception(
            "mask_added",
            answers.mask_added,
            "You add True and False to the scores, which is 1 and 0. A hidden key loses 1 point by that; it must lose all.",
        ),
        Misconception(
            "zero_times_infinity",
            answers.negative_mask_times_infinity,
            "You multiply the mask by −∞. Where nothing is hidden that is 0 · ∞, NaN: use masked_fill or torch.where.",
        ),
        Misconception(
            "one_maximum_for_all",
            answers.one_maximum,
            "You subtract one maximum from all rows. A row that lies far below it underflows to 0/0: each query needs the "
            "maximum of its own visible scores.",
        ),
        Misconception(
            "clamped",
            answers.clamped,
            "You cut large scores off, so that all beyond the limit become equal. torch.softmax needs no such help.",
        ),
        Misconception(
            "scaled_in_place",
            lambda q, k, v, mask: answers.weights(q.div_(q.shape[-1] ** 0.5), k, mask, 1.0) @ v,
            "`q /= …` changes the caller's q, not only your own. Write `q = q / …`, or divide the scores.",
        ),
        Misconception(
            "weights_detached",
            lambda q, k, v, mask: answers.weights(q, k, mask).detach() @ v,
            "The values get their gradient, but the weights are cut off from q and k: nothing would learn where to look.",
        ),
        Misconception(
            "masked_after_softmax",
            answers.mask_after,
            "You mask after the softmax, so the remaining weights no longer sum to 1. Mask the scores, before the "
            "softmax.",
        ),
        Misconception(
            "renormalised",
            answers.renormalised,
            "You mask after the softmax and divide again. Where a hidden score is far above the visible ones, these have "
            "become 0 by then, and nothing is left to divide. Mask the scores, before the softmax.",
        ),
        Misconception(
            "masked_with_zero",
            answers.zero_scores,
            "A masked score of 0 still has the weight exp(0) = 1. For a weight of 0 the score must be −∞.",
        ),
        Misconception(
            "softmax_over_queries",
            answers.wrong_axis,
            "Your softmax runs over the queries. Each query spreads its attention over the keys: dim=-1.",
        ),
        Misconception(
            "mask_upside_down",
            answers.inverted(-math.inf),
            "True means “may attend”. You mask the positions that may be seen and attend to the others.",
        ),
        Misconception(
            "mask_upside_down_finite",
            answers.inverted(-1e9),
            "You hide where the mask is True. True means that the query may look there.",
        ),
        Misconception(
            "hidden_scores_not_low_enough",
            answers.filled,
            "A hidden score gets a large negative number here, but a visible score may lie below it, and then the hidden key "
            "wins. −∞ lies below every score.",
        ),
        Misconception(
            "a_number_added_to_hidden_scores",
            answers.added,
            "You add a large negative number to hidden scores. A hidden score that is larger still comes through; −∞ swallows "
            "every score.",
        ),
        Misconception(
            "largest_of_hidden_too",
            answers.largest_of_all,
            "Hidden scores take part in your softmax and are taken out afterwards. Where a hidden one is far above, all "
            "visible exponentials underflow to 0, and 0/0 is NaN: hide the scores first.",
        ),
        Misconception(
            "overflow",
            answers.no_shift,
            "exp() of a score above 88 is infinite in float32, and ∞/∞ is NaN. Subtract the largest visible score first, or "
            "use torch.softmax.",
        ),
        Misconception(
            "weights_returned",
            lambda q, k, v, mask: answers.weights(q, k, mask),
            "These are the weights, (T, S). Attention returns the weighted sum of the values: multiply by v.",
        ),
        Misconception("detached", lambda q, k, v, mask: (answers.weights(q, k, mask) @ v).detach(), DETACHED),
    ),
    hints=(
        "Three steps: scores q kᵀ/√d_k of shape (T, S); −∞ where mask is False; softmax over the keys, times v.",
        "Which method of a tensor writes a number where a boolean tensor is True? Mind that `mask` is True where the query "
        "MAY look.",
        "Check on paper with two keys, one of them hidden: its weight must be 0 and the other's 1, whatever the scores.",
    ),
)

EXERCISES = (CAUSAL_MASK, ATTENTION, MULTI_HEAD, RECEPTIVE_FIELD)
