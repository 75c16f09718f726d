"""Figures of notebook 17: memory and time against length, speed under a roofline."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lib.plots.figure import curve, figure


def memory_by_length(lengths: Sequence[int], megabytes: Mapping[str, Sequence[float]]) -> Figure:
    """Memory against the length of a sequence on logarithmic axes, where a slope is an exponent.

    Dotted guides grow with the square of the length, above the first curve, and with the length, below the last.
    """
    fig, (ax,) = figure(7.4, 3.3)
    for number, (name, values) in enumerate(megabytes.items()):
        curve(ax, list(lengths), list(values), number, name, marker=True)
    ends = [values[-1] for values in megabytes.values()]
    middle = len(lengths) // 2
    for power, end, label, rise in ((2, 2 * ends[0], "as T²", 8), (1, ends[-1] / 2, "as T", -16)):
        guide = [end * (length / lengths[-1]) ** power for length in lengths]
        ax.plot(list(lengths), guide, color="0.6", linestyle=":", zorder=1)
        ax.annotate(
            label, (lengths[middle], guide[middle]), (0, rise), textcoords="offset points", ha="right", color="0.4"
        )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(list(lengths), [str(length) for length in lengths])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="tokens T", ylabel="kept for the backward pass (MB)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def time_per_pair(lengths: Sequence[int], seconds: Mapping[str, Mapping[tuple[str, int], float]], heads: int) -> Figure:
    """Nanoseconds for each pair of tokens in a head against the length, one panel for each entry of `seconds`.

    `seconds` has, by the panel's title, seconds by (name, length). Where the time grows with the square of the length a
    line is flat.
    """
    fig, axes = figure(8.6, 3.2, columns=len(seconds))
    for ax, (title, times) in zip(axes, seconds.items()):
        for number, name in enumerate(dict.fromkeys(name for name, _ in times)):
            values = [1e9 * times[name, T] / (heads * T**2) for T in lengths]
            curve(ax, list(lengths), values, number, name, marker=True)
        ax.set_xscale("log", base=2)
        ax.set_xticks(list(lengths), [f"{length:,}" for length in lengths])
        ax.set_ylim(bottom=0)
        ax.set(xlabel="tokens T", title=title)
    axes[0].set_ylabel("nanoseconds per pair of tokens")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def roofline(
    peak: float,
    bandwidth: float,
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    ceilings: Mapping[str, float] | None = None,
) -> Figure:
    """Billions of operations per second against operations per byte under their roof, both axes logarithmic.

    `peak` is in billions of operations per second, `bandwidth` in GB per second; `points` are (operations per byte,
    billions of operations per second) by name. The roof is min(peak, bandwidth * intensity) (Williams et al. 2009).
    `ceilings` are lower limits by name, in billions of operations per second, drawn dotted.
    """
    fig, (ax,) = figure(7.4, 3.6)
    for number, (name, (intensity, speed)) in enumerate(points.items()):
        line = {} if len(set(intensity)) > 1 else {"linestyle": "none"}
        size = max(5, 11 - 4 * number)
        curve(ax, list(intensity), list(speed), number, name, marker=True, markersize=size, zorder=3, **line)
    every = [x for intensity, _ in points.values() for x in intensity]
    balance = peak / bandwidth
    ends = [min(*every, balance / 8) / 2, balance, 4 * max(*every, balance)]
    ax.plot(ends, [min(peak, bandwidth * x) for x in ends], color="black", label="roof", zorder=2)
    for name, height in (ceilings or {}).items():
        ax.axhline(height, color="0.4", linestyle=":", label=name, zorder=1)
    ax.annotate("slope: bandwidth", (balance / 2, peak / 2), (-8, 2), textcoords="offset points", ha="right")
    ax.annotate("flat: peak", (ends[2], peak), (-8, 5), textcoords="offset points", ha="right")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_ylim(top=1.8 * max(peak, *(y for _, speed in points.values() for y in speed)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="operations per byte", ylabel="billion operations per second")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
