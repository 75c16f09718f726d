"""Figures of notebook 10: equal losses, the connecting wall, weights of tokens, accuracy in training, ratings."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.plots.figure import COLOURS, MARKERS, curve, figure

_HATCHES = ("", "//", "..", "xx")  # so that groups can be told apart in grey too
_TINTS = ("#9ecae1", "#fdd49e", "#c7e9c0", "#e0c3e0")  # light, so that black text is readable on them


def loss_and_cost(rows: Mapping[str, tuple[float, float]]) -> Figure:
    """Each sentence's loss (nats) and the cost of its errors to a reader, side by side; costs on a logarithmic axis."""
    fig, (left, right) = figure(7.4, 0.55 * len(rows) + 1.1, columns=2, sharey=True)
    for ax, column, colour in ((left, 0, COLOURS[0]), (right, 1, COLOURS[3])):
        bars = ax.barh(list(rows), [values[column] for values in rows.values()], color=colour)
        ax.bar_label(bars, fmt="%.2g", padding=3)
        ax.grid(axis="y", visible=False)
    left.invert_yaxis()
    left.set(xlabel="−ln P(right word), in nats", title="what the loss sees")
    left.set_xlim(0, 1.2 * max(loss for loss, _ in rows.values()))
    right.set(xlabel="expected cost, in our units", title="what a reader pays", xscale="log")
    low, high = min(cost for _, cost in rows.values()), max(cost for _, cost in rows.values())
    right.set_xlim(low / 4, high * 4)
    return fig


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
    """The weight of each token of each answer in the loss, one panel per reduction."""
    fig, axes = figure(8.0, 2.7, columns=len(weights))
    for ax, (reduction, rows) in zip(axes, weights.items()):
        start = 0
        for number, (name, row) in enumerate(zip(names, rows)):
            ax.bar(range(start, start + len(row)), row, color=COLOURS[number], hatch=_HATCHES[number], label=name)
            start += len(row) + 1
        ax.set(title=reduction, xticks=[], xlabel="tokens of the answers", ylim=(0, 1.3 * max(max(r) for r in rows)))
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("weight of a token")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    return fig


def accuracy_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """The share of right answers during training, one curve per run, which begins before the first update."""
    fig, (ax,) = figure(6.6, 3.1)
    for number, (name, points) in enumerate(curves.items()):
        curve(ax, [step for step, _ in points], [share for _, share in points], number, name, marker=True)
    ax.set(xlabel="updates", ylabel="right answers (share)", ylim=(-0.03, 1))
    ax.legend(loc="upper left")
    return fig


def ratings(rows: Mapping[str, tuple[float, float, float]], *, title: str = "") -> Figure:
    """Mean ratings from 1 to 7 with their intervals: name → (mean, low, high)."""
    fig, (ax,) = figure(6.6, 0.5 * len(rows) + 1.1)
    for number, (name, (mean, low, high)) in enumerate(rows.items()):
        ax.errorbar(
            mean, name, xerr=[[mean - low], [high - mean]], color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)], capsize=4, linewidth=2,
        )  # fmt: skip
        ax.annotate(f"{mean:.2f}", (mean, number), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
    ax.set(xlim=(0.8, 7.2), xticks=range(1, 8), xlabel="rating, 1 (worst) to 7 (best)", title=title)
    ax.set_ylim(len(rows) - 0.5, -0.7)
    return fig
