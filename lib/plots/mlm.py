"""Figures of notebook 04: what masking does to a text, the objective, training, the masking rate."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, MARKERS, curve, figure


def gap_guesses(panels: Mapping[str, Sequence[tuple[str, float]]]) -> Figure:
    """The likeliest tokens of each sentence's gap, as horizontal bars: two panels a row, all on the scale from 0 to 1.

    Raises ValueError where there is no panel, or a panel has no guess.
    """
    checks.not_empty(panels=list(panels))
    rows = -(-len(panels) // 2)
    fig, axes = figure(8.2, 1.8 * rows, columns=2, rows=rows)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    for place, (sentence, guesses) in enumerate(panels.items()):
        checks.not_empty(**{f"panels[{sentence!r}]": list(guesses)})
        ax = axes[place]
        tokens, values = zip(*guesses)
        bars = ax.barh(range(len(tokens)), values, color=COLOURS[0])
        ax.bar_label(bars, fmt="%.2f", padding=3, fontsize=9)
        ax.set_yticks(range(len(tokens)), tokens, family="monospace", fontsize=9)
        ax.set(xlim=(0, 1.15), xticks=[0, 0.5, 1])
        ax.set_title(sentence.replace("[MASK]", "▢"), fontsize=10, loc="left")
        ax.grid(axis="y", visible=False)
        ax.invert_yaxis()
        if place >= len(panels) - 2:
            ax.set_xlabel("probability")
    return fig


def two_runs(panels: Mapping[str, Mapping[str, tuple[Sequence[int], Sequence[float]]]], level: float) -> Figure:
    """Curves of several runs, a panel for each way to measure them, with the unigram level as a dotted line in the last.

    The level belongs to a loss at gaps. A loss that also asks about tokens that can be read has another one.
    """
    fig, axes = figure(7.8, 3.2, columns=len(panels), sharey=True)
    for ax, (title, runs) in zip(axes, panels.items()):
        for number, (name, (steps, losses)) in enumerate(runs.items()):
            curve(ax, steps, losses, number, name)
        ax.set(title=title, xlabel="update", ylim=(0, None))
    axes[-1].axhline(level, color="black", linestyle=":", label=f"unigram: {level:.2f}")
    axes[0].set_ylabel("loss (nats per token)")
    axes[-1].legend(loc="lower left")
    return fig


def designs(runs: Mapping[tuple[int, int], Sequence[float]], level: float) -> Figure:
    """Held-out losses of designs (per cent corrupted, per cent predicted): a dot for each run, a line for the means.

    Corruption goes from left to right, and each predicted share has a line of its own. Raises ValueError where there is
    no design, or one has no run.
    """
    checks.not_empty(runs=list(runs))
    fig, (ax,) = figure(7.0, 3.4)
    for number, predicted in enumerate(sorted({predicted for _, predicted in runs})):
        row = sorted((corrupted, losses) for (corrupted, asked), losses in runs.items() if asked == predicted)
        for corrupted, losses in row:
            checks.not_empty(**{f"runs[{(corrupted, predicted)}]": list(losses)})
            ax.plot([corrupted] * len(losses), losses, MARKERS[number], color=COLOURS[number], alpha=0.7)
        means = [float(np.mean(losses)) for _, losses in row]
        curve(ax, [corrupted for corrupted, _ in row], means, number, f"{predicted} % predicted")
        for (corrupted, _), mean in zip(row, means):
            ax.annotate(f"{mean:.2f}", (corrupted, mean), (8, -14), textcoords="offset points", fontsize=10)
    ax.axhline(level, color="black", linestyle=":", label=f"unigram: {level:.2f}")
    ax.set(xlabel="corrupted (%)", ylabel="held-out loss at 15 % [MASK]\n(nats per token)", xlim=(5, 48))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
