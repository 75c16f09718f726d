"""Figures of notebook 06: probabilities that sum to 1, training curves, surprisal per token."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, curve, figure


def sequence_probabilities(names: Sequence[str], probabilities: Sequence[float]) -> Figure:
    """Every sequence of a tiny vocabulary with its probability, likeliest first, and the cumulative sum up to 1."""
    order = np.argsort(probabilities)[::-1]
    values = np.asarray(probabilities)[order]
    fig, (left, right) = figure(7.4, 3.0, columns=2)
    left.bar(range(len(values)), values, color=COLOURS[0])
    step = max(1, len(names) // 9)
    left.set_xticks(range(0, len(names), step), [names[order[i]] for i in range(0, len(names), step)], rotation=60)
    left.set(ylabel="P(sequence)", title="likeliest first")
    left.grid(axis="x", visible=False)
    curve(right, list(range(1, len(values) + 1)), np.cumsum(values).tolist(), 0, "running sum")
    right.axhline(1, color="black", linestyle=":")
    right.set(xlabel="sequences counted", ylabel="sum of P", ylim=(0, 1.05), title="together they are certain")
    return fig


def training_curve(losses: Sequence[float], levels: Mapping[str, float]) -> Figure:
    """The loss at each step, with horizontal lines for the losses that it should be compared with."""
    fig, (ax,) = figure(7.0, 3.2)
    curve(ax, list(range(1, len(losses) + 1)), list(losses), 0, "loss of the batch")
    for number, (name, level) in enumerate(levels.items(), start=1):
        ax.axhline(
            level, color=COLOURS[number], linestyle=("--", "-.", ":")[(number - 1) % 3], label=f"{name}: {level:.2f}"
        )
    ax.set(xlabel="step", ylabel="loss (nats per token)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def horizontal_bars(values: Mapping[str, float], *, xlabel: str, digits: int = 2) -> Figure:
    """Named numbers as horizontal bars from top to bottom, each labelled with its value."""
    fig, (ax,) = figure(7.0, 0.45 * len(values) + 0.9)
    bars = ax.barh(list(values), list(values.values()), color=COLOURS[0])
    ax.bar_label(bars, fmt=f"%.{digits}f", padding=3)
    ax.set_xlim(0, 1.12 * max(values.values()))
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    ax.grid(axis="y", visible=False)
    return fig


def surprise(tokens: Sequence[str], bits: Mapping[str, Sequence[float]]) -> Figure:
    """Surprisal in bits of each token of one text, one row of bars for each model."""
    fig, axes = figure(0.27 * len(tokens) + 1.5, 1.9 * len(bits) + 0.6, rows=len(bits), sharex=True)
    for number, (ax, (name, values)) in enumerate(zip(axes, bits.items())):
        checks.same_length(**{"tokens": tokens, name: values})
        ax.bar(range(len(tokens)), values, color=COLOURS[number % len(COLOURS)])
        ax.set(title=name, ylabel="bits")
        ax.grid(axis="x", visible=False)
    axes[-1].set_xticks(range(len(tokens)), tokens, rotation=90)
    return fig
