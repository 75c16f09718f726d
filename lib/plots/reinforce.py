"""Figures of notebook 12: an update by one sample, variance of estimates, learning curves, a stored run."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, MARKERS, curve, figure

HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "++")  # so that neighbours can be told apart in grey


def policies(
    names: Sequence[str],
    panels: Mapping[str, Sequence[Sequence[float]]],
    *,
    labels: Sequence[str] = ("before", "after"),
) -> Figure:
    """Policies over the same answers, side by side in each panel: before and after an update."""
    fig, axes = figure(3.7 * len(panels), 3.0, columns=len(panels), sharey=True)
    for ax, (title, rows) in zip(axes, panels.items()):
        _bars(ax, names, dict(zip(labels, rows, strict=True)))
        ax.set_title(title)
    axes[0].set_ylabel("probability")
    axes[0].legend(loc="upper left")
    return fig


def error_by_samples(numbers: Sequence[int], errors: Sequence[float], at_one: float) -> Figure:
    """The error of an estimate against the number of samples, with the curve `at_one` / √N; both axes logarithmic."""
    fig, (ax,) = figure(6.4, 3.2)
    curve(ax, list(numbers), list(errors), 0, "measured", marker=True, linestyle="none")
    curve(ax, list(numbers), [at_one / n**0.5 for n in numbers], 1, f"{at_one:.2f} / √N")
    ax.set(xscale="log", yscale="log", xlabel="samples N", ylabel="error of the gradient")
    ax.legend()
    return fig


def variance_by_baseline(constants: Sequence[float], variances: Sequence[float], marked: Mapping[str, float]) -> Figure:
    """The variance of the one-sample estimate against a constant baseline, with some constants marked."""
    fig, (ax,) = figure(7.4, 3.3)
    curve(ax, list(constants), list(variances), 0, "variance")
    for number, (name, b) in enumerate(marked.items(), start=1):
        v = np.interp(b, constants, variances)
        ax.plot([b], [v], "osD^vPX"[number % 7], color=COLOURS[number], markersize=8, label=f"{name}: {b:.2f}")
    ax.set(xlabel="baseline b", ylabel="variance of (R − b) ∇ log p", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def many_runs(panels: Mapping[str, Sequence[Sequence[float]]], best: float) -> Figure:
    """Learning curves, one thin line per run, one panel per method; the highest possible reward is dotted."""
    fig, axes = figure(3.0 * len(panels), 3.0, columns=len(panels), sharey=True)
    for number, (ax, (title, runs)) in enumerate(zip(axes, panels.items())):
        for run in runs:
            ax.plot(range(1, len(run) + 1), run, color=COLOURS[number], linewidth=0.9, alpha=0.7)
        ax.axhline(best, color="black", linestyle=":")
        ax.set(title=title, xlabel="step")
    axes[0].set_ylabel("expected reward")
    return fig


def step_by_difficulty(chances: Sequence[float], steps: Mapping[str, Sequence[float]]) -> Figure:
    """The length of the mean step, in exact gradients, over the chance of a right answer."""
    fig, (ax,) = figure(6.4, 3.0)
    for number, (name, values) in enumerate(steps.items()):
        curve(ax, list(chances), list(values), number, name, marker=True)
    ax.set(xlabel="chance of a right answer", ylabel="mean step / exact gradient", xlim=(0, 1), ylim=(0, None))
    ax.legend(loc="lower right")
    return fig


def noise_ratios(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """The noise of some methods in some worlds, as a multiple of that without a baseline (the line at 1); logarithmic."""
    fig, ax = _dots(rows)
    ax.axvline(1.0, color="black", linestyle=":")
    ax.set(xscale="log", xlabel="variance per unit step / without a baseline", xlim=(0.25, 40))
    ax.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    ax.minorticks_off()
    return fig


def shares(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """Shares that some checks find, a row each, and a marker for each of the models that they judge."""
    fig, ax = _dots(rows)
    ax.set(xlabel="share of the drawn answers", xlim=(-0.02, 1.02))
    return fig


def verifiable(runs: Mapping[str, Sequence[Mapping[str, str]]], greedy: float) -> Figure:
    """Stored runs by step: shares of right answers, KL and entropy; a line for each run, points where only the ends are."""
    fig, (right, kl, entropy, free) = figure(8.4, 5.0, columns=2, rows=2)
    shares = {
        "reward": "training sums (the reward)",
        "held_out": "held-out sums, same check",
    }
    for number, (column, label) in enumerate(shares.items()):
        points = {"marker": True, "linestyle": "none", "markersize": 8} if number else {}
        for run, rows in enumerate(runs.values()):
            curve(right, *_by_step(rows, column), number, "" if run else label, **points)
    right.axhline(greedy, color="black", linestyle=":", label="held-out sums, greedy, before")
    right.set(title="share right", ylim=(-0.03, 1.05))
    others = {"kl": (kl, "KL to the first model (nats)"), "entropy": (entropy, "−log π per token (nats)")}
    for number, (column, (ax, label)) in enumerate(others.items(), start=3):
        for rows in runs.values():
            curve(ax, *_by_step(rows, column), number, "", linestyle="-")
        ax.set(title=label, ylim=(0, None))
    for ax in (right, kl, entropy):
        ax.set(xlabel="step")
    free.axis("off")
    free.legend(*right.get_legend_handles_labels(), loc="center", title="the upper left panel")
    return fig


def _by_step(rows: Sequence[Mapping[str, str]], column: str) -> tuple[list[int], list[float]]:
    """Steps and values of a column, without the steps at which it was not measured."""
    kept = [row for row in rows if row[column] != ""]
    return [int(row["step"]) for row in kept], [float(row[column]) for row in kept]


def _dots(rows: Mapping[str, Mapping[str, float]]) -> tuple[Figure, Axes]:
    """A row of points for each name; what it compares has a colour and a marker, and is a little lower than the one before."""
    checks.not_empty(rows=rows)
    fig, (ax,) = figure(8.0, 0.62 * len(rows) + 1.1)
    series = list(dict.fromkeys(name for values in rows.values() for name in values))
    for number, name in enumerate(series):
        places = [place for place, values in enumerate(rows.values()) if name in values]
        lower = (number - (len(series) - 1) / 2) * 0.6 / len(series)
        found = [values[name] for values in rows.values() if name in values]
        look = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 7, "linestyle": "none"}
        ax.plot(found, [place + lower for place in places], label=name, **look)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig, ax


def _bars(ax, names: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Grouped bars, one group per name, one colour per row."""
    width = 0.8 / len(rows)
    for number, (label, values) in enumerate(rows.items()):
        places = np.arange(len(names)) + (number - (len(rows) - 1) / 2) * width
        look = {"color": COLOURS[number], "hatch": HATCHES[number], "edgecolor": "black", "linewidth": 0.5}
        ax.bar(places, list(values), width, label=label, **look)
    ax.set_xticks(range(len(names)), names)
    ax.grid(axis="x", visible=False)
