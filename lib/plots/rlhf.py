"""Figures of lecture 13: policies and their optimum, estimators of the KL, PPO's clip, training on a proxy reward."""

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


def spread_by_kl(settings: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """The standard deviation of KL estimators against the exact KL divergence, one panel per setting.

    Each setting maps "KL" to the divergences (nats) and the name of each estimator to its standard deviations.
    """
    fig, axes = figure(max(4.8, 2.6 * len(settings) + 0.4), 3.2, columns=len(settings), sharey=True)
    for ax, (title, curves) in zip(axes, settings.items()):
        for number, name in enumerate(key for key in curves if key != "KL"):
            curve(ax, curves["KL"], curves[name], number, name)
        ax.set(xscale="log", yscale="log", title=title, xlabel="exact KL, nats")
    axes[0].set_ylabel("standard deviation of\none sample, nats")
    axes[0].legend(loc="upper left")
    return fig


def one_batch(promised: Mapping[str, Sequence[float]], true: Mapping[str, Sequence[float]]) -> Figure:
    """What a batch of answers promises (left) and the exact objective (right) after each update on that batch."""
    fig, axes = figure(7.8, 3.2, columns=2)
    for ax, curves, title in zip(axes, (promised, true), ("mean of ρA on the batch", "J, exact, over all answers")):
        for number, (name, values) in enumerate(curves.items()):
            curve(ax, list(range(len(values))), list(values), number, name)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.set(title=title, xlabel="updates on the same batch")
    axes[0].set_ylabel("gain over the reference")
    axes[0].legend(loc="upper left")
    return fig


def way_left(shares: Mapping[str, Sequence[float]]) -> Figure:
    """Share of the way to the optimum that is left, over many worlds: the median, and a line from 10 to 90 %.

    The dotted line at 1 is the reference, where every run begins; right of it a run has ended farther away.
    """
    fig, (ax,) = figure(7.4, 0.42 * len(shares) + 1.0)
    for row, values in enumerate(shares.values()):
        low, middle, high = np.quantile(np.asarray(values), (0.1, 0.5, 0.9))
        ax.plot([low, high], [row, row], color=COLOURS[0], linewidth=2)
        ax.plot([middle], [row], "o", color=COLOURS[3], markersize=7)
    ax.axvline(1, color="0.4", linestyle=":")
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set(
        xscale="log", xlabel="share of the way to π* that is left (1: the reference)", ylim=(len(shares) - 0.5, -0.5)
    )
    return fig


def left_by_update(runs: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Share of the way to the optimum that is left after each update: the median over worlds, and 10 to 90 %.

    Each run holds, for each update from 0 on, the share of each world. The dotted line at 1 is the reference.
    """
    fig, (ax,) = figure(7.4, 3.2)
    for number, (name, shares) in enumerate(runs.items()):
        low, middle, high = np.quantile(np.asarray(shares), (0.1, 0.5, 0.9), axis=1)
        updates = list(range(len(middle)))
        ax.fill_between(updates, low, high, color=COLOURS[number], alpha=0.2, linewidth=0)
        curve(ax, updates, list(middle), number, name)
    ax.axhline(1, color="0.4", linestyle=":")
    ax.set(yscale="log", xlabel="updates, each on all pairs", ylabel="share of the way\nto π* that is left")
    ax.legend(loc="upper left")
    return fig


def hump(
    kl: Mapping[str, Sequence[float]], panels: Mapping[str, Mapping[str, Sequence[float]]], betas: Sequence[float]
) -> Figure:
    """Rewards of the best policies for falling β against their KL from the reference, one panel for each reward.

    `panels` maps a title to its curves; `kl` holds the divergences (nats) of each curve, one for each of `betas`.
    The ends of the first curve carry their β.
    """
    fig, axes = figure(8.8, 3.3, columns=len(panels))
    for ax, (title, curves) in zip(axes, panels.items()):
        for number, (name, values) in enumerate(curves.items()):
            curve(ax, kl[name], list(values), number, name, marker=True)
            for place, beta, value in zip(kl[name], betas, values):
                if number == 0 and beta in (betas[0], betas[-1]):
                    aside = {"xytext": (18, -9) if beta == betas[0] else (0, 7), "textcoords": "offset points"}
                    ax.annotate(f"β = {beta:g}", (place, value), fontsize=8, ha="center", **aside)
        ax.axhline(0, color="0.4", linewidth=0.8)
        ax.margins(x=0.12, y=0.15)
        ax.set(title=title, xlabel="KL from the reference, nats")
    axes[0].set_ylabel("mean above the reference")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def two_rewards(runs: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, start: float | None = None) -> Figure:
    """The proxy reward (left) and the gold reward (right) during training, one curve per run.

    `start` is the gold reward before training, a dotted line in the right panel.
    """
    fig, axes = figure(7.8, 3.2, columns=2)
    for ax, side, title in zip(axes, range(2), ("proxy reward: the reward model", "gold reward: the human")):
        for number, (name, curves) in enumerate(runs.items()):
            smooth = _smooth(curves[side])
            curve(ax, list(range(1, len(smooth) + 1)), smooth, number, name)
        ax.set(title=title, xlabel="batch of answers")
    if start is not None:
        axes[1].axhline(start, color="0.4", linestyle=":", label="before training")
    axes[0].set_ylabel("mean reward (in no unit)")
    axes[1].set_ylabel("mean opinion, −1 to 1")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def _smooth(values: Sequence[float], window: int = 8) -> list[float]:
    """The moving mean over the last `window` batches (fewer at the beginning)."""
    return [float(np.mean(values[max(0, k - window + 1) : k + 1])) for k in range(len(values))]
