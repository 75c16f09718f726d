"""Figures of notebook 06: texts that sum to 1, training curves, bits per byte, surprisal per token."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, curve, figure


def finished_and_open(finished: Sequence[float], unfinished: Sequence[float]) -> Figure:
    """The probability of all texts that have ended after 0, 1, 2 … words, stacked with that of all that have not."""
    checks.same_length(finished=finished, unfinished=unfinished)
    fig, (ax,) = figure(7.0, 3.0)
    places = range(len(finished))
    ax.bar(places, finished, color=COLOURS[2], label="ended")
    ax.bar(places, unfinished, bottom=finished, color="0.85", hatch="///", edgecolor="0.6", label="not ended yet")
    ax.axhline(1, color="black", linestyle=":")
    ax.set_xticks(list(places))
    ax.set(xlabel="words, at most", ylabel="sum of P over these texts", ylim=(0, 1.05))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def held_out_curves(runs: Mapping[str, tuple[Sequence[int], Sequence[float]]], levels: Mapping[str, float]) -> Figure:
    """The held-out loss of each run against the tokens it has read (thousands, logarithmic), with reference levels."""
    fig, (ax,) = figure(7.4, 3.6)
    for number, (name, (tokens, losses)) in enumerate(runs.items()):
        curve(ax, [count / 1000 for count in tokens], list(losses), number, name, marker=True)
    for (name, level), line in zip(levels.items(), ("--", "-.", ":"), strict=False):
        ax.axhline(level, color="0.35", linestyle=line, label=f"{name}: {level:.2f}")
    ax.set_xscale("log")
    ax.set_xticks([30, 100, 300, 1000, 3000], ["30", "100", "300", "1,000", "3,000"])
    ax.set(xlabel="thousands of tokens read in training", ylabel="held-out loss (nats per token)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def bits_by_context(words: Sequence[int], bits: Mapping[str, Sequence[float]]) -> Figure:
    """Bits per byte of one text against the words of context before it, a curve for each model (NaN: not measured)."""
    fig, (ax,) = figure(7.0, 3.2)
    for number, (name, values) in enumerate(bits.items()):
        checks.same_length(**{"words": words, name: values})
        curve(ax, list(range(len(words))), list(values), number, name, marker=True)
    ax.set_xticks(range(len(words)), [str(count) for count in words])
    ax.set(xlabel="words of context before the text", ylabel="bits per byte", ylim=(0, None))
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


def surprise(tokens: Sequence[str], bits: Mapping[str, Sequence[float]], boundary: int | None = None) -> Figure:
    """Surprisal in bits of each token of one text, a row of bars for each model; a dashed line before token `boundary`."""
    if boundary is not None and not 0 <= boundary <= len(tokens):
        raise ValueError(f"boundary must be from 0 to the number of tokens, {len(tokens)}, got {boundary}")
    fig, axes = figure(0.27 * len(tokens) + 1.5, 1.9 * len(bits) + 0.6, rows=len(bits), sharex=True)
    for number, (ax, (name, values)) in enumerate(zip(axes, bits.items())):
        checks.same_length(**{"tokens": tokens, name: values})
        ax.bar(range(len(tokens)), values, color=COLOURS[number % len(COLOURS)])
        if boundary is not None:
            ax.axvline(boundary - 0.5, color="0.35", linestyle="--")
        ax.set(title=name, ylabel="bits")
        ax.grid(axis="x", visible=False)
    axes[-1].set_xticks(range(len(tokens)), tokens, rotation=90)
    return fig
