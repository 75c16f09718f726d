"""Exercise of notebook 03: the optimum of skip-gram with negative samples, counted."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.models.word2vec import shifted_pmi


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
        case("a pair that never occurs", torch.tensor([[3.0, 0.0], [2.0, 5.0]]).double(), 3),
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


def _never_by_chance(counts, k):
    return _pmi(counts).nan_to_num(neginf=0.0) - math.log(k)


def _in_place(counts, k):
    counts /= counts.sum()
    return (counts / (counts.sum(1, keepdim=True) * counts.sum(0))).log() - math.log(k)


def _same_for_both(dim):
    """The sums along one axis stand for both words and contexts."""

    def answer(counts, k):
        sums = counts.sum(dim)
        return (counts * counts.sum() / (sums[:, None] * sums)).log() - math.log(k)

    return answer


def _joint_with(epsilon):
    return lambda counts, k: (
        (counts / counts.sum() + epsilon).log()
        - (counts.sum(1, keepdim=True) * counts.sum(0) / counts.sum() ** 2 * k).log()
    )


def _ratio_with(epsilon):
    return lambda counts, k: (_pmi(counts).exp() + epsilon).log() - math.log(k)


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
            "A pair that never occurs has the score 0 here, more than a pair as frequent as chance. Its optimum is −∞.",
        ),
        Misconception(
            "never_by_chance",
            _never_by_chance,
            "A pair that never occurs has the PMI 0 here, as if it were as frequent as chance. log 0 is −∞, and stays so.",
        ),
        *(
            Misconception(
                f"epsilon_{epsilon:.0e}_in_the_{name}",
                answer(epsilon),
                f"{epsilon:g} added to {what} inside the log gives a pair that never occurs a finite score. "
                "Its optimum is −∞: log 0 may stay.",
            )
            for name, what, answer in (("joint", "P(w, c)", _joint_with), ("ratio", "the ratio", _ratio_with))
            for epsilon in (1e-6, 1e-8, 1e-9, 1e-10, 1e-12)
        ),
        Misconception(
            "columns_for_both",
            _same_for_both(0),
            "You divide by the sums of columns only. P(w) is the share of a row: its sum runs along dim 1.",
        ),
        Misconception(
            "rows_for_both",
            _same_for_both(1),
            "You divide by the sums of rows only. P(c) is the share of a column: its sum runs along dim 0.",
        ),
        Misconception(
            "in_place",
            _in_place,
            "The result is right, but `/=` changes the counts of whoever calls you. Write `joint = counts / counts.sum()`.",
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
