"""A loss surface L(N, D) fitted to runs, robustly and from many starts (Hoffmann et al. 2022, approach 3).

Minimised is Σ Huber_δ(ln L̂ − ln L): a run that went wrong weighs by its distance and not by its square. Both
laws are one function of centred logarithms n, d,

    ln L̂ = γ · ln[exp(a − α n) + exp(b − β d) + exp(e)],

with γ = 1 for Chinchilla's form, and with β = 1 and no e for Kaplan's. All starts are improved together by a
Levenberg–Marquardt method with Huber's weights, and the best by BFGS to a vanishing gradient: Hoffmann et
al.'s own optimizer stopped before that, and their published exponents with it (Besiroglu et al. 2024).
"""

from dataclasses import dataclass
from math import exp

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import qmc

from lib import checks
from lib.accounting.arrays import Numbers, Values, columns, distinct, enough
from lib.accounting.scaling import ChinchillaLaw, KaplanLaw

FORMS = {"chinchilla": 5, "kaplan": 4}
"""The forms of surface and how many parameters each has."""

ROUNDS = 300  # of the method for all starts at once, at most
POLISHED = 3  # of the best starts, brought to a vanishing gradient
GRADIENT = 1e-5  # below this, of residuals in units of δ, a gradient has vanished


@dataclass(frozen=True)
class SurfaceFit:
    """What a fit found, and how far to trust that it is the minimum."""

    law: ChinchillaLaw | KaplanLaw
    form: str
    objective: float  # Σ Huber_δ(ln L̂ − ln L) over the runs
    converged: bool  # the gradient has vanished
    agreeing: int  # starts that came, before the last polish, within 1 % of this objective
    starts: int
    points: int

    def predict(self, N: Numbers, D: Numbers) -> Values:
        """The loss for N parameters and D tokens, elementwise.

        Raises ValueError for an N or D that is not positive.

        >>> law = ChinchillaLaw(E=1.0, A=1.0, B=1.0, alpha=0.5, beta=0.5)
        >>> SurfaceFit(law, "chinchilla", 0.0, True, 1, 1, 5).predict(4, [4, 16])
        array([2.  , 1.75])
        """
        return self.law(N, D)

    @property
    def exponents(self) -> tuple[float, float]:
        """(α, β) of Chinchilla's form, (α_N, α_D) of Kaplan's.

        >>> SurfaceFit(KaplanLaw(), "kaplan", 0.0, True, 1, 1, 4).exponents
        (0.076, 0.103)
        """
        if isinstance(self.law, KaplanLaw):
            return self.law.alpha_N, self.law.alpha_D
        return self.law.alpha, self.law.beta


def fit_loss_surface(
    N: Numbers, D: Numbers, loss: Numbers, *, form: str = "chinchilla", delta: float = 1e-3,
    starts: int = 100, seed: int = 0, initial: ChinchillaLaw | KaplanLaw | None = None,
) -> SurfaceFit:  # fmt: skip
    """The law L(N, D) of the given form that lies nearest to the runs, by Huber's measure of ln L.

    `form` is "chinchilla" (E + A/N^α + B/D^β) or "kaplan". Residuals of ln L up to `delta` count by their
    square, larger ones by their size (`delta=inf` is least squares). `starts` points spread evenly over
    exponents and shares are tried, and `initial` besides: a law near the answer, with which a resampled fit
    needs few others.

    Raises ValueError for values that are not positive and finite, lengths that differ, fewer runs than
    parameters, an N or D with too few different values, another form, a delta that is not positive or no
    starts.

    >>> from lib.accounting.scaling import HOFFMANN
    >>> N, D = [1e8, 1e9, 1e10] * 3, [1e9] * 3 + [1e10] * 3 + [1e11] * 3
    >>> fit = fit_loss_surface(N, D, HOFFMANN(N, D), starts=20)
    >>> [round(exponent, 4) for exponent in fit.exponents], round(fit.law.E, 4), fit.converged
    ([0.34, 0.28], 1.69, True)
    """
    N, D, loss = _checked(N, D, loss, form, delta, starts)
    surface = _Surface(np.log(N), np.log(D), np.log(loss), form, delta)
    theta = surface.starts(starts, seed)
    if initial is not None:
        theta = np.concatenate([surface.coordinates(initial)[None], theta])
    theta = surface.improve(theta)
    values = surface.objective(theta)
    order = np.argsort(values)
    ends = [surface.polish(theta[i]) for i in order[:POLISHED]]
    best, converged = min(ends, key=lambda end: surface.objective(end[0]))
    surface.check_falling(best)
    objective = float(surface.objective(best))
    agreeing = int((values <= 1.01 * objective + 1e-9 * min(delta, 1) ** 2).sum())
    return SurfaceFit(surface.law(best), form, objective, converged, agreeing, len(theta), len(loss))


