"""Figures of notebook 04: what masking does to a text, the objective, training, the masking rate."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, LINES, MARKERS, curve, figure, heatmap

FATES = {"[MASK]": "#9EC9E8", "random": "#F6CE85", "kept": "#A5DCC6", "not selected": "#F2F2F2"}
"""What can happen to a token, and the colour of its cell."""


def masking_strip(original: Sequence[str], shown: Sequence[str], fates: Sequence[str]) -> Figure:
    """Tokens, what the model reads instead, and what it must predict: three rows of cells (slide C06).

    `fates` has an entry of FATES for each token; only selected tokens have a target below them.
    """
    checks.same_length(original=original, shown=shown, fates=fates)
    from matplotlib.patches import Patch, Rectangle

    widths = [0.085 * max(len(a), len(b), 3) + 0.2 for a, b in zip(original, shown)]
    left = np.concatenate([[0], np.cumsum(widths)])
    fig, (ax,) = figure(max(left[-1] + 1.1, 5.0), 2.1)
    rows = {"text": original, "model reads": shown, "must say": original}
    for row, (name, tokens) in enumerate(rows.items()):
        for x, width, token, fate in zip(left, widths, tokens, fates):
            if name == "must say" and fate == "not selected":
                continue
            colour = FATES["not selected"] if name == "text" else FATES[fate]
            ax.add_patch(Rectangle((x, -row - 0.4), width - 0.06, 0.8, facecolor=colour, edgecolor="0.6"))
            ax.text(x + (width - 0.06) / 2, -row, token, ha="center", va="center", family="monospace", fontsize=9)
    ax.set(xlim=(-0.05, left[-1]), ylim=(-2.5, 0.5), xticks=[])
    ax.set_yticks([0, -1, -2], list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    keys = [Patch(facecolor=colour, edgecolor="0.6", label=fate) for fate, colour in FATES.items()]
    fig.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return fig


def shares_against_expected(measured: Mapping[str, tuple[float, float]], expected: Mapping[str, float]) -> Figure:
    """Measured shares, with the half width of their intervals, as multiples of the expected shares (A11)."""
    fig, (ax,) = figure(6.4, 2.6)
    for row, (name, (share, half)) in enumerate(measured.items()):
        ratio, spread = share / expected[name], half / expected[name]
        ax.errorbar(ratio, row, xerr=spread, fmt=MARKERS[0], color=COLOURS[0], capsize=4, linewidth=2)
    ax.axvline(1, color="black", linestyle=":")
    labels = [f"{name}: {share:.2%}\n(expected {expected[name]:.1%})" for name, (share, _) in measured.items()]
    ax.set_yticks(range(len(measured)), labels)
    ax.set(xlabel="measured / expected, with its 99 % interval", ylim=(len(measured) - 0.5, -0.5))
    return fig


def two_objectives(p: Sequence[float], curves: Mapping[str, Sequence[float]]) -> Figure:
    """Functions of the model's probability p, each in its own panel, with the location of its maximum (F01)."""
    fig, axes = figure(7.4, 2.9, columns=len(curves))
    for number, (ax, (name, values)) in enumerate(zip(axes, curves.items())):
        best = int(np.argmax(values))
        curve(ax, p, values, number, name)
        ax.plot(p[best], values[best], MARKERS[number], color="black")
        ax.axvline(p[best], color="black", linestyle=":", label=f"largest at p = {p[best]:.3f}")
        ax.set(xlabel="model's probability p of the commoner word", ylabel=name)
        ax.legend(loc="lower center")
    return fig


def joint_tables(
    tables: Mapping[str, Sequence[Sequence[float]]], rows: Sequence[str], columns: Sequence[str]
) -> Figure:
    """Joint distributions of two words side by side, rows the first word and columns the second."""
    fig, axes = figure(3.1 * len(tables) + 0.4, 2.6, columns=len(tables))
    for ax, (name, table) in zip(axes, tables.items()):
        heatmap(ax, table, list(rows), list(columns), title=name, numbers=".3f", vmin=0, vmax=0.7)
        ax.set_xticks(range(len(columns)), columns, rotation=0, ha="center")
        ax.set_xlabel("second word")
    axes[0].set_ylabel("first word")
    return fig


def loss_curve(
    losses: Sequence[float],
    levels: Mapping[str, float] | None = None,
    evaluations: Sequence[tuple[int, float]] = (),
    smooth: int = 20,
) -> Figure:
    """The loss of each batch, its running mean, the validation loss, and levels to compare with."""
    fig, (ax,) = figure(7.0, 3.2)
    steps = np.arange(1, len(losses) + 1)
    ax.plot(steps, losses, color="0.8", linewidth=1, label="each batch")
    mean = [np.mean(losses[max(0, i - smooth) : i]) for i in steps]
    curve(ax, steps, mean, 0, f"mean of the last {smooth}")
    if evaluations:
        at, values = zip(*evaluations)
        curve(ax, at, values, 3, "validation", marker=True, linestyle="")
    for number, (name, level) in enumerate((levels or {}).items()):
        ax.axhline(level, color="black", linestyle=LINES[1 + number % 3], linewidth=1.2, label=f"{name}: {level:.2f}")
    ax.set(xlabel="update", ylabel="loss (nats per selected token)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def masking_rates(panels: Mapping[str, Mapping[float, Sequence[float]]], ylabel: str) -> Figure:
    """Losses by masking rate, one panel per kind of loss (slide C07): points are runs, a line is their mean."""
    fig, axes = figure(7.4, 3.1, columns=len(panels), sharey=True)
    for number, (ax, (name, runs)) in enumerate(zip(axes, panels.items())):
        for place, values in enumerate(runs.values()):
            spread = np.linspace(-0.1, 0.1, len(values)) if len(values) > 1 else [0.0]
            ax.plot(place + np.asarray(spread), values, MARKERS[number], color=COLOURS[number], alpha=0.9)
            ax.hlines(np.mean(values), place - 0.25, place + 0.25, color="black", linewidth=1.5)
        ax.set_xticks(range(len(runs)), [f"{rate:.0%}" for rate in runs])
        ax.set(title=name, xlabel="masking rate in training", xlim=(-0.5, len(runs) - 0.5))
    axes[0].set_ylabel(ylabel)
    return fig
