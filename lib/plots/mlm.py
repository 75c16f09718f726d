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
    ax.margins(y=0.12)
    ax.set(xlabel="corrupted (%)", ylabel="held-out loss at 15 % [MASK]\n(nats per token)", xlim=(5, 48))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def ranks(shares: Mapping[str, tuple[float, float]]) -> Figure:
    """How often each method puts the hidden word first, and among its first five: two bars a method, shares from 0 to 1.

    Raises ValueError where there is no method.
    """
    checks.not_empty(shares=list(shares))
    fig, (ax,) = figure(7.0, 0.7 * len(shares) + 0.9)
    for number, (name, shift) in enumerate((("rank 1", -0.2), ("rank 1 to 5", 0.2))):
        values = [100 * each[number] for each in shares.values()]
        places = [place + shift for place in range(len(values))]
        bars = ax.barh(
            places, values, 0.38, color=COLOURS[number], hatch=("", "//")[number], edgecolor="white", label=name
        )
        ax.bar_label(bars, fmt="%.1f %%", padding=3, fontsize=9)
    ax.set_yticks(range(len(shares)), list(shares))
    ax.set(xlabel="hidden words found (%)", xlim=(0, None))
    ax.margins(x=0.12)
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def questions(losses: Mapping[str, Mapping[str, Sequence[float]]], levels: Mapping[str, float]) -> Figure:
    """Held-out losses, a panel for each question and a row for each design: a dot for each run, and the mean in numbers.

    `losses` holds a question's designs with their runs, `levels` a question's level without reading (a dotted line).
    All panels have one scale, from 0. Raises ValueError where there is no question, or a design has no run.
    """
    checks.not_empty(losses=list(losses))
    designs = list(next(iter(losses.values())))
    fig, axes = figure(9.0, 0.45 * len(designs) + 1.3, columns=len(losses), sharex=True, sharey=True)
    for number, (ax, (question, rows)) in enumerate(zip(axes, losses.items())):
        for place, (name, runs) in enumerate(rows.items()):
            checks.not_empty(**{f"losses[{question!r}][{name!r}]": list(runs)})
            ax.plot(runs, [place] * len(runs), MARKERS[number], color=COLOURS[number], alpha=0.7, clip_on=False)
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # the number is legible where the line runs
            beside = {"textcoords": "offset points", "va": "center", "fontsize": 9, "bbox": paper}
            ax.annotate(f"{np.mean(runs):.2f}", (max(runs), place), (8, 0), **beside)
        ax.axvline(levels[question], color="black", linestyle=":")
        ax.set_title(f"{question}\n(dotted: {levels[question]:.2f})", fontsize=10)
        ax.set_xlabel("nats per token")
        ax.margins(x=0.3)
    axes[0].set_xlim(0, None)
    axes[0].set_yticks(range(len(designs)), designs)
    axes[0].invert_yaxis()
    return fig
