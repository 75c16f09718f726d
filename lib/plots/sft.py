"""Figures of lecture 10: the connecting wall, weights of tokens, what fine-tuning changes in answers."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.plots.figure import COLOURS, curve, figure

_HATCHES = ("", "//", "..", "xx")  # so that groups can be told apart in grey too
_TINTS = ("#9ecae1", "#fdd49e", "#c7e9c0", "#e0c3e0")  # light, so that black text is readable on them


def wall(answers: Mapping[str, Sequence[Sequence[str]]], solution: Mapping[str, Sequence[str]]) -> Figure:
    """Each answer's groups as rows of words. Colour and hatching give a word's group; white is not on the wall."""
    number = {word.casefold(): i for i, group in enumerate(solution.values()) for word in group}
    heights = [len(groups) for groups in answers.values()]
    widest = max((len(group) for groups in answers.values() for group in groups), default=4)
    fig, axes = figure(
        1.06 * widest + 0.4, 0.46 * sum(heights) + 0.45 * len(answers) + 0.7, rows=len(answers),
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for ax, (name, groups) in zip(axes, answers.items()):
        for row, group in enumerate(groups):
            for column, word in enumerate(group):
                _tile(ax, row, column, word, number.get(word.casefold()))
        ax.set(xlim=(0, widest), ylim=(len(groups), 0))
        ax.set_title(name, loc="left")
        ax.axis("off")
    labels = [
        Rectangle((0, 0), 1, 1, facecolor=_TINTS[i], edgecolor="0.5", hatch=_HATCHES[i], label=kind)
        for i, kind in enumerate(solution)
    ]
    labels.append(Rectangle((0, 0), 1, 1, facecolor="white", edgecolor="black", label="not on the wall"))
    fig.legend(handles=labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return fig


def _tile(ax, row: int, column: int, word: str, group: int | None) -> None:
    known = group is not None
    ax.add_patch(
        Rectangle(
            (column + 0.02, row + 0.06), 0.96, 0.88, facecolor=_TINTS[group] if known else "white",
            edgecolor="0.5" if known else "black", hatch=_HATCHES[group] if known else "", linewidth=1,
        )
    )  # fmt: skip
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
    ax.text(column + 0.5, row + 0.5, word, ha="center", va="center", fontsize=8, bbox=paper)


def token_weights(weights: Mapping[str, Sequence[Sequence[float]]], names: Sequence[str]) -> Figure:
    """The weight of each token of each answer in the loss, one panel per reduction, all with one y-axis."""
    fig, axes = figure(8.0, 2.7, columns=len(weights))
    highest = max(weight for rows in weights.values() for row in rows for weight in row)
    for ax, (reduction, rows) in zip(axes, weights.items()):
        start = 0
        for number, (name, row) in enumerate(zip(names, rows)):
            ax.bar(range(start, start + len(row)), row, color=COLOURS[number], hatch=_HATCHES[number], label=name)
            start += len(row) + 1
        ax.set(title=reduction, xticks=[], xlabel="tokens of the answers", ylim=(0, 1.1 * highest))
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("weight of a token")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    return fig


def loss_by_part(models: Mapping[str, Mapping[str, float]]) -> Figure:
    """Nats of the parts of held-out answers (groups of bars), one bar of each group per model."""
    fig, (ax,) = figure(7.4, 3.2)
    parts = list(next(iter(models.values())))
    width = 0.8 / len(models)
    for number, (name, nats) in enumerate(models.items()):
        left = [place + (number - (len(models) - 1) / 2) * width for place in range(len(parts))]
        bars = ax.bar(left, [nats[part] for part in parts], 0.92 * width, color=COLOURS[number % len(COLOURS)],
                      hatch=_HATCHES[number % 4], edgecolor="white", label=name)  # fmt: skip
        ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
    ax.set_xticks(range(len(parts)), parts)
    ax.set(ylabel="−log P, nats per token", ylim=(0, 1.15 * max(max(nats.values()) for nats in models.values())))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def by_examples(
    numbers: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], levels: Mapping[str, float]
) -> Figure:
    """Measures for each number of demonstrations (equal steps; 0 is the base), one panel each; `levels`: dotted lines.

    A panel maps each curve's name to its values. Titles name the unit. Panels with values above 1 share one y-axis.
    """
    fig, axes = figure(8.4, 3.4, columns=len(panels))
    values = {title: [value for row in curves.values() for value in row] for title, curves in panels.items()}
    large = [value for row in values.values() if max(row) > 1 for value in row]
    for ax, (title, curves) in zip(axes, panels.items()):
        for number, (name, row) in enumerate(curves.items()):
            curve(ax, range(len(numbers)), list(row), number, name, marker=True)
        if title in levels:
            ax.axhline(levels[title], color="0.4", linestyle=":", label="base model")
        ax.set(xlabel="demonstrations", title=title)
        ax.set_xticks(range(len(numbers)), [str(n) for n in numbers])
        if max(values[title]) <= 1:
            ax.set(ylim=(-0.05, 1.05), yticks=[0, 0.25, 0.5, 0.75, 1])
        else:
            ax.set_ylim(math.floor(2 * min(large)) / 2, math.ceil(2 * max(large)) / 2)
        ax.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.24), frameon=False)  # below the axis
    return fig
