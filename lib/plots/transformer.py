"""Figures of notebook 02: scores by position, gradients by depth, the size of the residual stream, shares of parameters."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lib import checks
from lib.plots.figure import COLOURS, MARKERS, curve, figure


def position_scores(panels: Mapping[str, Tensor]) -> Figure:
    """Scores (T, T) of queries (rows) with keys (columns), a panel for each kind of positions; blue below 0, red above.

    Each panel has a scale of its own, symmetric about 0, with a colour bar. Raises ValueError unless every matrix is
    square.
    """
    fig, axes = figure(2.9 * len(panels), 4.2, columns=len(panels), sharey=True)
    for ax, (name, scores) in zip(axes, panels.items()):
        checks.shape(name, scores, len(scores), len(scores))
        largest = float(scores.abs().max())
        picture = ax.imshow(scores.numpy(), cmap="RdBu_r", vmin=-largest, vmax=largest)
        fig.colorbar(picture, ax=ax, location="bottom", shrink=0.8, aspect=25)
        ax.set(title=name, xlabel="position of the key")
        ax.grid(False)
    axes[0].set_ylabel("position of the query")
    return fig


def by_depth(runs: Mapping[str, Tensor], depths: Sequence[int], *, ylabel: str, floor: float = 0.0) -> Figure:
    """Values (seeds, depths) on logarithmic axes: a curve through the medians of the seeds, and a point for each seed.

    What is below a `floor` above 0, such as 0, is drawn there. Raises ValueError for values that are negative or not finite.
    """
    fig, (ax,) = figure(6.8, 3.4)
    for number, (name, values) in enumerate(runs.items()):
        checks.shape(name, values, len(values), len(depths))
        if not (values.isfinite() & (values >= 0)).all():
            raise ValueError(f"{name} must be finite and not negative, got {values.flatten().tolist()}")
        drawn = values.clamp_min(floor)
        curve(ax, list(depths), drawn.median(dim=0).values.numpy(), number, name)
        points = {"color": COLOURS[number], "marker": MARKERS[number], "s": 16, "alpha": 0.6}
        ax.scatter(np.tile(depths, len(values)), drawn.flatten().numpy(), **points)
    if floor:
        ax.axhline(floor, color="0.5", linewidth=0.8)
        place = {"textcoords": "offset points", "ha": "right", "fontsize": 8}
        ax.annotate("0, or smaller than this", (max(depths), floor), (-2, 4), **place)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(depths), [str(depth) for depth in depths])
    ax.set_yscale("log")
    ax.set(xlabel="number of blocks", ylabel=ylabel)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return fig


def stream_sizes(sizes: Mapping[str, Sequence[float]]) -> Figure:
    """The root mean square of a vector after each block, from the embedding (0) on, on a logarithmic axis."""
    fig, (ax,) = figure(6.6, 3.0)
    for number, (name, values) in enumerate(sizes.items()):
        curve(ax, range(len(values)), list(values), number, name, marker=True)
    ax.set_yscale("log")
    ax.set(xlabel="after block (0: the embedding)", ylabel="root mean square of a vector")
    ax.legend(frameon=False)
    return fig


def without_one_layer(losses: Mapping[str, Mapping[int, float]], whole: float, chance: float) -> Figure:
    """The loss of a model that lacks one layer, {kind of layer: {block: loss}}, in nats per token.

    Lines show the loss of the `whole` model and that of an even guess, `chance`. Raises ValueError for a loss that is
    not finite.
    """
    fig, (ax,) = figure(6.8, 3.4)
    for number, (name, values) in enumerate(losses.items()):
        if not np.isfinite(list(values.values())).all():
            raise ValueError(f"{name} must be finite, got {values}")
        curve(ax, list(values), list(values.values()), number, name, marker=True)
    for height, words in ((whole, "all parts"), (chance, "guessing evenly")):
        ax.axhline(height, color="0.4", linewidth=0.9, linestyle="--")
        place = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 8}
        ax.annotate(words, (1, height), (-4, -3), xycoords=("axes fraction", "data"), **place)
    ax.set(xlabel="block that lacks the layer", ylabel="loss (nats per token)", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return fig


def parameter_shares(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """One bar for each model, cut into the shares of its parts; a share of 4 % or more is written into it.

    `models` is {model: {part: parameters}}. Raises ValueError if a model has no parameters.
    """
    fig, (ax,) = figure(7.4, 0.55 * len(models) + 1.3)
    parts = list(dict.fromkeys(part for counts in models.values() for part in counts))
    left = np.zeros(len(models))
    totals = np.array([sum(counts.values()) for counts in models.values()], dtype=float)
    if not (totals > 0).all():
        raise ValueError(f"every model must have parameters, got {totals.tolist()}")
    for number, part in enumerate(parts):
        shares = np.array([counts.get(part, 0) for counts in models.values()]) / totals
        bars = ax.barh(list(models), shares, left=left, label=part, color=COLOURS[number], edgecolor="white")
        ink = "black" if COLOURS[number] in ("#E69F00", "#56B4E9", "#CC79A7") else "white"
        labels = [f"{share:.0%}" if share >= 0.04 else "" for share in shares]
        ax.bar_label(bars, labels, label_type="center", color=ink, fontsize=9)
        left += shares
    ax.set(xlabel="share of all parameters", xlim=(0, 1))
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    fig.legend(loc="outside upper center", ncols=min(len(parts), 4), frameon=False)
    return fig
