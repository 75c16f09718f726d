"""Figures of notebook 00: the next token at several temperatures, and where an answer ends.

And sizes of language models, their dates, and the era to which their size belongs, for lectures about their history.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from lib import checks
from lib.plots.figure import COLOURS, curve, figure
from lib.slides import SizeRange, parse_range, parse_size

FAMILIES = {"Encoder-Only": ("o", 3), "Encoder-Decoder": ("s", 2), "Decoder-Only": ("^", 0)}
"""Marker and number of the colour for each architecture of slide T43."""

BANDS = ("#EAF3F9", "#CFE3F1", "#AACFE8")


def at_temperatures(tokens: Sequence[str], shares: Mapping[float | int, Sequence[float]]) -> Figure:
    """The probabilities of the same tokens at each temperature: one panel of horizontal bars for each, on one scale.

    Raises ValueError where the number of probabilities is not that of the tokens, or there is no temperature.
    """
    checks.not_empty(shares=list(shares))
    for temperature, values in shares.items():
        checks.same_length(**{"tokens": tokens, f"shares[{temperature}]": values})
    largest = max(max(values) for values in shares.values())
    fig, axes = figure(2.6 * len(shares) + 1.2, 0.36 * len(tokens) + 1.1, columns=len(shares), sharey=True)
    for ax, (temperature, values) in zip(axes, shares.items()):
        bars = ax.barh(range(len(tokens)), values, color=COLOURS[0])
        ax.bar_label(bars, fmt="%.2f", padding=3)
        ax.set(title=f"T = {temperature:g}", xlim=(0, 1.22 * largest), xlabel="probability")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(tokens)), tokens, family="monospace")
    axes[0].invert_yaxis()
    return fig


def chance_of_end(tokens: Sequence[str], chances: Sequence[float]) -> Figure:
    """P(end) after each token of an answer, as bars from left to right; the largest one carries its value.

    Raises ValueError where the two differ in length, or are empty.
    """
    checks.same_length(tokens=tokens, chances=chances)
    checks.not_empty(tokens=tokens)
    fig, (ax,) = figure(max(0.42 * len(tokens) + 1.2, 5.0), 3.2)
    best = max(range(len(chances)), key=lambda i: chances[i])
    colours = [COLOURS[3 if i == best else 0] for i in range(len(chances))]
    ax.bar(range(len(tokens)), chances, color=colours)
    ax.text(best, chances[best] + 0.02, f"{chances[best]:.2f}", ha="center")
    ax.set_xticks(range(len(tokens)), tokens, rotation=60, ha="right", rotation_mode="anchor", family="monospace")
    ax.set(xlabel="the answer, up to and including this token", ylabel="P(end token comes next)", ylim=(0, 1.05))
    ax.grid(axis="x", visible=False)
    return fig


def model_growth(gpt: DataFrame, others: DataFrame, eras: Mapping[str, SizeRange]) -> Figure:
    """Sizes against dates, with a band for the sizes of each era (slides C02, C18, T05, T43, W18).

    `gpt` has the columns model, date (decimal years) and params (as printed), and is drawn as one line;
    `others` also has arch, one of `FAMILIES`. A model with several sizes becomes a bar. Sizes outside every era are
    hatched. Raises ValueError for an unknown architecture, or a size that cannot be read.
    """
    for arch in others["arch"]:
        checks.one_of("arch", arch, FAMILIES)
    fig, (ax,) = figure(9.0, 5.4)
    ax.set(xlim=(2018, 2024.5), ylim=(2e7, 6e12), yscale="log", xlabel="year", ylabel="parameters")
    ax.set_yticks([1e8, 1e9, 1e10, 1e11, 1e12], ["100M", "1B", "10B", "100B", "1T"])
    ax.tick_params(axis="y", which="minor", length=0)
    ax.grid(False)
    _draw_eras(ax, eras)
    for family, (marker, number) in FAMILIES.items():
        rows = others[others["arch"] == family]
        _draw_models(ax, rows, marker, COLOURS[number], f"{family} (T43)")
    sizes = [parse_size(params) for params in gpt["params"]]
    curve(ax, list(gpt["date"]), sizes, 6, "GPT (C18)", marker=True, linestyle="-")
    for name, date, size in zip(gpt["model"], gpt["date"], sizes):
        words = {"textcoords": "offset points", "ha": "right", "weight": "bold"}
        ax.annotate(name, (date, size), (-4, 6), **words)
    fig.legend(loc="outside upper center", ncols=4, frameon=False)
    return fig


def _draw_eras(ax: Axes, eras: Mapping[str, SizeRange]) -> None:
    """A band for each era, named at the right; the gaps between bands are hatched."""
    covered, end = ax.get_ylim()
    bands = [(name, max(sizes.low, covered), min(sizes.high, end)) for name, sizes in eras.items()]
    for (name, low, high), colour in zip(bands, BANDS, strict=True):
        if low > covered:
            _draw_band(ax, covered, low, "no era", facecolor="white", edgecolor="0.8", hatch="////")
        _draw_band(ax, low, high, name, facecolor=colour)
        covered = high
    if covered < end:
        _draw_band(ax, covered, end, "no era", facecolor="white", edgecolor="0.8", hatch="////")


def _draw_band(ax: Axes, low: float | int, high: float | int, name: str, *, facecolor: str, **look) -> None:
    ax.axhspan(low, high, facecolor=facecolor, linewidth=0, zorder=0, **look)
    place = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    label = ax.text(0.99, math.sqrt(low * high), name, **place)
    label.set_bbox({"facecolor": facecolor, "linewidth": 0, "pad": 2})


def _draw_models(ax: Axes, rows: DataFrame, marker: str, colour: str, family: str) -> None:
    """Markers at the smallest and the largest size of each model, joined by a line, and its name."""
    look = {"marker": marker, "color": colour, "markersize": 6, "linewidth": 2}
    for number, row in enumerate(rows.itertuples()):
        sizes = parse_range(row.params)
        ends = sorted({sizes.low, sizes.high})
        ax.plot([row.date] * len(ends), ends, label=family if number == 0 else None, **look)
        above = len(ends) == 2 and ends[1] < 1e11  # above that is the line of the GPTs
        place = {"xytext": (0, 6 if above else -6), "textcoords": "offset points", "fontsize": 9}
        ax.annotate(
            row.model, (row.date, ends[-1] if above else ends[0]), **place, ha="center", va="bottom" if above else "top"
        )
