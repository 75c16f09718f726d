"""Figures of notebook 12: an update by one sample, variance of estimates, learning curves, credit of words."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure, heatmap

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


def gradients(names: Sequence[str], rows: Mapping[str, Sequence[float]]) -> Figure:
    """Gradients with one component per answer, as grouped bars; the first row is the exact gradient."""
    fig, (ax,) = figure(7.4, 3.2)
    _bars(ax, names, rows)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_ylabel("mean of the estimate")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
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
    ax.set(xlabel="baseline b (marks)", ylabel="variance of (R − b) ∇ log p", ylim=(0, None))
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


def credit(words: Sequence[str], rows: Mapping[str, Sequence[float]]) -> Figure:
    """The reward of each word of an answer, and its weight in each estimator, as a heatmap."""
    fig, (ax,) = figure(6.4, 0.5 * len(rows) + 0.9)
    heatmap(ax, list(rows.values()), list(rows), [f"{i}. {word}" for i, word in enumerate(words, start=1)], numbers="g")
    ax.set_xticks(range(len(words)), ax.get_xticklabels(), rotation=0, ha="center")
    return fig


def _bars(ax, names: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Grouped bars, one group per name, one colour per row."""
    width = 0.8 / len(rows)
    for number, (label, values) in enumerate(rows.items()):
        places = np.arange(len(names)) + (number - (len(rows) - 1) / 2) * width
        look = {"color": COLOURS[number], "hatch": HATCHES[number], "edgecolor": "black", "linewidth": 0.5}
        ax.bar(places, list(values), width, label=label, **look)
    ax.set_xticks(range(len(names)), names)
    ax.grid(axis="x", visible=False)
