"""Figures of lecture 08: what is put right in a spoilt text, and models beside the best that was known."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure


def intervals(groups: Mapping[str, Mapping[str, tuple[float, float, float]]], unit: str) -> Figure:
    """Groups of rows under a heading; each row is (estimate, low, high): a dot, its interval, the estimate in figures."""
    fig, (ax,) = figure(7.2, 0.42 * sum(len(rows) + 1 for rows in groups.values()) + 0.7)
    names, place = [], 0
    for number, (heading, rows) in enumerate(groups.items()):
        ax.annotate(heading, (0, place), (4, 0), textcoords="offset points", va="center", weight="bold", fontsize=9)
        names.append("")
        for name, (estimate, low, high) in rows.items():
            place += 1
            names.append(name)
            ax.plot([low, high], [place, place], color=COLOURS[number], linewidth=2)
            ax.plot(estimate, place, "o", color=COLOURS[number])
            ax.annotate(
                f"{estimate:.1f}", (estimate, place), (0, 6), textcoords="offset points", ha="center", fontsize=9
            )
        place += 1
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=unit, xlim=(0, None), ylim=(len(names) - 0.5, -0.7))
    ax.grid(axis="y", visible=False)
    return fig


def against_best(sizes: Sequence[str], panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Points above or below the best result known before, for models of growing size; one panel each, 0 is that best."""
    fig, axes = figure(3.2 * len(panels), 3.2, columns=len(panels))
    for ax, (title, curves) in zip(axes, panels.items()):
        ax.axhline(0, color="black", linewidth=1)
        for number, (name, points) in enumerate(curves.items()):
            curve(ax, range(len(sizes)), points, number, name, marker=True)
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(title=title, xlabel="T5")
        ax.legend(fontsize=8)
    axes[0].set_ylabel("points above the previous best")
    return fig
