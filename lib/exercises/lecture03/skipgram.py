"""Exercises of notebook 03: the loss of skip-gram with negative samples; its optimum is in skipgram_optimum.py."""

import math

import torch
from torch.nn.functional import logsigmoid

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture03.skipgram_optimum import OPTIMUM
from lib.models.word2vec import sgns_loss


# --- skipgram.loss ----------------------------------------------------------------------------------------------------
def loss(centres, contexts, negatives):
    """From the vectors themselves: (N, D), (N, D) and (N, k, D)."""
    return sgns_loss((centres * contexts).sum(-1), torch.einsum("nd,nkd->nk", centres, negatives))


def _loss_cases(generator):
    def draw(N, k, D, by=1.0):
        return tuple(by * torch.randn(*size, D, generator=generator) for size in ((N,), (N,), (N, k)))

    far = torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    return [
        case("one pair, one negative", torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 1, 2)),
        case("several of each", *draw(4, 3, 5)),
        case("as many pairs as negatives and numbers", *draw(3, 3, 3)),
        case("two pairs, five negatives", *draw(2, 5, 4)),
        case("one number a vector", *draw(3, 2, 1)),
        case("one pair, several negatives", *draw(1, 4, 3)),
        case("double precision", *(x.double() for x in draw(3, 2, 4))),
        case("scores of ten thousand, wrong way round", far, -far, torch.stack([far, far], dim=1)),
        case("several pairs, one negative each", *draw(4, 1, 3)),
    ]


def _scores(centres, contexts, negatives):
    return (centres * contexts).sum(-1), (centres[:, None] * negatives).sum(-1)


def _with(combine):
    return lambda centres, contexts, negatives: combine(*_scores(centres, contexts, negatives))


def _softmax_loss(positive, negative):
    return -torch.cat([positive[:, None], negative], dim=1).log_softmax(dim=1)[:, 0].mean()


def _squeezed(centres, contexts, negatives):
    """Where k is 1, the scores lose that dimension, and the sum over negatives is one over pairs."""
    negative = torch.bmm(negatives, centres[:, :, None]).squeeze()
    return -(logsigmoid((centres * contexts).sum(-1)) + logsigmoid(-negative).sum(-1)).mean()


def _by_where(x):
    """log σ(x): the value is right, but the branch that is not taken overflows, and its gradient is 0 · ∞."""
    return torch.where(x >= 0, -torch.log1p(torch.exp(-x)), x - torch.log1p(torch.exp(x)))


def _with_epsilon(epsilon):
    return _with(lambda p, n: -((torch.sigmoid(p) + epsilon).log() + (torch.sigmoid(-n) + epsilon).log().sum(1)).mean())


def _in_a_loop(centres, contexts, negatives):
    total = 0
    for v, u, others in zip(centres, contexts, negatives):
        total = total + torch.log1p(torch.exp(-(v @ u).abs())) + (-(v @ u)).clamp(min=0)
        for other in others:
            total = total - logsigmoid(-(v @ other))
    return total / len(centres)


