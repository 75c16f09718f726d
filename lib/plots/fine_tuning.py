"""Figures of notebook 05: shared words, accuracy by the number of examples, with and without warm-up, reliability, eras."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib import checks
from lib.evaluation.calibration import Reliability
from lib.plots.figure import COLOURS, LINES, MARKERS, figure


def shared_words(kinds: Mapping[str, Sequence[float]], unit: str = "rarity of the shared words (nats)") -> Figure:
    """For each kind of pairs the share of pairs that score at least so much, as a falling curve.

    Raises ValueError for a kind without pairs.
    """
    fig, (ax,) = figure(6.8, 3.2)
    for number, (name, values) in enumerate(kinds.items()):
        checks.not_empty(values=values)
        x = np.sort(np.asarray(values, dtype=float))
        share = 1 - np.arange(len(x)) / len(x)
        ax.step(x, share, where="pre", color=COLOURS[number], linestyle=LINES[number], label=name)
    ax.set(xlabel=unit, ylabel="share of pairs with at least this", xlim=(0, None), ylim=(0, 1.02))
    ax.legend()
    return fig


def by_examples(curves: Mapping[str, Mapping[int, Sequence[float]]], levels: Mapping[str, float]) -> Figure:
    """Accuracy by the number of examples: a point for each seed, a line through the means, and lines at `levels`.

    The seeds of one way stand side by side, so that equal accuracies can be counted; x is exact only at the ticks.
    Raises ValueError for an accuracy outside [0, 1].
    """
    fig, (ax,) = figure(7.4, 3.8)
    counts, handles = sorted({n for curve in curves.values() for n in curve}), {}
    for number, (name, curve) in enumerate(curves.items()):
        shift = 1.12 ** (number - (len(curves) - 1) / 2)
        for n, values in curve.items():
            for value in values:
                checks.share(name, value)
            places = [n * shift * 1.02 ** (seed - (len(values) - 1) / 2) for seed in range(len(values))]
            points = ax.scatter(places, values, s=16, alpha=0.6, color=COLOURS[number], marker=MARKERS[number])
        means = [float(np.mean(v)) for v in curve.values()]
        (line,) = ax.plot([n * shift for n in curve], means, color=COLOURS[number], linestyle=LINES[number], marker="_",
                          markersize=13, markeredgewidth=2)  # fmt: skip
        handles[name] = points, line
    for name, height in levels.items():
        ax.axhline(height, color="0.4", linewidth=0.9, linestyle=":")
        ax.annotate(name, (1, height), (-2, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
                    ha="right", fontsize=8)  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks(counts, [f"{n:,}" for n in counts])
    ax.minorticks_off()
    ax.set(xlabel="training reviews", ylabel="accuracy on test reviews")
    ax.legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def spread(groups: Mapping[str, Sequence[float]], level: float, *, xlabel: str, name: str) -> Figure:
    """One row of points for each group, its mean as a bar, and a line at `level`, which is called `name`.

    The points of a row climb a little from the first to the last, so that equal ones can be counted.
    """
    fig, (ax,) = figure(6.4, 0.55 * len(groups) + 1.1)
    for row, values in enumerate(groups.values()):
        checks.not_empty(values=values)
        heights = [row - 0.08 * (place - (len(values) - 1) / 2) for place in range(len(values))]
        ax.scatter(values, heights, s=28, alpha=0.7, color=COLOURS[row])
        ax.plot([np.mean(values)] * 2, [row - 0.25, row + 0.25], color=COLOURS[row], linewidth=2.5)
    ax.axvline(level, color="0.4", linewidth=0.9, linestyle=":")
    ax.annotate(name, (level, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
                fontsize=8)  # fmt: skip
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set(xlabel=xlabel, ylim=(len(groups) - 0.5, -0.7))
    ax.grid(axis="y", visible=False)
    return fig


def reliability(panels: Mapping[str, Sequence[Reliability]]) -> Figure:
    """Claimed confidence and what came true, in bins of one run or several; large points hold many predictions.

    Raises ValueError for a panel without runs.
    """
    fig, axes = figure(3.3 * len(panels), 3.4, columns=len(panels), sharey=True)
    for number, (ax, (name, runs)) in enumerate(zip(axes, panels.items())):
        checks.not_empty(runs=runs)
        ax.plot([0.5, 1], [0.5, 1], color="0.4", linewidth=0.9, linestyle=":")
        for found in runs:
            full = found.size > 0
            ax.scatter(found.confidence[full], found.accuracy[full], s=found.size[full].numpy(), alpha=0.45,
                       color=COLOURS[number], edgecolor="black", linewidth=0.5)  # fmt: skip
        ax.set(title=name, xlabel="claimed probability", xlim=(0.48, 1.02), ylim=(0.2, 1.04))
    axes[0].set_ylabel("share that came true")
    return fig


def eras(ranges: Mapping[str, tuple[float | int, float | int]], models: Mapping[str, float | int]) -> Figure:
    """The sizes that belong to each era as bands, and models as points on a logarithmic axis.

    Raises ValueError for a size that is not positive.
    """
    fig, (ax,) = figure(7.6, 0.3 * len(models) + 1.4)
    for number, (name, (low, high)) in enumerate(ranges.items()):
        ax.axvspan(max(low, 1e7), high, color=COLOURS[number], alpha=0.18)
        ax.annotate(name, (math.sqrt(max(low, 1e7) * high), 1), (0, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", fontsize=9)  # fmt: skip
    for row, (name, size) in enumerate(models.items()):
        checks.positive(name, size)
        ax.scatter([size], [row], color="black", s=24, zorder=3)
    ax.set_xscale("log")
    ax.set_yticks(range(len(models)), list(models))
    ax.set(xlabel="parameters", xlim=(1e7, 4e12), ylim=(len(models) - 0.4, -0.6))
    ax.grid(axis="y", visible=False)
    return fig
