"""Figures of notebook 13: policies and their optimum, PPO's clipping, training on a proxy reward."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure

HATCHES = ("", "//", "..", "xx")


def policies(names: Sequence[str], probabilities: Mapping[str, Sequence[float]]) -> Figure:
    """Several policies over the same answers, as grouped bars with their values."""
    fig, (ax,) = figure(7.4, 3.2)
    width = 0.8 / len(probabilities)
    for number, (label, values) in enumerate(probabilities.items()):
        left = np.arange(len(names)) + (number - (len(probabilities) - 1) / 2) * width
        bars = ax.bar(left, values, 0.92 * width, color=COLOURS[number], hatch=HATCHES[number % 4],
                      edgecolor="white", label=label)  # fmt: skip
        ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel="probability", ylim=(0, 1.12))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def clipped_objective(ratios: Sequence[float], gains: Mapping[str, Sequence[float]], *, epsilon: float) -> Figure:
    """PPO's objective for one token against its probability ratio, one panel for each sign of the advantage."""
    fig, axes = figure(7.4, 2.9, columns=len(gains), sharex=True)
    for number, (ax, (title, values)) in enumerate(zip(axes, gains.items())):
        curve(ax, list(ratios), list(values), number, title)
        for edge in (1 - epsilon, 1 + epsilon):
            ax.axvline(edge, color="0.6", linestyle=":")
        ax.plot([1], [np.interp(1, ratios, values)], "o", color="black", markersize=5)
        ax.set(title=title, xlabel="ratio π / π_old")
    axes[0].set_ylabel("what is maximised")
    return fig


def near_the_optimum(optimum: Sequence[float], reached: Mapping[str, Sequence[float]]) -> Figure:
    """Each answer's probability under trained policies against that under the optimum, on logarithmic axes."""
    fig, axes = figure(2.0 * len(reached) + 0.7, 2.6, columns=len(reached), sharex=True, sharey=True)
    best = np.asarray(optimum)
    edges = [best.min() / 2, 1]
    for number, (ax, (name, values)) in enumerate(zip(axes, reached.items())):
        ax.plot(edges, edges, color="0.6", linestyle=":")
        ax.plot(best, values, "o", color=COLOURS[number], markersize=4, alpha=0.8)
        ax.set(xscale="log", yscale="log", title=name, xlabel="π* of the answer")
    axes[0].set_ylabel("probability reached")
    return fig


def two_rewards(runs: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """The proxy reward (left) and the human's opinion (right) during training, one curve per run."""
    fig, axes = figure(7.8, 3.2, columns=2)
    for ax, side, title in zip(axes, range(2), ("paid: the reward model", "meant: the human")):
        for number, (name, curves) in enumerate(runs.items()):
            smooth = _smooth(curves[side])
            curve(ax, list(range(1, len(smooth) + 1)), smooth, number, name)
        ax.set(title=title, xlabel="batch of answers")
    axes[0].set_ylabel("mean reward (in no unit)")
    axes[1].set_ylabel("mean opinion, −1 to 1")
    axes[0].legend(loc="lower right")
    return fig


def _smooth(values: Sequence[float], window: int = 8) -> list[float]:
    """The moving mean over the last `window` batches (fewer at the beginning)."""
    return [float(np.mean(values[max(0, k - window + 1) : k + 1])) for k in range(len(values))]
