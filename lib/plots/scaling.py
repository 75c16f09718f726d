"""Figures of notebook 09: growth of models, scaling laws, our own runs, how to spend a budget."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

from lib.accounting.arrays import Numbers
from lib.plots.figure import COLOURS, curve, figure, heatmap

Number = float | int
Points = Sequence[tuple[str, Number, Number]]  # label, x, y
Series = Mapping[str, tuple[Numbers, Numbers]]  # name: x, y

LOG_TICKS = {"xscale": "log", "yscale": "log"}


def model_growth(families: Mapping[str, Points], *, misprints: Points = (), left: Sequence[str] = ()) -> Figure:
    """Parameters against the year, one marker per family; labels named in `left` are drawn left of their point.

    `misprints` are hollow markers: wrong sizes that a slide prints.
    """
    fig, (ax,) = figure(7.6, 4.4)
    for number, (family, models) in enumerate(families.items()):
        _, years, sizes = zip(*models)
        curve(ax, years, sizes, number, family, marker=True, linestyle="none")
    if misprints:
        _, years, sizes = zip(*misprints)
        hollow = {"marker": "o", "linestyle": "none", "markersize": 8}
        ax.plot(years, sizes, markerfacecolor="none", color=COLOURS[3], label="misprint", **hollow)
    for label, year, size in [*(model for models in families.values() for model in models), *misprints]:
        side, ha = (-7, "right") if label in left else (7, "left")
        place = {"xytext": (side, 0), "textcoords": "offset points", "ha": ha, "va": "center"}
        ax.annotate(label, (year, size), fontsize=8, **place)
    ax.set(yscale="log", ylabel="parameters", xlabel="year")
    ax.margins(x=0.16)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="upper left")
    return fig


def emergence(sizes: Numbers, p: Numbers, length: int, marks: Mapping[str, Number]) -> Figure:
    """The probability of one right token and of `length` right tokens in a row, by model size; models marked."""
    fig, (ax,) = figure(7.0, 3.2)
    curve(ax, sizes, p, 0, "p: one token right")
    curve(ax, sizes, np.asarray(p) ** length, 3, f"p to the {length}: all {length} right")
    for name, size in marks.items():
        ax.axvline(size, color="0.6", linewidth=0.8)
        ax.text(size, 1.02, name, ha="center", va="bottom", fontsize=9)
    ax.set(xscale="log", xlabel="parameters", ylabel="probability", ylim=(0, 1))
    ax.legend(loc="upper left")
    return fig


def three_laws(laws: Mapping[str, tuple[Callable, Number, Number]]) -> Figure:
    """Slide T08: one panel for each law(x) between two x, with the key as its x label and a shared y axis."""
    fig, axes = figure(8.0, 3.0, columns=len(laws), sharey=True)
    for number, (ax, (name, (law, low, high))) in enumerate(zip(axes, laws.items())):
        x = np.geomspace(low, high, 50)
        curve(ax, x, law(x), number, name)
        ax.set(xlabel=name, **LOG_TICKS)
    _plain_losses(axes[0], (2, 3, 4, 5, 6))
    axes[0].set_ylabel("test loss (nats per token)")
    return fig


def penalty(D: Numbers, curves: Mapping[str, Numbers], points: Points) -> Figure:
    """L(N, D)/L(N, ∞) against D, one curve per size, with arrows from each named point to the next."""
    fig, (ax,) = figure(7.0, 3.3)
    for number, (name, values) in enumerate(curves.items()):
        curve(ax, D, values, number, name)
    for (_, x0, y0), (_, x1, y1) in pairwise(points):
        ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": "0.3"})
    for number, (label, x, y) in enumerate(points):
        ax.plot(x, y, "o", color="black", markersize=5)
        # An arrow to the upper right begins at the first point.
        place = {"xytext": (6, 6)} if number else {"xytext": (-6, -12), "ha": "right"}
        ax.annotate(label, (x, y), textcoords="offset points", fontsize=9, **place)
    ax.set(xscale="log", xlabel="tokens D", ylabel="loss over loss with endless data")
    ax.legend()
    return fig


def runs(by_data: Series, by_size: Series, levels: Mapping[str, Number]) -> Figure:
    """Mean losses of a sweep on logarithmic axes: against N for each amount of text, and against D for some sizes.

    `levels` are losses to compare with, drawn as horizontal lines in both panels.
    """
    fig, axes = figure(8.2, 3.9, columns=2, sharey=True)
    for ax, series, title in zip(axes, (by_data, by_size), ("tokens", "parameters")):
        for number, (name, (x, y)) in enumerate(series.items()):
            curve(ax, x, y, number, name, marker=True)
        for name, level in levels.items():
            ax.axhline(level, color="black", linestyle=":", linewidth=1)
            where = ax.get_yaxis_transform()
            ax.text(0.99, level, name, transform=where, ha="right", va="bottom", fontsize=8)
        ax.set(**LOG_TICKS)
        ax.legend(title=title, fontsize=8, loc="lower left")
    axes[0].set(xlabel="parameters N, without embeddings", ylabel="held-out loss (nats per token)")
    axes[1].set_xlabel("tokens D")
    _plain_losses(axes[0], (3, 3.5, 4, 4.5, 5, 5.5))
    return fig


def residuals(maps: Mapping[str, Numbers], rows: list[str], columns: list[str]) -> Figure:
    """Measured against predicted loss, in percent, for each size (rows) and amount of text (columns), per law."""
    fig, axes = figure(8.4, 3.8, columns=len(maps), sharey=True)
    most = max(np.abs(values).max() for values in maps.values())
    for ax, (name, values) in zip(axes, maps.items()):
        image = heatmap(ax, values, rows, columns, title=name, numbers="+.1f", norm=CenteredNorm(0, most))
        image.set_cmap("RdBu_r")
        for text in ax.texts:
            text.set_color("black" if abs(float(text.get_text())) < 0.65 * most else "white")
        ax.set_xlabel("tokens D")
    axes[0].set_ylabel("parameters N")
    return fig


def allocation_plane(
    loss: Callable, N: Numbers, D: Numbers, measured: Sequence[tuple[Number, Number]],
    path: tuple[Numbers, Numbers], budgets: Sequence[Number],
) -> Figure:  # fmt: skip
    """Contours of loss(N, D), lines of equal 6ND, the best (N, D) along `path`, and measured runs."""
    fig, (ax,) = figure(6.8, 4.2)
    heights = loss(np.array(N)[None], np.array(D)[:, None])
    contours = ax.contour(N, D, heights, levels=10, colors="0.55", linewidths=1)
    ax.clabel(contours, fontsize=8, fmt="%.1f")
    for budget in budgets:
        line = budget / 6 / np.asarray(N, dtype=float)
        ax.plot(N, line, color=COLOURS[4], linestyle=":", linewidth=1.2)
        inside = np.flatnonzero((line < D[-1]) & (line > D[0]))
        name = f" $10^{{{np.log10(budget):.3g}}}$"
        ax.text(N[inside[0]], line[inside[0]], name, color=COLOURS[0], va="top")
    ax.plot(*zip(*measured), "s", color=COLOURS[1], markersize=4, label="our runs")
    ax.plot(*path, color=COLOURS[3], linewidth=2, label="best for each budget")
    ax.plot([], [], color=COLOURS[4], linestyle=":", label="equal FLOPs, 6ND")
    ax.set(xlabel="parameters N", ylabel="tokens D", xlim=(N[0], N[-1]), ylim=(D[0], D[-1]), **LOG_TICKS)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def efficiency_and_transfer(needed: Series, transfer: Series, *, home: str, elsewhere: str) -> Figure:
    """Slide T10: tokens needed to reach given losses, by size; loss on another kind of text against that on our own.

    A curve of `needed` is named by its loss, a cloud of `transfer` by the training tokens of its runs.
    """
    fig, (left, right) = figure(8.4, 3.8, columns=2)
    for number, (name, (x, y)) in enumerate(needed.items()):
        curve(left, x, y, number, name, marker=True)
    left.set(xlabel="parameters N", ylabel="tokens needed", title="to reach a training loss", **LOG_TICKS)
    ticks = (100_000, 200_000, 500_000, 1_000_000)
    left.set_yticks(ticks, [f"{tick // 1000:,}k" for tick in ticks])
    left.set_yticks([], minor=True)
    left.legend(title="loss", fontsize=8, loc="upper right")
    for number, (name, (x, y)) in enumerate(transfer.items()):
        curve(right, x, y, number, name, marker=True, linestyle="none", markersize=4)
    right.set(xlabel=home, ylabel=elsewhere, title="loss here and elsewhere")
    right.legend(title="tokens", fontsize=8, loc="upper left")
    return fig


def extrapolation(
    seen: tuple[Numbers, Numbers], unseen: tuple[Numbers, Numbers],
    predictions: Series, *, xlabel: str,
) -> Figure:  # fmt: skip
    """Runs that a law was fitted to, held-out runs, and the predictions of several laws for both."""
    fig, (ax,) = figure(7.4, 3.6)
    for number, (name, (x, y)) in enumerate(predictions.items()):
        curve(ax, x, y, number, name)
    ax.plot(*seen, "o", color="black", markersize=5, label="fitted to these")
    ax.plot(*unseen, "o", markerfacecolor="white", color="black", markersize=5, label="kept back")
    ax.set(xlabel=xlabel, ylabel="held-out loss (nats per token)", **LOG_TICKS)
    _plain_losses(ax, (2.5, 3, 3.5, 4, 4.5))
    ax.legend(loc="lower left")
    return fig


def _plain_losses(ax: Axes, ticks: Sequence[Number]) -> None:
    """Write losses as decimals on a logarithmic axis, instead of 3 × 10⁰."""
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)
