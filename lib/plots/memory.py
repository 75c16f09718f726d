"""Figures of notebook 15: what fills a GPU's memory, by training recipe, batch size and text length."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure

Number = float | int
HATCHES = ("", "//", "..", "\\\\", "xx", "oo", "--")
PARTS = ("weights", "gradients", "optimizer", "master", "activations", "kv_cache")
"""The parts of a memory budget; each has the same colour in all figures."""


def stacked_bars(
    bars: Mapping[str, Mapping[str, Number]],
    *,
    xlabel: str,
    limits: Mapping[str, Number] | None = None,
    digits: int = 0,
    width: Number = 7.4,
) -> Figure:
    """Horizontal bars, each a sum of named parts in one unit, with its total written at the end.

    A part has the same colour and hatching in all bars, and `PARTS` in all figures. Parts that are zero everywhere
    are left out. `limits`, such as the memory of a GPU, are drawn as vertical lines.
    """
    limits = limits or {}
    there = {name: None for parts in bars.values() for name, value in parts.items() if value}
    others = [name for name in there if name not in PARTS]
    fig, (ax,) = figure(width, 0.42 * len(bars) + 1.3 + 0.25 * bool(limits))
    left = dict.fromkeys(bars, 0.0)
    for number, name in enumerate([*PARTS, *others]):
        if name not in there:
            continue
        values = [parts.get(name, 0) for parts in bars.values()]
        look = {"color": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number % len(HATCHES)]}
        ax.barh(list(bars), values, left=list(left.values()), label=name, edgecolor="white", **look)
        left = {bar: start + value for (bar, start), value in zip(left.items(), values)}
    most = max([*left.values(), *limits.values()])
    for bar, total in left.items():
        ax.text(total + 0.01 * most, bar, f"{total:,.{digits}f}", va="center")
    _draw_limits(ax, limits)
    ax.set(xlabel=xlabel, xlim=(0, 1.12 * most))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside lower center", ncols=min(len(there), 5), frameon=False)
    return fig


def _draw_limits(ax: Axes, limits: Mapping[str, Number]) -> None:
    """Vertical lines with their names above the plot."""
    for name, value in limits.items():
        ax.axvline(value, color="black", linestyle=":")
        ax.text(value, 1.01, name, ha="center", va="bottom", fontsize=9, transform=ax.get_xaxis_transform())


def predicted_and_measured(
    points: Mapping[str, Sequence[tuple[Number, Number]]], *, unit: str, margin: Number = 0.1
) -> Figure:
    """(predicted, measured) of several series on logarithmic axes, with the line of equality and a ± `margin` band."""
    fig, (ax,) = figure(5.6, 3.6)
    every = [value for series in points.values() for pair in series for value in pair]
    ends = [min(every) / 1.5, max(every) * 1.5]
    ax.fill_between(
        ends,
        [(1 - margin) * end for end in ends],
        [(1 + margin) * end for end in ends],
        color="0.88",
        label=f"within {margin:.0%}",
    )
    ax.plot(ends, ends, color="black", linestyle=":", label="equal")
    for number, (name, series) in enumerate(points.items()):
        curve(ax, *zip(*series), number, name, marker=True, linestyle="none")
    ax.set(xscale="log", yscale="log", xlabel=f"predicted ({unit})", ylabel=f"measured ({unit})")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return fig


def growing(
    x: Sequence[Number],
    curves: Mapping[str, Sequence[Number]],
    level: tuple[str, Number],
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """Curves on logarithmic axes (x to base 2), with one dashed horizontal line that they may cross."""
    fig, (ax,) = figure(7.4, 3.4)
    for number, (name, values) in enumerate(curves.items()):
        curve(ax, x, values, number, name, marker=True)
    name, value = level
    ax.axhline(value, color="black", linestyle=(0, (6, 3)), linewidth=1.2, label=f"{name}: {value:,.1f}")
    ax.set_xscale("log", base=2)
    ax.set(yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.set_xticks(list(x), [f"{int(value):,}" for value in x], rotation=45)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return fig
