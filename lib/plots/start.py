"""Figures of notebook 00: the next token at several temperatures, and where an answer ends."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, figure


def at_temperatures(tokens: Sequence[str], shares: Mapping[float | int, Sequence[float]]) -> Figure:
    """The probabilities of the same tokens at each temperature: one panel of horizontal bars for each, on one scale.

    Raises ValueError where the number of probabilities is not that of the tokens, or there is no temperature.
    """
    checks.not_empty(shares=list(shares))
    for temperature, values in shares.items():
        checks.same_length(**{"tokens": tokens, f"shares[{temperature}]": values})
    largest = max(max(values) for values in shares.values())
    fig, axes = figure(2.6 * len(shares) + 1.2, 0.36 * len(tokens) + 1.1, columns=len(shares), sharey=True)
    for ax, (temperature, values) in zip(axes, shares.items()):
        bars = ax.barh(range(len(tokens)), values, color=COLOURS[0])
        ax.bar_label(bars, fmt="%.2f", padding=3)
        ax.set(title=f"T = {temperature:g}", xlim=(0, 1.22 * largest), xlabel="probability")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(tokens)), tokens, family="monospace")
    axes[0].invert_yaxis()
    return fig


def chance_of_end(tokens: Sequence[str], chances: Sequence[float]) -> Figure:
    """P(end) after each token of an answer, as bars from left to right; the largest one carries its value.

    Raises ValueError where the two differ in length, or are empty.
    """
    checks.same_length(tokens=tokens, chances=chances)
    checks.not_empty(tokens=tokens)
    fig, (ax,) = figure(max(0.42 * len(tokens) + 1.2, 5.0), 3.2)
    best = max(range(len(chances)), key=lambda i: chances[i])
    colours = [COLOURS[3 if i == best else 0] for i in range(len(chances))]
    ax.bar(range(len(tokens)), chances, color=colours)
    ax.text(best, chances[best] + 0.02, f"{chances[best]:.2f}", ha="center")
    ax.set_xticks(range(len(tokens)), tokens, rotation=60, ha="right", rotation_mode="anchor", family="monospace")
    ax.set(xlabel="the answer, up to and including this token", ylabel="P(end token comes next)", ylim=(0, 1.05))
    ax.grid(axis="x", visible=False)
    return fig
