"""Figures of lecture 08: what is put right in a spoilt text, and models beside the best that was known."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure


def intervals(rows: Mapping[str, tuple[float, float, float]], unit: str) -> Figure:
    """One line for each name with (estimate, low, high): a dot, the interval, and the estimate in figures."""
    fig, (ax,) = figure(7.2, 0.45 * len(rows) + 0.8)
    for place, (estimate, low, high) in enumerate(rows.values()):
        ax.plot([low, high], [place, place], color=COLOURS[0], linewidth=2)
        ax.plot(estimate, place, "o", color=COLOURS[0])
        ax.annotate(f"{estimate:.1f}", (estimate, place), (0, 6), textcoords="offset points", ha="center", fontsize=9)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlabel=unit, xlim=(0, None), ylim=(len(rows) - 0.5, -0.7))
    ax.grid(axis="y", visible=False)
    return fig


def against_best(sizes: Sequence[str], panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Points above or below the best result known before, for models of growing size; one panel each, 0 is that best."""
    fig, axes = figure(8.4, 3.2, columns=len(panels))
    for ax, (title, curves) in zip(axes, panels.items()):
        ax.axhline(0, color="black", linewidth=1)
        for number, (name, points) in enumerate(curves.items()):
            curve(ax, range(len(sizes)), points, number, name, marker=True)
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(title=title, xlabel="T5", ylabel="points above the previous best")
        ax.legend(fontsize=8)
    return fig
