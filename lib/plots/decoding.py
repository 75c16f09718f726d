"""Figures of notebook 07: surprisal of written text, heads by their induction score, draws, orders, exact match."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lib import checks
from lib.plots.figure import COLOURS, curve, figure


def surprisal_of_texts(texts: Mapping[str, Sequence[float]]) -> Figure:
    """Surprisal of each token (nats), a panel for each text, with its mean as a dashed line; one scale for all."""
    checks.not_empty(texts=texts)
    fig, axes = figure(7.4, 1.35 * len(texts) + 0.5, rows=len(texts), sharex=True, sharey=True)
    for number, (ax, (name, values)) in enumerate(zip(axes, texts.items())):
        ax.bar(range(1, len(values) + 1), values, width=0.9, color=COLOURS[number % len(COLOURS)])
        ax.axhline(float(np.mean(values)), color="black", linestyle="--", linewidth=1)
        ax.set_title(f"{name}: mean {np.mean(values):.2f}", loc="left")
        ax.grid(axis="x", visible=False)
    longest = max(map(len, texts.values()))
    axes[-1].set_xticks(range(1, longest + 1, max(1, longest // 10)))
    axes[-1].set_xlabel("token of the continuation")
    fig.supylabel("surprisal (nats)", fontsize=10)
    return fig


def head_scores(scores: Tensor, *, label: str) -> Figure:
    """A score in [0, 1] for each head: layers from left to right, heads from top to bottom."""
    checks.shape("scores", scores, "L", "H")
    layers, heads = scores.shape
    fig, (ax,) = figure(7.4, 0.22 * heads + 1.2)
    picture = ax.imshow(scores.T.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(0, layers, max(1, layers // 10)), [str(n + 1) for n in range(0, layers, max(1, layers // 10))])
    ax.set_yticks(range(heads), [str(n + 1) for n in range(heads)])
    ax.set(xlabel="layer", ylabel="head")
    ax.grid(False)
    fig.colorbar(picture, ax=ax, label=label)
    return fig


def by_draws(
    panels: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]], without: Mapping[str, float], chance: float
) -> Figure:
    """Share right by the number of demonstrations: a dot for each draw, a line for their mean, colours for the labels.

    `panels` is panel -> labels -> number -> a share for each draw; `without` the share of each panel without demonstrations.
    """
    checks.not_empty(panels=panels)
    checks.same_length(panels=panels, without=without)
    fig, axes = figure(7.4, 3.3, columns=len(panels), sharex=True, sharey=True)
    for ax, (panel, ways) in zip(axes, panels.items()):
        for way, (name, shares) in enumerate(ways.items()):
            for place, values in enumerate(shares.values()):
                x = place + 0.24 * (way - (len(ways) - 1) / 2)
                ax.scatter([x] * len(values), values, color=COLOURS[way], s=14, alpha=0.5, linewidths=0)
                ax.plot([x - 0.1, x + 0.1], [np.mean(values)] * 2, color=COLOURS[way], label=None if place else name)
            ax.set_xticks(range(len(shares)), [str(number) for number in shares])
        ax.axhline(without[panel], color="0.35", linestyle="--", linewidth=1, label="no demonstration")
        ax.axhline(chance, color="0.35", linestyle=":", linewidth=1, label="one label for all")
        ax.set_title(panel, loc="left")
        ax.set(xlabel="demonstrations in the prompt", ylim=(0.4, 1.0))
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("share right")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return fig


def by_order(shares: Mapping[str, Sequence[float]], chance: float) -> Figure:
    """One dot for each order of the demonstrations, stacked where orders agree, a row for each way to decide."""
    checks.not_empty(shares=shares)
    fig, axes = figure(7.0, 1.3 * len(shares) + 0.6, rows=len(shares), sharex=True, sharey=True)
    highest = 1
    for number, (ax, (name, values)) in enumerate(zip(axes, shares.items())):
        places, heights, seen = [], [], {}
        for value in sorted(round(v, 6) for v in values):
            seen[value] = seen.get(value, 0) + 1
            places.append(value)
            heights.append(seen[value])
        ax.scatter(places, heights, color=COLOURS[number % len(COLOURS)], s=28)
        ax.axvline(chance, color="0.35", linestyle=":")
        ax.set_title(name, loc="left")
        ax.set(ylabel="orders", xlim=(0.4, 1.03))
        highest = max(highest, *seen.values())
    axes[0].set_ylim(0, 1.1 * highest + 0.5)  # of both: no dot is cut off
    axes[-1].set_xlabel("share right")
    return fig


def exact_match(shares: Sequence[float], lengths: Sequence[int]) -> Figure:
    """The probability p^L that L tokens in a row are right, against the probability p of each, a curve for each L."""
    fig, (ax,) = figure(6.4, 3.2)
    for number, length in enumerate(lengths):
        curve(ax, list(shares), [p**length for p in shares], number, f"all of {length}" if length > 1 else "one token")
    ax.set(xlabel="share of tokens right, p", ylabel="share of answers right", ylim=(0, 1.03))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
