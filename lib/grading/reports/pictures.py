"""Pictures of the class report as inline SVG, for light and dark mode and for print.

Matplotlib writes text as text, in the page's font; lines and letters have the page's text colour. The bytes depend
only on the numbers.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"  # a colour used nowhere else, which is replaced by the page's text colour
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a title may contain a dollar sign
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "hatch.color": _INK,
    "hatch.linewidth": 0.6,
}

OUTCOMES = {
    "right": ("right",),
    "wrong": ("wrong",),
    "time up or crashed": ("time up", "crashed"),
    "not written or missing": ("not written", "missing"),
    "graded by a person": ("manual",),
    "no readable file": ("unreadable", "not submitted"),
}
"""The parts of a bar, in order, and the statuses of each part."""

_LOOKS = dict(zip(OUTCOMES, [(2, ""), (3, "//"), (5, "xx"), (1, ".."), (4, "\\\\"), (None, "")]))  # colour, hatch


def histogram(edges: Sequence[float], counts: Sequence[int], out_of: int | float) -> "Markup":
    """A histogram of students by points; `edges` has one number more than `counts`."""
    from lib.plots import COLOURS

    with _drawing(7.0, 2.8) as (fig, ax):
        middles = [(left + right) / 2 for left, right in zip(edges, edges[1:])]
        bars = ax.bar(middles, counts, width=0.96 * (edges[1] - edges[0]), color=COLOURS[0])
        ax.bar_label(bars, [str(count) if count else "" for count in counts], padding=2)
        ax.set(xlabel=f"points, of {out_of:g}", ylabel="students", xlim=(edges[0], edges[-1]))
        ax.set_xticks(edges, [f"{edge:g}" for edge in edges])
        ax.margins(y=0.15)
        ax.grid(axis="x", visible=False)
        ax.yaxis.get_major_locator().set_params(integer=True)
        fullest = max(range(len(counts)), key=lambda i: counts[i])
        alt = (
            f"Histogram of the points of {sum(counts)} students. The most frequent range ({counts[fullest]}) is from "
            f"{edges[fullest]:g} to {edges[fullest + 1]:g} of {out_of:g}; the table below has all numbers."
        )
    return _svg(fig, "histogram", alt)


def outcomes(names: Sequence[str], counts: Sequence[Mapping[str, int]]) -> "Markup":
    """One bar for each exercise, with parts for right, wrong and so on; `counts` are by status."""
    from lib.plots import COLOURS

    with _drawing(7.0, 1.1 + 0.38 * len(names)) as (fig, ax):
        left = [0] * len(names)
        for label, statuses in OUTCOMES.items():
            widths = [sum(each.get(status, 0) for status in statuses) for each in counts]
            if not any(widths):
                continue
            colour, hatch = _LOOKS[label]
            face = "0.65" if colour is None else COLOURS[colour]
            look = {"color": face, "hatch": hatch, "edgecolor": _INK, "linewidth": 0.6}
            ax.barh(range(len(names)), widths, left=left, height=0.66, label=label, **look)
            left = [a + b for a, b in zip(left, widths)]
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set(xlabel="students", xlim=(0, max(left, default=0) or 1))
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        fig.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
        right = [f"{name} {each.get('right', 0)} of {sum(each.values())}" for name, each in zip(names, counts)]
        alt = f"Bars of the results of each exercise. Right: {', '.join(right)}; the table below has all numbers."
    return _svg(fig, "outcomes", alt)


def mistakes(names: Sequence[str], counts: Sequence[int]) -> "Markup":
    """Bars of the number of students with each mistake, the most frequent on top."""
    from lib.plots import COLOURS

    with _drawing(7.0, 0.7 + 0.32 * len(names)) as (fig, ax):
        bars = ax.barh(range(len(names)), counts, color=COLOURS[3], height=0.66)
        ax.bar_label(bars, padding=3)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set(xlabel="students")
        ax.margins(x=0.08)
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.get_major_locator().set_params(integer=True)
        made = ", ".join(f"{name} {count}" for name, count in zip(names[:3], counts))
        alt = f"Bars of the number of students with each known mistake. Most frequent: {made}; the tables have all."
    return _svg(fig, "mistakes", alt)


@contextmanager
def _drawing(width: float, height: float) -> "Iterator[tuple[Figure, Axes]]":
    """A figure with one plot in the course's style, in the ink colour that `_svg` replaces."""
    import matplotlib.pyplot as plt

    from lib.plots import figure

    with plt.rc_context(_STYLE):
        fig, (ax,) = figure(width, height)
        ax.grid(color=_INK, alpha=0.12)  # light enough on black as well
        yield fig, ax


def _svg(fig: "Figure", name: str, alt: str) -> "Markup":
    """The figure as an `svg` element with `alt` as its label and unique identifiers; closes the figure."""
    import matplotlib.pyplot as plt
    from markupsafe import Markup, escape

    with plt.rc_context(_STYLE | {"svg.hashsalt": name}), io.StringIO() as buffer:
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        text = buffer.getvalue()
    plt.close(fig)
    box = re.search(r'viewBox="([\d. ]+)"', text)[1]
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<defs") :], flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text.replace(_INK, "currentColor"))
    head = f'<svg class="picture" viewBox="{box}" role="img" aria-label="{escape(alt)}">'
    return Markup(f"{head}\n{text}")
