"""Scaling laws: a language model's loss as a function of parameters N, tokens D and compute C (T08, T09).

Losses are in nats per token. N counts the parameters without the embeddings in Kaplan et al. (2020), and all
of them in Hoffmann et al. (2022): the difference matters for small models (Pearce & Song 2024). Everything is
computed in double precision, elementwise and broadcast.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib import checks
from lib.accounting.arrays import Numbers, Values, positives

PF_DAY = 1e15 * 24 * 3600
"""FLOPs of a petaflop/s-day, Kaplan's unit of compute: 8.64e19."""


def _all_positive(law: object, may_be_zero: tuple[str, ...] = ()) -> None:
    """Raises ValueError naming the first constant of `law` that is not positive and finite."""
    for name, value in vars(law).items():
        checks.number(name, value, "[0, inf)" if name in may_be_zero else "(0, inf)")


@dataclass(frozen=True)
class PowerLaw:
    """L(x) = (scale / x)^exponent, Kaplan's way of writing one.

    >>> PowerLaw(scale=100.0, exponent=0.5)(25.0)
    np.float64(2.0)
    """

    scale: float  # x_c, where the loss would be one nat; in the unit of x
    exponent: float  # α: the loss falls by the factor 10^-α for ten times as much

    def __post_init__(self) -> None:
        _all_positive(self)

    def __call__(self, x: Numbers) -> Values:
        return (self.scale / positives("x", x, infinite=True)) ** self.exponent


@dataclass(frozen=True)
class KaplanLaw:
    """L(N, D) = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D (Kaplan et al. 2020, equation 1.5).

    >>> round(float(KaplanLaw()(1e8, 1e10)), 3)
    2.788
    """

    alpha_N: float = 0.076
    alpha_D: float = 0.103  # 0.095 where D alone is varied: the paper's two fits disagree
    N_c: float = 6.4e13  # non-embedding parameters
    D_c: float = 1.8e13  # tokens

    def __post_init__(self) -> None:
        _all_positive(self)

    def __call__(self, N: Numbers, D: Numbers) -> Values:
        N, D = positives("N", N, infinite=True), positives("D", D, infinite=True)
        return ((self.N_c / N) ** self.data_exponent + self.D_c / D) ** self.alpha_D

    @property
    def data_exponent(self) -> float:
        """α_N/α_D: D ∝ N to this power leaves both terms in the same proportion."""
        return self.alpha_N / self.alpha_D

    @property
    def terms(self) -> tuple[float, float, float, float]:
        """(A, α, B, β) such that the loss rises with A/N^α + B/D^β."""
        return self.N_c**self.data_exponent, self.data_exponent, self.D_c, 1.0


@dataclass(frozen=True)
class ChinchillaLaw:
    """L(N, D) = E + A/N^α + B/D^β (Hoffmann et al. 2022, equation 2).

    >>> round(float(ChinchillaLaw()(70e9, 1.4e12)), 3)
    1.937
    """

    E: float = 1.69  # the loss that no model and no data lower: the entropy of text
    A: float = 406.4
    B: float = 410.7
    alpha: float = 0.34
    beta: float = 0.28

    def __post_init__(self) -> None:
        _all_positive(self, may_be_zero=("E",))

    def __call__(self, N: Numbers, D: Numbers) -> Values:
        N, D = positives("N", N, infinite=True), positives("D", D, infinite=True)
        return self.E + self.A / N**self.alpha + self.B / D**self.beta

    @property
    def data_exponent(self) -> float:
        """α/β: D ∝ N to this power leaves both terms in the same proportion."""
        return self.alpha / self.beta

    @property
    def terms(self) -> tuple[float, float, float, float]:
        """(A, α, B, β) such that the loss rises with A/N^α + B/D^β."""
        return self.A, self.alpha, self.B, self.beta


KAPLAN_N = PowerLaw(8.8e13, 0.076)  # N in non-embedding parameters, trained to convergence on enough text
KAPLAN_D = PowerLaw(5.4e13, 0.095)  # D in tokens, large models stopped early
KAPLAN_C = PowerLaw(3.1e8, 0.050)  # C in PF-days, spent at the best size (the paper's C_min)
KAPLAN = KaplanLaw()
HOFFMANN = ChinchillaLaw()
BESIROGLU = ChinchillaLaw(1.8172, 482.01, 2085.43, 0.3478, 0.3658)
"""The refit of Hoffmann's own points by Besiroglu et al. (2024): their optimizer had stopped too early."""


def kaplan_loss_n(N: Numbers) -> Values:
    """L(N) = (8.8e13/N)^0.076, with N non-embedding parameters and enough of everything else (slide T08).

    Raises ValueError for an N that is not positive.

    >>> round(float(kaplan_loss_n(1e10) / kaplan_loss_n(1e9)), 3)  # ten times the parameters
    0.839
    """
    return KAPLAN_N(positives("N", N, infinite=True))


def kaplan_loss_d(D: Numbers) -> Values:
    """L(D) = (5.4e13/D)^0.095, with D tokens and a large enough model, stopped in time (slide T08).

    Raises ValueError for a D that is not positive.

    >>> round(float(kaplan_loss_d(22e9)), 2)  # all of WebText2
    2.1
    """
    return KAPLAN_D(positives("D", D, infinite=True))


