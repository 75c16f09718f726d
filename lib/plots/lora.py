"""Figures of notebook 14: numbers of trained parameters, errors of low-rank approximation, costs of five methods."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure


def trained_numbers(printed: Mapping[str, float], counted: Mapping[str, float]) -> Figure:
    """Trained parameters of each method on a logarithmic axis, as printed and as counted."""
    fig, (ax,) = figure(7.4, 0.46 * len(printed) + 1.0)
    rows = range(len(printed))
    ax.barh([row - 0.2 for row in rows], list(printed.values()), 0.36, color=COLOURS[4], label="slide W28")
    ax.barh([row + 0.2 for row in rows], [counted[name] for name in printed], 0.36, color=COLOURS[0], label="counted")
    ax.set_yticks(rows, list(printed))
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlim(1, 100)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("trained parameters (millions)")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def rank_errors(errors: Mapping[str, Sequence[float]], ranks: Sequence[int]) -> Figure:
    """The error of the best approximation of rank r of each matrix, against r."""
    fig, (ax,) = figure(7.0, 3.2)
    for number, (name, values) in enumerate(errors.items()):
        curve(ax, list(ranks), list(values), number, name, marker=True)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(ranks), [str(rank) for rank in ranks])
    ax.set(xlabel="rank r", ylabel="share of the norm that is missed", ylim=(0, 1.05))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def five_metrics(values: Mapping[str, Mapping[str, float]]) -> Figure:
    """One panel per metric, one bar per method; shorter is better in all panels."""
    methods = list(next(iter(values.values())))
    fig, axes = figure(2.35 * len(values), 0.4 * len(methods) + 1.3, columns=len(values), sharey=True)
    for ax, (metric, by_method) in zip(axes, values.items()):
        if list(by_method) != methods:
            raise ValueError(f"{metric} must have the methods {', '.join(methods)}, got {', '.join(by_method)}")
        bars = ax.barh(methods, list(by_method.values()), color=COLOURS[: len(methods)])
        ax.bar_label(bars, fmt=lambda value: f"{value:,.0f}" if value >= 100 else f"{value:.3g}", padding=2, fontsize=8)
        ax.set_xlim(0, 1.4 * max(by_method.values()) or 1)
        ax.set_title(metric, fontsize=9)
        ax.set_xticks([])
        ax.grid(visible=False)
    axes[0].invert_yaxis()
    return fig
