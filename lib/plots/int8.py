"""Figures of notebook 16: an outlier feature, predictions that move with fewer bits, and the steps in a file."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, MARKERS, curve, figure


def features(largest: Mapping[str, Sequence[float]], threshold: float) -> Figure:
    """The largest absolute value of each feature at some tokens, on a logarithmic axis; the very largest has a name."""
    fig, (ax,) = figure(7.4, 3.3)
    for number, (where, values) in enumerate(largest.items()):
        ax.scatter(range(len(values)), values, s=12, color=COLOURS[number], marker=MARKERS[number], label=where)
    values = max((np.asarray(values) for values in largest.values()), key=np.max)
    top = int(values.argmax())
    ax.annotate(f"feature {top}", (top, values[top]), xytext=(8, -4), textcoords="offset points")
    ax.axhline(threshold, color="black", linestyle=":", label=f"threshold {threshold:g}")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="feature", ylabel="largest |x|")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def divergence_by_bits(divergences: Mapping[str, Mapping[float, float]]) -> Figure:
    """KL divergence from fp32 by all bits of a weight, scales included, one curve for each way to share a scale."""
    fig, (ax,) = figure(7.4, 3.6)
    for number, (share, points) in enumerate(divergences.items()):
        curve(ax, list(points), list(points.values()), number, f"a scale per {share}", marker=True)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.invert_xaxis()
    ax.set(xlabel="bits per weight, scales included", ylabel="KL divergence from fp32\n(nats per token)")
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left")
    return fig


def neighbours(groups: Mapping[str, Sequence[float]]) -> Figure:
    """The weights of one group in order of size, one panel for each model: weights that were rounded stand on steps."""
    fig, axes = figure(7.4, 3.0, columns=len(groups))
    for number, (ax, (name, values)) in enumerate(zip(axes, groups.items())):
        ordered = sorted(values)
        different = len(set(ordered))
        ax.plot(
            range(1, len(ordered) + 1),
            ordered,
            color=COLOURS[number],
            marker=MARKERS[number],
            markersize=4,
            linestyle="",
        )
        ax.set(title=f"{name}: {different} different values", xlabel="weights, in order of size")
    axes[0].set_ylabel("weight")
    return fig
