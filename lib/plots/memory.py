"""Figures of notebook 15: what fills a GPU's memory, by training recipe, batch size and text length, and when."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import checks
from lib.plots.figure import COLOURS, MARKERS, curve, figure

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
        ax.text(total + 0.01 * most, bar, f"{total:,.{digits}f}", va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
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


def uses(needs: Mapping[str, Mapping[str, Number]], *, xlabel: str, limits: Mapping[str, Number]) -> Figure:
    """One row for each model, on a logarithmic axis, with a mark for each of its uses; the `limits` are vertical lines.

    A use has the same mark in all rows. Raises ValueError where a row lacks a use of the first.
    """
    names = list(next(iter(needs.values())))
    fig, (ax,) = figure(8.0, 0.36 * len(needs) + 1.5)
    for number, name in enumerate(names):
        sizes = [row[checks.one_of(f"use of {model}", name, row)] for model, row in needs.items()]
        look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        ax.plot(sizes, list(needs), linestyle="none", markersize=7, label=name, **look)
    ax.set(xscale="log", xlabel=xlabel)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.invert_yaxis()
    _draw_limits(ax, limits)
    fig.legend(loc="outside lower center", ncols=len(names), frameon=False, columnspacing=1.0, handletextpad=0.2)
    return fig


def growing(
    x: Sequence[Number],
    curves: Mapping[str, Sequence[Number]],
    level: tuple[str, Number],
    *,
    xlabel: str,
    ylabel: str,
    linear: bool = False,
) -> Figure:
    """Curves with one dashed horizontal line that they may cross; where one does from below, its x is written.

    The axes are logarithmic (x to base 2), or with `linear` begin at zero.
    """
    fig, (ax,) = figure(7.4, 3.4)
    for number, (name, values) in enumerate(curves.items()):
        curve(ax, x, values, number, name, marker=True)
    name, value = level
    ax.axhline(value, color="black", linestyle=(0, (6, 3)), linewidth=1.2, label=f"{name}: {value:,.1f}")
    if linear:
        ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, None), ylim=(0, None))
    else:
        ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        _mark_crossings(ax, x, curves.values(), value)
    ax.set_xticks(list(x), [f"{int(value):,}" for value in x], rotation=45)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return fig


def _mark_crossings(ax: Axes, x: Sequence[Number], curves: Iterable[Sequence[Number]], level: Number) -> None:
    """A ring where a curve first rises above the level, and its x, found on the line between two points (log-log)."""
    for values in curves:
        for (left, low), (right, high) in pairwise(zip(x, values, strict=True)):
            if low <= level < high:
                at = left * (right / left) ** (math.log(level / low) / math.log(high / low))
                ax.plot(at, level, marker="o", markersize=9, color="black", fillstyle="none")
                ax.annotate(f"{math.floor(at) + 1:,}", (at, level), (-6, 5), textcoords="offset points", ha="right",
                            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
                break


def timelines(
    panels: Mapping[str, tuple[Sequence[Number], Sequence[str]]], levels: Mapping[str, Number], *, ylabel: str
) -> Figure:
    """What lives after each operation, one row for each (amounts, phase of each operation); all with the same y axis.

    Phases are named at the foot; those with the same first word have the same background. An open ring marks the most of each
    phase, a dot the peak, with its amount. `levels`, one for each panel, are dashed lines.
    """
    fig, axes = figure(8.0, 0.6 + 2.0 * len(panels), rows=len(panels), sharey=True)
    most = max(max(*amounts, levels.get(name, 0)) for name, (amounts, _) in panels.items())
    for ax, (name, (amounts, phases)) in zip(axes, panels.items()):
        ax.plot(amounts, color=COLOURS[0], linewidth=1.2)
        ax.set(title=name, ylabel=ylabel, ylim=(0, 1.4 * most), xlim=(0, len(amounts)))
        _mark_phases(ax, amounts, phases)
        top = max(range(len(amounts)), key=lambda i: amounts[i])
        ax.plot(top, amounts[top], marker="o", color=COLOURS[3])
        ax.annotate(f"peak {amounts[top]:,.1f}", (top, amounts[top]), (top, 1.36 * most), ha="center", va="top",
                    arrowprops={"arrowstyle": "-", "color": COLOURS[3]})  # fmt: skip
        if name in levels:
            ax.axhline(levels[name], color="black", linestyle="--", linewidth=1.2)
            ax.text(0.005 * len(amounts), levels[name], f"sum {levels[name]:,.1f}", va="bottom")
    axes[-1].set(xlabel="operations of PyTorch, in order")
    return fig


def _mark_phases(ax: Axes, amounts: Sequence[Number], phases: Sequence[str]) -> None:
    """A background for each kind of phase, its name at the foot, and a ring at the most that it reaches."""
    starts = [i for i, name in enumerate(phases) if i == 0 or name != phases[i - 1]]
    kinds = list(dict.fromkeys(name.split()[0] for name in phases))
    for start, end in zip(starts, [*starts[1:], len(phases)]):
        shade = 1 - 0.07 * (kinds.index(phases[start].split()[0]) % 3)
        ax.axvspan(start, end, color=str(shade), zorder=0)
        ax.text((start + end) / 2, 0.02, phases[start], ha="center", va="bottom", fontsize=8,
                transform=ax.get_xaxis_transform())  # fmt: skip
        most = max(range(start, end), key=lambda i: amounts[i])
        ax.plot(most, amounts[most], marker="o", color=COLOURS[3], fillstyle="none")
