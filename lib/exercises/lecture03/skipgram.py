"""Exercises of notebook 03: the loss of skip-gram with negative samples, and its optimum, counted."""

import math

import torch
from torch.nn.functional import logsigmoid

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.models.word2vec import sgns_loss, shifted_pmi


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
    ]


def _scores(centres, contexts, negatives):
    return (centres * contexts).sum(-1), (centres[:, None] * negatives).sum(-1)


def _with(combine):
    return lambda centres, contexts, negatives: combine(*_scores(centres, contexts, negatives))


def _softmax_loss(positive, negative):
    return -torch.cat([positive[:, None], negative], dim=1).log_softmax(dim=1)[:, 0].mean()


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
        Misconception(
            "epsilon_in_the_log",
            _with(lambda p, n: -((torch.sigmoid(p) + 1e-9).log() + (torch.sigmoid(-n) + 1e-9).log().sum(1)).mean()),
            "A small number inside the log keeps the loss finite and makes it wrong for large scores. logsigmoid needs none.",
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


# --- skipgram.optimum -------------------------------------------------------------------------------------------------
def _optimum_cases(generator):
    counts = torch.randint(1, 30, (4, 4), generator=generator).double()
    lopsided = torch.tensor([[1.0, 6.0, 2.0], [3.0, 1.0, 9.0]]).double()
    return [
        case("independent words", torch.tensor([[2.0, 4.0], [4.0, 8.0]]).double(), 1),
        case("two words, five negatives", torch.tensor([[4.0, 1.0], [1.0, 2.0]]).double(), 5),
        case("four words", counts, 2),
        case("more words than contexts", torch.cat([lopsided.T, lopsided.T + 1]), 3),
        case("words and contexts differ", lopsided, 4),
        case("a pair that never occurs", torch.tensor([[3.0, 0.0], [2.0, 5.0]]).double(), 1),
        case("counts in the millions", 1e6 * counts, 15),
    ]


def _pmi(counts):
    return (counts * counts.sum() / (counts.sum(1, keepdim=True) * counts.sum(0))).log()


def _by_loops(counts, k):
    total, result = counts.sum().item(), torch.empty_like(counts)
    for w in range(counts.shape[0]):
        for c in range(counts.shape[1]):
            n = counts[w, c].item()
            chance = counts[w].sum().item() * counts[:, c].sum().item() / total
            result[w, c] = math.log(n / (chance * k)) if n else -math.inf
    return result


OPTIMUM = Exercise(
    id="skipgram.optimum",
    slides=("N25",),
    points=3,
    minutes=15,
    title="The optimum, counted",
    reference=lambda counts, k: shifted_pmi(counts, k),
    cases=_optimum_cases,
    accepts=(_by_loops, lambda counts, k: _pmi(counts) - math.log(k)),
    withheld=("lib.models.word2vec.shifted_pmi", "lib.models.word2vec.noise_distribution"),
    misconceptions=(
        Misconception("no_shift", lambda counts, k: _pmi(counts), "This is the PMI. Minus log k is missing."),
        Misconception(
            "plus_log_k",
            lambda counts, k: _pmi(counts) + math.log(k),
            "You add log k. The more negatives, the smaller the scores: subtract.",
        ),
        Misconception(
            "minus_k",
            lambda counts, k: _pmi(counts) - k,
            "You subtract k. It is the logarithm of k that is subtracted.",
        ),
        Misconception(
            "no_total",
            lambda counts, k: (counts / (counts.sum(1, keepdim=True) * counts.sum(0))).log() - math.log(k),
            "The number of all pairs is missing: each of the three is a probability only when divided by it, and one N stays.",
        ),
        Misconception(
            "conditional",
            lambda counts, k: (counts / counts.sum(1, keepdim=True)).log() - math.log(k),
            "This is log P(c | w). A frequent context is near to all words then: divide by P(c), too.",
        ),
        Misconception(
            "joint",
            lambda counts, k: (counts / counts.sum()).log() - math.log(k),
            "This is log P(w, c). PMI compares it with what chance would give, P(w) P(c).",
        ),
        Misconception(
            "bits",
            lambda counts, k: (_pmi(counts) - math.log(k)) / math.log(2),
            "This is in bits. The sigmoid of the loss is made of e, so the logarithm is the natural one.",
        ),
        Misconception(
            "plus_one",
            lambda counts, k: _pmi(counts + 1) - math.log(k),
            "You add 1 to the counts. The optimum for the counts as they are has no smoothing; 0 gives −∞.",
        ),
        Misconception(
            "positive_pmi",
            lambda counts, k: (_pmi(counts) - math.log(k)).clamp(min=0),
            "Negative values are cut off (that is *positive* PMI, a method of its own). The dot products may be negative.",
        ),
        Misconception(
            "never_is_zero",
            lambda counts, k: (_pmi(counts) - math.log(k)).nan_to_num(neginf=0.0),
            "A pair that never occurs has 0 here, as if it were as frequent as chance. Its optimum is −∞.",
        ),
        Misconception(
            "axes_swapped",
            lambda counts, k: (counts * counts.sum() / (counts.sum(0).sum() * counts.sum(0))).log() - math.log(k),
            "The number of the word is missing in what you divide by: a sum along each row, kept as a column.",
        ),
        Misconception(
            "log_of_the_ratio_turned",
            lambda counts, k: -_pmi(counts) - math.log(k),
            "Your ratio is upside down: what is counted stands above, what chance gives below.",
        ),
    ),
    hints=(
        "Let N be the sum of all counts. P(w, c) = counts / N; P(w) is the sum of a row / N; P(c) the sum of a column / N.",
        "`counts.sum(dim=1, keepdim=True)` is a column, so that it divides each row.",
    ),
)


EXERCISES = (LOSS, OPTIMUM)
