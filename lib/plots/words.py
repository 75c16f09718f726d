"""Figures of lecture 03: tokens, learned scores against counted ones, words in a plane, a word layer by layer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lib import checks
from lib.plots.figure import COLOURS, curve, figure, heatmap


def tokens_per_text(counts: Mapping[str, Sequence[int]], texts: Sequence[str]) -> Figure:
    """How many tokens each tokenizer (a group's bars) needs for each text."""
    fig, (ax,) = figure(7.4, 3.4)
    width = 0.8 / len(counts)
    for number, (name, row) in enumerate(counts.items()):
        checks.same_length(texts=texts, row=row)
        left = np.arange(len(texts)) + (number - (len(counts) - 1) / 2) * width
        bars = ax.bar(left, row, 0.92 * width, color=COLOURS[number], hatch=("", "//", "..")[number % 3],
                      edgecolor="white", label=name)  # fmt: skip
        ax.bar_label(bars, fontsize=8, padding=1)
    ax.set_xticks(range(len(texts)), texts)
    ax.set(ylabel="tokens")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left")
    return fig


def by_vocabulary(sizes: Sequence[int], tokens: Sequence[float], levels: Mapping[str, float]) -> Figure:
    """Tokens a word for vocabularies of several sizes (logarithmic axis); `levels` are drawn as dotted lines."""
    fig, (ax,) = figure(6.2, 3.0)
    curve(ax, sizes, tokens, 0, "trained on 76 articles", marker=True)
    for number, (name, level) in enumerate(levels.items(), 1):
        ax.axhline(level, color=COLOURS[number], linestyle=":", label=name)
    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set(xlabel="tokens in the vocabulary", ylabel="tokens per word", ylim=(0, None))
    ax.legend()
    return fig


def learned_and_counted(counted, learned, names: Sequence[str], marked: Sequence[tuple[str, str]]) -> Figure:
    """A point for each pair of words: the counted optimum and the learned dot product; some pairs are named."""
    counted, learned = np.asarray(counted, dtype=float), np.asarray(learned, dtype=float)
    checks.shape("learned", learned, *counted.shape)
    fig, (ax,) = figure(5.4, 4.6)
    ends = [min(counted.min(), learned.min()) - 0.1, max(counted.max(), learned.max()) + 0.1]
    ax.plot(ends, ends, color="0.5", linestyle="--", label="equal")
    ax.scatter(counted.ravel(), learned.ravel(), s=14, color=COLOURS[0], label="a pair of words")
    for word, context in marked:
        at = names.index(word), names.index(context)
        ax.annotate(f"{word}, {context}", (counted[at], learned[at]), xytext=(26, -22), textcoords="offset points",
                    fontsize=9, arrowprops={"arrowstyle": "-", "color": "0.4"})  # fmt: skip
    ax.set(xlabel="counted: PMI − log k", ylabel="learned: dot product", aspect="equal")
    ax.legend(loc="upper left")
    return fig


def plane(vectors, names: Sequence[str], groups: Sequence[int]) -> Figure:
    """Words as arrows from the origin of a plane, one colour for each group."""
    vectors = np.asarray(vectors, dtype=float)
    checks.shape("vectors", vectors, len(names), 2)
    fig, (ax,) = figure(5.6, 4.8)
    lowest: dict[int, float] = {}  # of each group's labels so far, so that none hides another
    for row in np.argsort(-vectors[:, 1], kind="stable"):
        (x, y), group = vectors[row], groups[row]
        ax.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "color": COLOURS[group], "lw": 1.4})
        lowest[group] = height = min(y, lowest.get(group, np.inf) - 0.032 * np.ptp(vectors))
        ax.annotate(names[row], (x, y), (x + 0.05 * np.sign(x or 1), height), fontsize=10, va="center",
                    ha="left" if x >= 0 else "right", color=COLOURS[group], fontweight="bold")  # fmt: skip
    reach = 1.3 * np.abs(vectors).max()
    low, high = np.minimum(vectors.min(axis=0), 0) - 0.2 * reach, np.maximum(vectors.max(axis=0), 0) + 0.2 * reach
    ax.set(
        xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="first number", ylabel="second number", aspect="equal"
    )
    return fig


def by_layer(curves: Mapping[str, Sequence[float]], ylabel: str, levels: Mapping[str, float] | None = None) -> Figure:
    """Curves over the layers, 0 being what enters the first; `levels` are dotted lines."""
    fig, (ax,) = figure(6.6, 3.3)
    for number, (name, row) in enumerate(curves.items()):
        curve(ax, range(len(row)), list(row), number, name, marker=True)
    for number, (name, level) in enumerate((levels or {}).items(), len(curves)):
        ax.axhline(level, color=COLOURS[number % len(COLOURS)], linestyle=":", label=name)
    ax.set(xlabel="layer (0: what enters the first)", ylabel=ylabel)
    ax.set_xticks(range(max(len(row) for row in curves.values())))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def by_place(found: Mapping[str, Sequence[float]], best: Mapping[str, Sequence[float]]) -> Figure:
    """Accuracy by the place of a word in its sentence: found as marks, the best that is possible as lines."""
    checks.same_length(found=found, best=best)
    fig, (ax,) = figure(6.8, 3.4)
    for number, (name, row) in enumerate(found.items()):
        places = range(1, len(row) + 1)
        curve(ax, places, list(best[name]), number, f"{name}: best possible")
        curve(ax, places, list(row), number, f"{name}: probe", marker=True, linestyle="none", markersize=8)
    ax.set(xlabel="place of the word in the sentence", ylabel="topic named rightly", ylim=(0.45, 1.0))
    ax.set_xticks(list(places))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def who_sees(fields: Mapping[str, object]) -> Figure:
    """For each model a matrix: the prediction of the word of a row depends on the words of the filled columns."""
    fig, axes = figure(2.7 * len(fields) + 0.4, 3.4, columns=len(fields))
    for ax, (name, field) in zip(axes, fields.items()):
        field = np.asarray(field, dtype=float)
        numbers = [str(i + 1) for i in range(len(field))]
        picture = heatmap(ax, field, numbers, numbers, title=name, vmin=0, vmax=1.3)
        ends = [-0.5, len(field) - 0.5]
        (own,) = ax.plot(ends, ends, color=COLOURS[3], linewidth=1.5, label="the word itself")
        ax.set(xlabel="word that it depends on")
    axes[0].set_ylabel("word that is predicted")
    meanings = {1.0: "depends on it", 0.0: "does not"}
    patches = [Patch(facecolor=picture.cmap(picture.norm(value)), edgecolor="0.5", label=label)
               for value, label in meanings.items()]  # fmt: skip
    fig.legend(handles=[*patches, own], loc="outside lower center", ncols=3)
    return fig