LOSS = Exercise(
    id="skipgram.loss",
    slides=("N25",),
    points=4,
    minutes=15,
    title="The loss of skip-gram with negative samples",
    reference=loss,
    cases=_loss_cases,
    gradient=("centres", "contexts", "negatives"),
    accepts=(
        _in_a_loop,
        _with(lambda p, n: torch.nn.functional.softplus(torch.cat([-p[:, None], n], 1)).sum(1).mean()),
    ),
    withheld=("lib.models.word2vec.SkipGram",),
    misconceptions=(
        Misconception(
            "negatives_not_turned",
            _with(lambda p, n: -(logsigmoid(p) + logsigmoid(n).sum(1)).mean()),
            "The scores of negatives must become *small*: it is σ(−v·u) for them, with a minus inside.",
        ),
        Misconception(
            "mean_over_negatives",
            _with(lambda p, n: -(logsigmoid(p) + logsigmoid(-n).mean(1)).mean()),
            "You average over the k negatives. They are added; the mean is over pairs only. Else k would not matter.",
        ),
        Misconception(
            "sum_over_pairs",
            _with(lambda p, n: -(logsigmoid(p) + logsigmoid(-n).sum(1)).sum()),
            "You add up the pairs. The loss is their mean.",
        ),
        Misconception(
            "mean_over_everything",
            _with(lambda p, n: -logsigmoid(torch.cat([p[:, None], -n], 1)).mean()),
            "You average over pairs and negatives alike. The negatives of a pair are added; the mean is over pairs.",
        ),
        Misconception(
            "no_minus",
            _with(lambda p, n: (logsigmoid(p) + logsigmoid(-n).sum(1)).mean()),
            "This is the log-likelihood, which should grow. A loss is minus that.",
        ),
        Misconception(
            "no_negatives",
            _with(lambda p, n: -logsigmoid(p).mean()),
            "The negatives are missing. Without them all vectors grow in one direction and the loss goes to 0.",
        ),
        Misconception(
            "log_of_sigmoid",
            _with(lambda p, n: -(torch.sigmoid(p).log() + torch.sigmoid(-n).log().sum(1)).mean()),
            "For a score of −10,000 the sigmoid is 0 in the computer, and its log is −∞. logsigmoid does both in one step.",
        ),
        *(
            Misconception(
                f"epsilon_{epsilon:.0e}_in_the_log",
                _with_epsilon(epsilon),
                f"{epsilon:g} inside the log keeps the loss finite and makes it wrong for large scores. logsigmoid needs none.",
            )
            for epsilon in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
        ),
        Misconception(
            "both_branches",
            _with(lambda p, n: -(_by_where(p) + _by_where(-n).sum(1)).mean()),
            "The loss is right and its gradient is NaN: torch.where computes both branches, and in the one that it does not take "
            "exp overflows, which gives 0 · ∞ on the way back. logsigmoid has no such branch.",
        ),
        Misconception(
            "sigmoid_left_out",
            _with(lambda p, n: (n.sum(1) - p).mean()),
            "These are the scores without log σ. They have no bound: the loss could fall for ever.",
        ),
        Misconception(
            "softmax",
            _with(_softmax_loss),
            "This is a softmax over the true context and the negatives. Here each score is a yes or no question of its own.",
        ),
        Misconception(
            "one_negative",
            _with(lambda p, n: -(logsigmoid(p) + logsigmoid(-n[:, 0])).mean()),
            "You use the first negative only. All k are added.",
        ),
        Misconception(
            "negatives_meet_contexts",
            lambda centres, contexts, negatives: (
                -(
                    logsigmoid((centres * contexts).sum(-1))
                    + logsigmoid(-(contexts[:, None] * negatives).sum(-1)).sum(1)
                ).mean()
            ),
            "You compare the negatives with the true context. They are contexts themselves: compare them with the centre.",
        ),
        Misconception(
            "cosines",
            lambda centres, contexts, negatives: _cosines(centres, contexts, negatives),
            "You divide by the lengths. word2vec takes dot products, not cosines.",
        ),
        Misconception(
            "bits",
            _with(lambda p, n: -(logsigmoid(p) + logsigmoid(-n).sum(1)).mean() / math.log(2)),
            "This is in bits. Losses are in nats: the natural logarithm.",
        ),
        Misconception(
            "squeezed",
            _squeezed,
            "Where k is 1, squeeze() removes the dimension of the negatives, and your sum over them adds up the pairs. Keep the "
            "shape (N, k): remove only the dimension that you mean.",
        ),
        Misconception(
            "centres_fixed_for_negatives",
            lambda centres, contexts, negatives: sgns_loss(
                (centres * contexts).sum(-1), torch.einsum("nd,nkd->nk", centres.detach(), negatives)
            ),
            "The value is right, but the scores of the negatives send no gradient back to the centres. A centre must be pushed "
            "away from its negatives: leave out detach there.",
        ),
        Misconception(
            "negatives_fixed",
            lambda centres, contexts, negatives: loss(centres, contexts, negatives.detach()),
            "The value is right, but no gradient reaches the negatives. They are contexts too, and are learned.",
        ),
        Misconception("detached", lambda *vectors: loss(*vectors).detach(), DETACHED),
    ),
    hints=(
        "First the scores: one for each pair, shape (N,), and k for each pair, shape (N, k).",
        "`centres[:, None]` has the shape (N, 1, D) and fits the negatives. Then logsigmoid, sum over k, mean over N, minus.",
    ),
)


def _cosines(centres, contexts, negatives):
    unit = torch.nn.functional.normalize
    return loss(unit(centres, dim=-1), unit(contexts, dim=-1), unit(negatives, dim=-1))


EXERCISES = (LOSS, OPTIMUM)
