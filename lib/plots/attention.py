"""Figures of notebook 01: sigmoid and softmax, masks, receptive fields, the attention of real heads."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from lib.plots.figure import COLOURS, curve, figure, heatmap


def sigmoid_curves(x: Tensor, curves: Mapping[str, Tensor]) -> Figure:
    """Functions of one variable in one plot, each with its name: sigmoid, its derivative, the step (slide W12)."""
    fig, (ax,) = figure(6.4, 3.0)
    for number, (name, y) in enumerate(curves.items()):
        curve(ax, x.numpy(), y.detach().numpy(), number, name)
    ax.set(xlabel="x", ylabel="value", yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def softmax_temperatures(scores: Sequence[Sequence[float]], temperatures: Sequence[float], shares: Tensor) -> Figure:
    """Bars of softmax(scores / T), one panel for each list of scores; `shares` is (scores, temperatures, entries)."""
    fig, axes = figure(7.4, 3.0, columns=len(scores), sharey=True)
    width = 0.8 / len(temperatures)
    hatches = ("", "//", "xx", "..")
    for row, ax in enumerate(axes):
        for t, temperature in enumerate(temperatures):
            x = np.arange(len(scores[row])) + (t - (len(temperatures) - 1) / 2) * width
            look = {"color": COLOURS[t % len(COLOURS)], "hatch": hatches[t % len(hatches)], "edgecolor": "white"}
            ax.bar(x, shares[row, t].tolist(), width, label=f"T = {temperature:g}", **look)
        ax.set_xticks(range(len(scores[row])), [f"{v:g}" for v in scores[row]])
        ax.set_xlabel("score z")
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("softmax(z / T)")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def boolean_grids(grids: Mapping[str, Tensor], *, tokens: Sequence[str] | None = None, yes: str, no: str) -> Figure:
    """Boolean matrices side by side, rows attending to columns: masks and receptive fields (slides C20, W07)."""
    from matplotlib.patches import Patch

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


def spread_of_scores(widths: Sequence[int], plain: Sequence[float], scaled: Sequence[float]) -> Figure:
    """The standard deviation of dot products against the head width, with and without division by √K (slide N34)."""
    fig, (ax,) = figure(5.6, 3.0)
    curve(ax, widths, plain, 0, "q · k", marker=True)
    curve(ax, widths, scaled, 1, "q · k / √K", marker=True)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set(xlabel="head width K", ylabel="standard deviation of a score")
    ax.set_xticks(list(widths), [str(w) for w in widths])
    ax.set_yticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    ax.legend()
    return fig


def attention_heads(maps: Mapping[str, Tensor], tokens: Sequence[str]) -> Figure:
    """Attention weights of chosen heads over the tokens of one sentence; rows sum to 1, one colour scale for all."""
    fig, axes = figure(3.5 * len(maps) + 0.6, 3.6, columns=len(maps))
    for ax, (name, weights) in zip(axes, maps.items()):
        picture = heatmap(ax, weights.numpy(), list(tokens), list(tokens), title=name, vmin=0, vmax=1)
        ax.set_xlabel("attends to")
    axes[0].set_ylabel("token")
    fig.colorbar(picture, ax=list(axes), label="attention weight", shrink=0.8)
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
