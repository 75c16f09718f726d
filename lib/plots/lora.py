"""Figures of notebook 14: accuracies of the ways to fine-tune against learning rate, dimension and trained numbers."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, curve, figure

ALONE = ("D", "v", "P", "X", "*", "<", "h")  # marks of series that are a single point


def learning_rates(rates: Sequence[float], accuracies: Mapping[str, Sequence[float]], chance: float) -> Figure:
    """Held-out accuracy of each method against its learning rate, with the level of chance."""
    fig, (ax,) = figure(7.2, 3.3)
    for number, (name, values) in enumerate(accuracies.items()):
        curve(ax, list(rates), list(values), number, name, marker=True)
    _level(ax, "chance", chance)
    ax.set_xscale("log")
    ax.set_xticks(list(rates), [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set(xlabel="learning rate", ylabel="validation accuracy", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def by_dimension(
    sizes: Sequence[int], accuracies: Sequence[Sequence[float]], levels: Mapping[str, float], xlabel: str
) -> Figure:
    """Accuracy against the number of trained numbers or the rank: a dot per seed, a line through the means, levels."""
    fig, (ax,) = figure(7.4, 3.5)
    _dots(ax, list(sizes), accuracies)
    ax.plot(
        list(sizes), [sum(values) / len(values) for values in accuracies], color=COLOURS[0], label="mean of the seeds"
    )
    for name, level in levels.items():
        _level(ax, name, level)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(sizes), [f"{size:,}" for size in sizes], rotation=30 if max(sizes) > 999 else 0)
    ax.set(xlabel=xlabel, ylabel="test accuracy", ylim=(0, None))
    return fig


def by_trained(
    series: Mapping[str, Sequence[tuple[int, Sequence[float]]]], levels: Mapping[str, float], joined: int = 2
) -> Figure:
    """Accuracy against the number of trained numbers, logarithmic; (numbers, accuracies of the seeds) for each point.

    The means of the first `joined` series are joined by lines; the others are black marks. A faint dot per seed.
    """
    fig, (ax,) = figure(8.2, 5.2)
    for number, (name, points) in enumerate(series.items()):
        sizes, means = [size for size, _ in points], [sum(values) / len(values) for _, values in points]
        alone = number >= joined
        if alone:
            ax.plot(sizes, means, ALONE[number % len(ALONE)], color="black", markersize=7, label=name)
        else:
            curve(ax, sizes, means, number, name, marker=True)
        colour = "black" if alone else COLOURS[number % len(COLOURS)]
        for size, values in points:
            ax.plot([size] * len(values), list(values), "o", color=colour, alpha=0.25, markersize=3, markeredgewidth=0)
    for name, level in levels.items():
        _level(ax, name, level)
    ax.set_xscale("log")
    ax.set_ylim(
        min([*levels.values(), *(min(values) for points in series.values() for _, values in points)]) - 0.02, None
    )
    ax.set(xlabel="trained numbers (head not counted)", ylabel="test accuracy")
    ax.legend(loc="upper left", fontsize=8.5)
    return fig


def _dots(ax: Axes, places: Sequence[int], accuracies: Sequence[Sequence[float]]) -> None:
    for place, values in zip(places, accuracies, strict=True):
        ax.plot([place] * len(values), list(values), "o", color=COLOURS[0], alpha=0.45, markersize=5, markeredgewidth=0)


def _level(ax: Axes, name: str, level: float) -> None:
    ax.axhline(level, color="0.45", linestyle="--", linewidth=1)
    ax.annotate(
        name,
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=9,
        color="0.3",
        va="center",
        annotation_clip=False,
    )