def kaplan_loss_c(C: Numbers) -> Values:
    """L(C) = (3.1e8/C)^0.050, with C in PF-days spent at the best size (slide T08).

    Divide FLOPs by `PF_DAY`. Raises ValueError for a C that is not positive.

    >>> round(float(kaplan_loss_c(3.15e23 / PF_DAY)), 2)  # GPT-3's compute
    1.76
    """
    return KAPLAN_C(positives("C", C, infinite=True))


def kaplan_loss(N: Numbers, D: Numbers, law: KaplanLaw = KAPLAN) -> Values:
    """L(N, D) = [(N_c/N)^(α_N/α_D) + D_c/D]^α_D: what scarcity of one or the other costs (slide T09).

    D may be infinite. Raises ValueError for an N or D that is not positive.

    >>> N, D = [1e8, 8e8, 8e8], [1e10, 1e10, 5e10]  # a model; eight times it; and five times its data
    >>> (kaplan_loss(N, D) / kaplan_loss(N, float("inf"))).round(4)
    array([1.0093, 1.0378, 1.0086])
    """
    return law(N, D)


def chinchilla_loss(N: Numbers, D: Numbers, law: ChinchillaLaw = HOFFMANN) -> Values:
    """L(N, D) = E + A/N^α + B/D^β, by default with the paper's constants; `BESIROGLU` has the corrected ones.

    N counts all parameters; N or D may be infinite. Raises ValueError for one that is not positive.

    >>> round(float(chinchilla_loss(280e9, 300e9) - chinchilla_loss(70e9, 1.4e12)), 3)  # Gopher, Chinchilla
    0.057
    """
    return law(N, D)


def data_multiplier(
    model_multiplier: Numbers, law: checks.Number | PowerLaw | KaplanLaw | ChinchillaLaw = 0.74
) -> Values:
    """How many times the data go with `model_multiplier` times the parameters: model_multiplier^exponent.

    Then the loss from too little data stays as it was (slide T09's "8x should match 5x"; Kaplan et al. 2020
    give the exponent 0.74, which is α_N/α_D). `law` is that exponent, or a law that has one. A single
    `PowerLaw` in D stands for its own exponent beside `KAPLAN_N`'s: 0.076/0.095 = 0.8.

    Raises ValueError for a multiplier or exponent that is not positive.

    >>> [round(float(data_multiplier(8, law)), 2) for law in (0.74, KAPLAN, KAPLAN_D)]
    [4.66, 4.64, 5.28]
    """
    if isinstance(law, PowerLaw):
        exponent = KAPLAN_N.exponent / law.exponent
    else:
        exponent = law.data_exponent if isinstance(law, KaplanLaw | ChinchillaLaw) else law
    return positives("model_multiplier", model_multiplier) ** checks.positive("law", exponent)


def mixture_epochs(
    tokens: Numbers, weights: Numbers, total: checks.Number, *, normalise: bool = False
) -> NDArray[np.float64]:
    """How often training on `total` tokens reads each part of a mixture: weight × total / tokens (slide C27).

    `tokens` are the parts' sizes and `weights` their shares of the batches (60 % is 0.6). Printed shares are
    rounded, GPT-3's sum to 1.01, so anything from 0.95 to 1.05 passes; `normalise` divides by the sum.

    Raises ValueError for sizes that are not positive, negative weights, lengths that differ or another sum.

    >>> gpt3 = [410e9, 19e9, 12e9, 55e9, 3e9], [0.60, 0.22, 0.08, 0.08, 0.03]
    >>> mixture_epochs(*gpt3, 300e9).round(2)  # Common Crawl, WebText2, Books1, Books2, Wikipedia
    array([0.44, 3.47, 2.  , 0.44, 3.  ])
    """
    sizes, shares = positives("tokens", tokens), np.asarray(weights, dtype=np.float64)
    checks.shape("tokens", sizes, "P")
    checks.same_shape(tokens=sizes, weights=shares)
    if not (shares >= 0).all():
        raise ValueError(f"weights must be at least 0, got {shares.tolist()}")
    if not 0.95 <= shares.sum() <= 1.05:
        raise ValueError(f"weights must be shares that sum to about 1 (60 % is 0.6), got a sum of {shares.sum():g}")
    if normalise:
        shares = shares / shares.sum()
    return shares * checks.positive("total", total) / sizes


def effective_tokens(unique: Numbers, read: Numbers, decay: checks.Number = 15.4) -> Values:
    """How many new tokens `read` tokens are worth of which only `unique` are different: U + U R* (1 − e^(−R/R*)).

    R = read/unique − 1 are the repetitions, and `decay` is R*, 15.4 as fitted by Muennighoff et al. (2023): at R = R* a token
    that is read once more is worth 1/e of a new one. No number of repetitions is worth more than U (1 + R*).

    Raises ValueError for numbers that are not positive, or fewer tokens read than are unique.

    >>> effective_tokens(100, [100, 200, 400, 4000]).round()
    array([ 100.,  197.,  373., 1518.])
    """
    unique, read = positives("unique", unique), positives("read", read)
    if (read < unique).any():
        raise ValueError(f"read must be at least unique, got {read} of {unique}")
    decay = checks.positive("decay", decay)
    return unique * (1 - decay * np.expm1(-(read / unique - 1) / decay))
