"""Figures of notebook 09: scaling laws, our own runs, how to spend a budget."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from lib.accounting.arrays import Numbers
from lib.plots.figure import COLOURS, curve, figure

Number = float | int
Points = Sequence[tuple[str, Number, Number]]  # label, x, y
Series = Mapping[str, tuple[Numbers, Numbers]]  # name: x, y

LOG_TICKS = {"xscale": "log", "yscale": "log"}


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
    axes[0].set(xlabel="parameters N", ylabel="held-out loss (nats per token)")
    axes[1].set_xlabel("tokens D")
    _plain_losses(axes[0], (3, 3.5, 4, 4.5, 5, 5.5))
    return fig


def isoflops(runs: Series, bottoms: tuple[Numbers, Numbers, Numbers], line: tuple[Numbers, Numbers]) -> Figure:
    """Left: loss against N, a parabola in ln N through each budget's runs, its lowest point; right: N_opt against C.

    `runs` have the budgets as names; `bottoms` are C, N_opt and the loss there; `line` is C and N of a power law.
    """
    fig, (left, right) = figure(8.4, 3.8, columns=2)
    C, best, lowest = (np.asarray(column) for column in bottoms)
    for number, (name, (N, loss)) in enumerate(runs.items()):
        n = np.log(N)
        along = np.linspace(n.min(), n.max(), 60)
        curve(left, N, loss, number, f"C = {name}", marker=True, linestyle="none")
        left.plot(np.exp(along), np.polyval(np.polyfit(n, loss, 2), along), color=COLOURS[number], linewidth=1.2)
    left.plot(best, lowest, "*", color="black", markersize=11, label="lowest point")
    left.set(xscale="log", xlabel="parameters N", ylabel="held-out loss (nats per token)")
    _few_sizes(left.xaxis, np.concatenate([np.asarray(N) for N, _ in runs.values()]))
    left.legend(fontsize=8)
    right.plot(C, best, "*", color="black", markersize=11, label="lowest points")
    curve(right, *line, 0, "power law")
    right.set(xlabel="budget C (FLOPs)", ylabel="best size N", **LOG_TICKS)
    _few_sizes(right.yaxis, best)
    right.legend(fontsize=8, loc="upper left")
    return fig


def counted(best: tuple[Numbers, Numbers], lines: Series) -> Figure:
    """Best sizes N' against the budget (C, N'), both counted without the table, and power laws fitted to parts of them."""
    fig, (ax,) = figure(7.4, 3.6)
    ax.plot(*best, color="black", linewidth=5, alpha=0.3, label="best by the law of all parameters")
    for number, (name, (C, N)) in enumerate(lines.items()):
        curve(ax, C, N, number, name)
    ax.set(xlabel="budget 6 N'D, without the table (FLOPs)", ylabel="best size N'", **LOG_TICKS)
    ax.set_ylim(np.min(best[1]) / 3, np.max(best[1]) * 3)
    ax.legend(fontsize=8, loc="upper left")
    return fig


def tokens_per_parameter(C: Numbers, laws: Mapping[str, Numbers], models: Points, right: Sequence[str] = ()) -> Figure:
    """D/N of the best allocation against the budget for several fits, and of models that were trained (label, C, D/N).

    Labels stand left of their point, those named in `right` to the right of it and above.
    """
    fig, (ax,) = figure(7.6, 4.0)
    for number, (name, ratio) in enumerate(laws.items()):
        curve(ax, C, ratio, number, name)
    for label, x, y in models:
        ax.plot(x, y, "o", color="black", markersize=5)
        (side, up), ha = ((7, 7), "left") if label in right else ((-7, 0), "right")
        ax.annotate(label, (x, y), xytext=(side, up), textcoords="offset points", fontsize=9, ha=ha, va="center",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    ax.axhline(20, color="0.6", linewidth=1, linestyle=":", label="20 tokens per parameter")
    ax.set(xlabel="budget C (FLOPs)", ylabel="tokens per parameter D/N", **LOG_TICKS)
    ax.set_yticks((1, 10, 20, 100, 1000), ["1", "10", "20", "100", "1,000"])
    ax.legend(fontsize=8, loc="upper left")
    return fig


def forecasts(said: Mapping[str, tuple[Number, Number, Number]], measured: Numbers) -> Figure:
    """What each method forecast, (low, estimate, high), and the losses that were then measured, as vertical lines."""
    fig, (ax,) = figure(7.4, 0.8 + 0.45 * len(said))
    for place, (low, estimate, high) in enumerate(said.values()):
        ax.plot([low, high], [place, place], color=COLOURS[0], linewidth=3, alpha=0.5)
        ax.plot(estimate, place, "o", color=COLOURS[0], markersize=7)
    for number, loss in enumerate(np.atleast_1d(measured)):
        ax.axvline(loss, color=COLOURS[3], linewidth=1.2, label=None if number else "measured, one line per run")
    ax.set_yticks(range(len(said)), list(said))
    ax.set_ylim(len(said) - 0.5, -0.5)  # the first on top
    ax.set_xlabel("held-out loss of the largest model (nats per token)")
    ax.legend(fontsize=8, loc="upper right")
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
    _plain_losses(ax, (1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5))
    ax.legend(loc="lower left")
    return fig


def envelope(curves: Series, edge: tuple[Numbers, Numbers]) -> Figure:
    """Loss against compute, one thin curve for each size that is trained further and further, and their lower edge."""
    fig, (ax,) = figure(7.4, 3.6)
    for number, (name, (C, loss)) in enumerate(curves.items()):
        curve(ax, C, loss, number, name)
    ax.plot(*edge, color="black", linewidth=4, alpha=0.35, label="lower edge", zorder=1)
    ax.set(xlabel="compute C so far (FLOPs)", ylabel="loss (nats per token)", **LOG_TICKS)
    _plain_losses(ax, (2, 2.5, 3, 4, 5, 6))
    ax.legend(title="parameters", fontsize=8, loc="upper right")
    return fig


def _plain_losses(ax: Axes, ticks: Sequence[Number]) -> None:
    """Write losses as decimals on a logarithmic axis, instead of 3 × 10⁰."""
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks([], minor=True)


def _few_sizes(axis: Axis, sizes: Numbers) -> None:
    """Sizes as plain numbers on a logarithmic axis that spans a few powers of ten at most."""
    low, high = np.nanmin(sizes), np.nanmax(sizes)
    ticks = [size for size in (5e3, 1e4, 2e4, 4e4, 8e4, 1.6e5) if low / 2 < size < 2 * high]
    axis.set_ticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.set_ticks([], minor=True)