class _Surface:
    """The runs of one fit, as centred logarithms, and the objective as a function of its parameters θ.

    θ is (a, α, b, β, e) for Chinchilla's form and (a, α, b, ln γ) for Kaplan's. Every method takes many θ at
    once.
    """

    def __init__(self, n: NDArray, d: NDArray, y: NDArray, form: str, delta: float) -> None:
        self.middle = float(n.mean()), float(d.mean())  # centred, a and α hardly pull at each other
        self.n, self.d, self.y = n - self.middle[0], d - self.middle[1], y
        self.chinchilla, self.delta = form == "chinchilla", delta

    def starts(self, count: int, seed: int) -> Float[np.ndarray, "S P"]:
        """Evenly spread exponents, and shares of the loss in the middle of the runs."""
        draw = qmc.Halton(4, rng=seed).random(count).T
        level = self.y.mean()
        if not self.chinchilla:
            gamma = 0.02 * 25 ** draw[0]
            alpha, part = 0.1 * 30 ** draw[1], 0.05 + 0.9 * draw[2]
            total = level / gamma
            return np.stack([np.log(part) + total, alpha, np.log1p(-part) + total, np.log(gamma)], axis=1)
        alpha, beta = 0.05 * 30 ** draw[0], 0.05 * 30 ** draw[1]
        floor, part = 0.02 + 0.96 * draw[2], 0.05 + 0.9 * draw[3]
        rest = np.log1p(-floor) + level
        a, b, e = np.log(part) + rest, np.log1p(-part) + rest, np.log(floor) + level
        return np.stack([a, alpha, b, beta, e], axis=1)

    def model(self, theta: Float[np.ndarray, "S P"]) -> tuple[NDArray, NDArray]:
        """ln L̂ (S, R) and its derivatives by θ (S, R, P)."""
        a, alpha, b = (column[:, None] for column in theta.T[:3])
        beta, gamma = (theta[:, 3, None], 1.0) if self.chinchilla else (1.0, np.exp(theta[:, 3, None]))
        terms = [a - alpha * self.n, b - beta * self.d]
        if self.chinchilla:
            terms.append(np.broadcast_to(theta[:, 4, None], terms[0].shape))
        top = np.max(terms, axis=0)
        parts = np.exp(np.stack(terms) - top)  # exponents of at most zero: no overflow
        total = parts.sum(axis=0)
        log_sum = top + np.log(total)
        of_n, of_d, *of_e = gamma * parts / total
        slopes = [of_n, -of_n * self.n, of_d]
        slopes += [-of_d * self.d, of_e[0]] if self.chinchilla else [gamma * log_sum]
        return gamma * log_sum, np.stack(slopes, axis=-1)

    def objective(self, theta: NDArray) -> NDArray[np.float64] | np.float64:
        """Σ Huber_δ of the residuals, for one θ or many."""
        residuals = np.abs(self.model(np.atleast_2d(theta))[0] - self.y)
        near = np.minimum(residuals, self.delta)
        # min(r, δ) · (r − min(r, δ)/2) is r²/2 within δ and δ(r − δ/2) beyond.
        value = (near * (residuals - near / 2)).sum(axis=-1)
        return value if theta.ndim == 2 else value[0]

    def gradient(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the objective, for one θ."""
        predicted, slopes = self.model(theta[None])
        return np.clip(predicted[0] - self.y, -self.delta, self.delta) @ slopes[0]

    def improve(self, theta: Float[np.ndarray, "S P"]) -> Float[np.ndarray, "S P"]:
        """Levenberg–Marquardt steps for every θ, each with its own damping, until none gains anything."""
        theta, damping = theta.copy(), np.full(len(theta), 1e-2)
        value, active = self.objective(theta), np.arange(len(theta))
        for _ in range(ROUNDS):
            trial = theta[active] - self._step(theta[active], damping[active])
            trial_value = self.objective(trial)
            better = trial_value < value[active]  # False where a step went to infinity
            gain = np.where(better, value[active] - trial_value, 0.0)
            moved = active[better]
            theta[moved], value[moved] = trial[better], trial_value[better]
            damping[active] *= np.where(better, 0.3, 5.0)
            going = np.where(better, gain > 1e-7 * value[active], damping[active] < 1e6)
            active = active[going]
            if not len(active):
                break
        return theta

    def _step(self, theta: NDArray, damping: NDArray) -> NDArray[np.float64]:
        predicted, slopes = self.model(theta)
        residuals = predicted - self.y
        weights = np.minimum(1.0, self.delta / np.maximum(np.abs(residuals), 1e-300))  # Huber's, of r²/2
        weighted = slopes * weights[..., None]
        curvature = weighted.swapaxes(1, 2) @ slopes
        gradient = (weighted * residuals[..., None]).sum(axis=1)
        diagonal = np.einsum("spp->sp", curvature)
        diagonal *= 1 + damping[:, None]  # in place: einsum gives a view
        diagonal += 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
        return np.linalg.solve(curvature, gradient[..., None])[..., 0]

    def polish(self, theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
        """The minimum near one θ, and whether the gradient vanishes there."""
        rms = float(np.sqrt(np.mean((self.model(theta[None])[0] - self.y) ** 2)))
        # The gradient's size where all residuals have one sign.
        unit = len(self.y) * max(min(self.delta, rms), 1e-9)
        found = minimize(
            lambda x: float(self.objective(x)) / unit, theta, jac=lambda x: self.gradient(x) / unit,
            method="BFGS", options={"gtol": GRADIENT / 10, "maxiter": 2000},
        )  # fmt: skip
        best = found.x if self.objective(found.x) <= self.objective(theta) else theta
        return best, bool(np.abs(self.gradient(best)).max() <= GRADIENT * unit)

    def check_falling(self, theta: NDArray[np.float64]) -> None:
        """Raises ValueError for exponents of a loss that rises with N or D: no scaling law describes it."""
        for name, exponent in zip("ND", theta[[1, 3]] if self.chinchilla else (theta[1], 1.0), strict=True):
            if exponent <= 0:
                raise ValueError(f"loss must fall with {name} to be fitted, got the exponent {exponent:.3g}")

    def law(self, theta: NDArray[np.float64]) -> ChinchillaLaw | KaplanLaw:
        """θ in the constants that the papers print."""
        n, d = self.middle
        if self.chinchilla:
            a, alpha, b, beta, e = theta.tolist()
            return ChinchillaLaw(exp(e), exp(a + alpha * n), exp(b + beta * d), alpha, beta)
        a, alpha, b, log_gamma = theta.tolist()
        return KaplanLaw(alpha * exp(log_gamma), exp(log_gamma), exp(a / alpha + n), exp(b + d))

    def coordinates(self, law: ChinchillaLaw | KaplanLaw) -> NDArray[np.float64]:
        """The θ of a law: the inverse of `law`."""
        if isinstance(law, ChinchillaLaw) != self.chinchilla:
            raise ValueError(f"initial must be a law of the form that is fitted, got {type(law).__name__}")
        n, d = self.middle
        A, alpha, B, beta = law.terms
        a, b = np.log(A) - alpha * n, np.log(B) - beta * d
        if self.chinchilla:
            return np.array([a, alpha, b, beta, np.log(max(law.E, 1e-12))])
        return np.array([a, alpha, b, np.log(law.alpha_D)])


def _checked(N: Numbers, D: Numbers, loss: Numbers, form: str, delta: float, starts: int) -> list[NDArray[np.float64]]:
    checks.one_of("form", form, FORMS)
    checks.positive("delta", delta, infinite=True)
    checks.whole("starts", starts)
    N, D, loss = columns(N=N, D=D, loss=loss)
    enough(f"the {form} surface", len(loss), FORMS[form])
    least = 3 if form == "chinchilla" else 2  # with two, any exponent fits beside a floor
    distinct("N", N, least, "its exponent")
    distinct("D", D, least, "its exponent")
    return [N, D, loss]
