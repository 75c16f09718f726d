"""Figures of notebook 11: labels, rewards with intervals, accuracies, and the effect of centring."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, MARKERS, curve, figure


def label_shares(differences: Sequence[float], shares: Sequence[float], errors: Sequence[float]) -> Figure:
    """How often the first answer was chosen, by difference of rewards, ±3 errors, over Bradley and Terry's curve."""
    fig, (ax,) = figure(6.4, 3.1)
    fine = np.linspace(min(differences), max(differences), 200)
    curve(ax, fine, 1 / (1 + np.exp(-fine)), 1, "p* = σ(difference)")
    ax.errorbar(
        differences,
        shares,
        yerr=3 * np.asarray(errors),
        fmt="o",
        color=COLOURS[0],
        capsize=3,
        ms=4,
        label="labels, ±3 standard errors",
    )
    ax.set(xlabel="r*(first) − r*(second)", ylabel="share that chose the first", ylim=(-0.05, 1.05))
    ax.legend(loc="upper left")
    return fig


def loss_and_slope(differences: Sequence[float], losses: Sequence[float], slopes: Sequence[float]) -> Figure:
    """The loss of one pair and its slope, against the margin of the chosen answer."""
    fig, (left, right) = figure(7.4, 2.9, columns=2)
    curve(left, differences, losses, 0, "−log σ(margin)")
    left.set(xlabel="margin", ylabel="loss (nats)", title="the loss of one pair")
    curve(right, differences, slopes, 3, "−(1 − p)")
    right.set(xlabel="margin", ylabel="slope", title="its slope in the margin: −(1 − p)", ylim=(-1.05, 0.05))
    for ax in (left, right):
        ax.axvline(0, color="black", linestyle=":", linewidth=1)
    return fig


def rewards_with_intervals(names: Sequence[str], truth: Sequence[float], fits: Mapping[str, tuple]) -> Figure:
    """Known rewards as short lines; beside them, for each fit (values, intervals (M, 2)), a dot with its interval."""
    fig, (ax,) = figure(7.4, 3.3)
    places = np.arange(len(names))
    ax.hlines(truth, places - 0.35, places + 0.35, color="black", linewidth=2, label="r*, centred")
    for number, (name, (values, intervals)) in enumerate(fits.items()):
        values, ends = np.asarray(values), np.asarray(intervals)
        offset = (number - (len(fits) - 1) / 2) * 0.25
        ax.errorbar(
            places + offset,
            values,
            yerr=np.abs(ends.T - values),
            fmt=MARKERS[number],
            color=COLOURS[number],
            capsize=3,
            ms=5,
            label=name,
        )
    ax.set_xticks(places, names)
    ax.set(xlabel="answer", ylabel="reward, centred")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def learned_against_true(panels: Mapping[str, tuple]) -> Figure:
    """Scatter plots of learned against true rewards; a panel is (true, learned, correlation)."""
    fig, axes = figure(3.7 * len(panels), 3.2, columns=len(panels))
    for ax, (title, (true, learned, correlation)) in zip(axes, panels.items()):
        ax.plot(true, learned, "o", color=COLOURS[0], ms=3, alpha=0.35)
        ax.set(xlabel="r*", title=f"{title}: correlation {correlation:.2f}")
    axes[0].set_ylabel("learned reward")
    return fig


def coverage(sizes: Sequence[int], shares: Mapping[str, Sequence[float]], *, level: float = 0.95) -> Figure:
    """How often intervals held the truth against the answers per ranking, one line a method, with the promised `level`."""
    fig, (ax,) = figure(6.4, 3.2)
    for number, (name, values) in enumerate(shares.items()):
        curve(ax, sizes, values, number, name, marker=True)
    ax.axhline(level, color="black", linewidth=1, linestyle=":", label=f"promised: {level:.0%}")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.set(xlabel="answers per ranking, K", ylabel="share of intervals that hold the truth", ylim=(0.6, 1.0))
    ax.legend(loc="lower left")
    return fig


def accuracies(rows: Mapping[str, Mapping[str, tuple[float, float]]], *, ceiling: float) -> Figure:
    """Accuracies with ±2 standard errors: a line for each model, a marker for each kind of pairs, (value, error) each.

    Dotted lines stand at a coin's one half and at `ceiling`, the best that can be expected on the first kind.
    """
    fig, (ax,) = figure(7.4, 0.45 * len(rows) + 1.2)
    kinds = list(next(iter(rows.values())))
    for number, kind in enumerate(kinds):
        places = np.arange(len(rows)) + (number - (len(kinds) - 1) / 2) * 0.28
        values, errors = zip(*(row[kind] for row in rows.values()))
        ax.errorbar(
            np.asarray(values),
            places,
            xerr=2 * np.asarray(errors),
            fmt=MARKERS[number],
            color=COLOURS[number],
            capsize=3,
            ms=5,
            label=kind,
        )
    for x, name in ((0.5, "a coin"), (ceiling, "ceiling")):
        ax.axvline(x, color="black", linewidth=1, linestyle=":")
        ax.annotate(name, (x, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.invert_yaxis()
    ax.set(xlabel="share of pairs that the model gets right", ylim=(len(rows) - 0.5, -0.5))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
