"""Figures of lecture 01: mixtures, scores, masks, receptive fields, the attention of real heads."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from lib.plots.figure import COLOURS, curve, figure, heatmap


def mixture(values: Tensor, names: Sequence[str], path: Tensor, marked: Mapping[str, Tensor]) -> Figure:
    """Three values in the plane (3, 2), with the triangle between them, and outputs of attention as a path (N, 2).

    `marked` are single outputs with their names.
    """
    fig, (ax,) = figure(5.6, 3.4)
    ax.fill(*values.T.tolist(), color="0.93", zorder=0)
    ax.plot(*path.T.tolist(), color=COLOURS[2], linewidth=2)
    for name, (x, y) in zip(names, values.tolist()):
        ax.plot(x, y, "s", color="0.3", markersize=7)
        ax.annotate(f"value of {name}", (x, y), xytext=(8, -14), textcoords="offset points", color="0.3")
    for name, (x, y) in ((name, point.tolist()) for name, point in marked.items()):
        ax.plot(x, y, "o", color=COLOURS[2], markersize=6)
        ax.annotate(name, (x, y), xytext=(6, 8), textcoords="offset points", color="#006B4E")
    ax.set(xlabel="first number of the output", ylabel="second number", xlim=(-1, 14), ylim=(-2, 11))
    return fig


def scores_by_width(
    widths: Sequence[int], spread: Mapping[str, Sequence[float]], largest: Mapping[str, Sequence[float]]
) -> Figure:
    """Scores with and without division by √d_k: their standard deviation, and the largest of the weights they give."""
    fig, (left, right) = figure(7.6, 3.0, columns=2)
    for ax, curves, name in ((left, spread, "standard deviation of the scores"), (right, largest, "largest weight")):
        for number, (label, values) in enumerate(curves.items()):
            curve(ax, list(widths), list(values), number, label, marker=True)
        ax.set_xscale("log", base=2)
        ax.set_xticks(list(widths), [str(w) for w in widths])
        ax.set(xlabel="numbers per key, d_k", ylabel=name)
    right.set_ylim(0, 1)
    left.legend()
    return fig


def boolean_grids(grids: Mapping[str, Tensor], *, tokens: Sequence[str] | None = None, yes: str, no: str) -> Figure:
    """Boolean matrices side by side, rows attending to columns: masks and receptive fields."""
    fig, axes = figure(2.1 * len(grids) + 0.6, 2.7, columns=len(grids), sharey=True)
    for ax, (name, grid) in zip(axes, grids.items()):
        T, S = grid.shape
        ax.imshow(grid.numpy(), cmap=ListedColormap(["#F2F2F2", COLOURS[0]]), vmin=0, vmax=1)
        ax.set_title(name)
        ax.set_xticks(range(S), tokens or [str(j + 1) for j in range(S)], rotation=90 if tokens else 0)
        ax.set_yticks(range(T), tokens or [str(i + 1) for i in range(T)])
        ax.grid(False)
        ax.set_xticks(np.arange(S + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(T + 1) - 0.5, minor=True)
        ax.grid(which="minor", color="white", linewidth=1.5)
        ax.tick_params(which="both", length=0)
        ax.set_xlabel("reads position")
    axes[0].set_ylabel("position")
    keys = [Patch(color=COLOURS[0], label=yes), Patch(color="#F2F2F2", label=no)]
    fig.legend(handles=keys, loc="outside lower center", ncols=2)
    return fig


def training_curves(losses: Mapping[str, Sequence[float]], floor: float, floor_name: str) -> Figure:
    """The loss of each step of several runs, with a line at the lowest loss that is honestly possible."""
    fig, (ax,) = figure(6.8, 3.0)
    for number, (name, values) in enumerate(losses.items()):
        curve(ax, list(range(1, len(values) + 1)), list(values), number, name)
    ax.axhline(floor, color="black", linestyle=":", label=floor_name)
    ax.set(xlabel="step", ylabel="loss (nats per token)", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def attention_heads(
    maps: Mapping[str, Tensor],
    tokens: Sequence[str],
    *,
    framed: Sequence[tuple[str, str] | None] = (),
    label: str = "attention weight",
) -> Figure:
    """Attention weights of chosen heads over the tokens of one sentence, two in a row; one colour scale for all.

    `framed` has for each map, in their order, a pair of tokens (row, column) that is framed; None, or a token that the
    sentence does not have, frames nothing. `label` names what the colours mean.
    """
    rows, columns = -(-len(maps) // 2), min(2, len(maps))
    fig, axes = figure(3.9 * columns + 0.6, 3.7 * rows, columns=columns, rows=rows)
    for ax in axes[len(maps) :]:
        ax.set_visible(False)
    for ax, (name, weights), pair in zip_longest(axes[: len(maps)], maps.items(), framed[: len(maps)]):
        picture = heatmap(ax, weights.numpy(), list(tokens), list(tokens), title=name, vmin=0, vmax=1)
        ax.set_xlabel("looks at")
        if pair is not None and set(pair) <= set(tokens):
            row, column = map(list(tokens).index, pair)
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=COLOURS[3], linewidth=2))
    for ax in axes[::columns]:
        ax.set_ylabel("word that looks")
    fig.colorbar(picture, ax=list(axes), label=label, shrink=0.6)
    return fig


def paired_shares(names: Sequence[str], shares: Mapping[str, Sequence[float | None]], *, of: int) -> Figure:
    """Shares of `of` sentences as horizontal bars, a group for each of `names`, a colour for each entry of `shares`.

    A share that is None has no bar.
    """
    fig, (ax,) = figure(6.8, 0.42 * len(names) * len(shares) + 0.8)
    height = 0.8 / len(shares)
    for number, (label, values) in enumerate(shares.items()):
        drawn = [place for place, share in enumerate(values) if share is not None]
        y = np.array(drawn) + (number - (len(shares) - 1) / 2) * height
        look = {"color": COLOURS[number], "hatch": ("", "//", "xx")[number % 3], "edgecolor": "white"}
        bars = ax.barh(y, [values[place] for place in drawn], height, label=label, **look)
        ax.bar_label(bars, fmt=lambda share: f"{share * of:.0f} of {of}", padding=3)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="share of words whose partner was found", xlim=(0, 1.2))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def first_token_share(shares: Sequence[float], expected: float) -> Figure:
    """The share of attention on the first token in each layer, compared with uniform attention."""
    fig, (ax,) = figure(6.4, 2.8)
    layers = range(1, len(shares) + 1)
    curve(ax, list(layers), list(shares), 0, "measured, mean over heads", marker=True)
    ax.axhline(expected, color="black", linestyle=":", label="if spread evenly")
    ax.set(xlabel="layer", ylabel="share of attention on token 1", ylim=(0, 1))
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0))
    return fig


def shares_by_layer(shares: Mapping[str, Sequence[float]], ylabel: str) -> Figure:
    """Shares in each layer as bars that stand side by side, a colour and a hatch for each entry of `shares`.

    Raises ValueError if the entries have not the same number of layers.
    """
    fig, (ax,) = figure(6.4, 2.8)
    (layers,) = {len(values) for values in shares.values()} or {0}
    width = 0.8 / len(shares)
    for number, (label, values) in enumerate(shares.items()):
        x = np.arange(1, layers + 1) + (number - (len(shares) - 1) / 2) * width
        look = {"color": COLOURS[number], "hatch": ("", "//", "xx")[number % 3], "edgecolor": "white"}
        ax.bar_label(ax.bar(x, values, width, label=label, **look), fmt="{:.0%}", padding=2, fontsize="small")
    ax.set(xlabel="layer", ylabel=ylabel, ylim=(0, 1), xticks=range(1, layers + 1))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left")
    return fig
