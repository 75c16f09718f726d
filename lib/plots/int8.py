"""Figures of notebook 16: rounding, outliers, quality against bytes, memory against length."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.plots.figure import COLOURS, MARKERS, curve, figure


def rounding(x: Sequence[float], rounded: Sequence[float], errors: Sequence[float], step: float) -> Figure:
    """Each number and its rounded value, and a histogram of rounding errors in units of the step."""
    fig, (left, right) = figure(7.4, 3.0, columns=2)
    order = np.argsort(x)
    left.step(np.asarray(x)[order], np.asarray(rounded)[order], where="mid", color=COLOURS[0], label="rounded")
    left.plot(np.asarray(x)[order], np.asarray(x)[order], color="black", linestyle=":", label="itself")
    left.set(xlabel="x", ylabel="s · q", title="a staircase")
    left.legend(loc="upper left")
    right.hist(np.asarray(errors) / step, bins=20, range=(-0.5, 0.5), color=COLOURS[0])
    right.set(xlabel="error in steps of s", ylabel="numbers", title="never more than half a step")
    return fig


def errors_by_outlier(sizes: Sequence[float], errors: Mapping[str, Sequence[float]], threshold: float) -> Figure:
    """The error of a product against the size of one outlier, one curve per scheme."""
    fig, (ax,) = figure(7.4, 3.3)
    for number, (name, values) in enumerate(errors.items()):
        curve(ax, list(sizes), [100 * value for value in values], number, name, marker=True)
    ax.axvline(threshold, color="black", linestyle=":", label=f"threshold {threshold:g}")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(list(sizes), [f"{size:g}" for size in sizes], minor=False)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="size of the outlier", ylabel="error (% of the rest)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def distance_by_size(megabytes: Mapping[str, float], distances: Mapping[str, float]) -> Figure:
    """How far a model's predictions have moved, against its size; one point per scheme, lower left is better."""
    fig, (ax,) = figure(7.4, 3.4)
    for number, (name, distance) in enumerate(distances.items()):
        look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "s": 60}
        ax.scatter([megabytes[name]], [distance], label=name, **look)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="weights in memory (MB)", ylabel="distance from fp32\n(nats per token)", xlim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def outliers_by_block(
    shares: Mapping[str, Sequence[float]], largest: Mapping[str, Sequence[float]], threshold: float
) -> Figure:
    """The share of outlier columns in the inputs of each kind of product, by block, and their largest value."""
    fig, (left, right) = figure(8.6, 3.6, columns=2)
    for number, (name, values) in enumerate(shares.items()):
        blocks = list(range(len(values)))
        curve(left, blocks, [100 * value for value in values], number, name, marker=True)
        curve(right, blocks, list(largest[name]), number, name, marker=True)
    right.axhline(threshold, color="black", linestyle=":", label=f"threshold {threshold:g}")
    right.set_yscale("log")
    right.yaxis.set_major_formatter("{x:g}")
    left.set(xlabel="block", ylabel="columns with an outlier (%)", title="how many")
    right.set(xlabel="block", ylabel="largest |x|", title="how large")
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def memory_by_length(lengths: Sequence[int], megabytes: Mapping[str, Sequence[float]]) -> Figure:
    """Memory against the length of a sequence on logarithmic axes, where a slope is an exponent."""
    fig, (ax,) = figure(7.4, 3.3)
    for number, (name, values) in enumerate(megabytes.items()):
        curve(ax, list(lengths), list(values), number, name, marker=True)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(list(lengths), [str(length) for length in lengths])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="tokens T", ylabel="kept for the backward pass (MB)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
