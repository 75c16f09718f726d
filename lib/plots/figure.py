"""The common style of the course's figures, and their display with alt text."""

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image, UnidentifiedImageError

from lib import checks

STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 100,
    "image.cmap": "Blues",
}

# Okabe and Ito's colours, ordered so that neighbours differ in lightness too; with a line style and a marker each,
# so that curves can be told apart in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def figure(
    width: float = 7.0, height: float = 3.2, *, columns: int = 1, rows: int = 1, **axes
) -> tuple[Figure, np.ndarray]:
    """A figure of `width` × `height` inches in the course's style, with its axes in a flat array.

    >>> fig, (left, right) = figure(columns=2)
    >>> plt.close(fig)
    """
    with plt.rc_context(STYLE):
        fig, grid = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False, **axes)
    return fig, grid.ravel()


def curve(ax: Axes, x, y, number: int, label: str, *, marker: bool = False, **line) -> None:
    """Draw curve `number` with the colour, line style and (if asked) marker that belong to this number."""
    checks.same_length(x=x, y=y)
    look = {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)] if marker else None,
        "markersize": 5,
    }
    ax.plot(x, y, label=label, **(look | line))


def heatmap(
    ax: Axes, values, rows: list[str], columns: list[str], *, title: str = "", numbers: str | None = None, **image
) -> AxesImage:
    """A matrix as an image with named rows (y) and columns (x); `numbers` is the format of values written into cells.

    Returns the image, for a colour bar. Raises ValueError when the number of names does not fit the matrix.
    """
    values = np.asarray(values, dtype=float)
    checks.shape("values", values, len(rows), len(columns))
    picture = ax.imshow(values, aspect="auto", cmap="Blues", **image)
    angle = 45 if len(columns) <= 10 else 60  # many names would touch
    slant = {"rotation": angle, "ha": "right", "rotation_mode": "anchor"} if max(map(len, columns)) > 3 else {}
    ax.set_xticks(range(len(columns)), columns, **slant)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(title)
    ax.grid(False)
    if numbers:
        middle = (picture.norm.vmin + picture.norm.vmax) / 2
        for (i, j), v in np.ndenumerate(values):
            ink = "white" if v > middle else "black"
            ax.text(j, i, format(v, numbers), ha="center", va="center", fontsize=8, color=ink)
    return picture


def show(fig: Figure, alt: str) -> None:
    """Display `fig` with `alt`, a description for those who cannot see it, and close the figure.

    The page gets `<img alt="…">` as HTML: JupyterLab and nbconvert show an image/png, which is there for other
    readers and for PDF, without the alternative text of its metadata. The bytes depend only on the figure, so a
    second run stores the same notebook. Raises ValueError when `alt` is too short: it should describe what the
    figure shows, not name it; TypeError when it is no text.

    >>> fig, _ = figure()
    >>> show(fig, alt="plot")
    Traceback (most recent call last):
    ...
    ValueError: alt must describe the figure in at least 20 characters, got 'plot'
    """
    from IPython.display import display

    checks.instance("fig", fig, Figure)
    try:
        described = " ".join(checks.instance("alt", alt, str).split())
        if len(described) < 20:
            raise ValueError(f"alt must describe the figure in at least 20 characters, got {alt!r}")
        stored = as_stored(_png(fig), described)
    finally:
        plt.close(fig)
    display(stored, raw=True, metadata={"image/png": {"alt": described}})


def as_stored(png: bytes, alt: str) -> dict[str, str]:
    """What a notebook stores of a picture: its bytes, and the HTML that shows them with `alt`, by media type.

    >>> as_stored(b"PNG", 'a < b & "c"')["text/html"]
    '<img alt="a &lt; b &amp; &quot;c&quot;" src="data:image/png;base64,UE5H">'
    """
    encoded = base64.b64encode(png).decode()
    shown = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{encoded}">'
    return {"image/png": encoded, "text/html": shown, "text/plain": "<figure>"}


def _png(fig: Figure) -> bytes:
    with io.BytesIO() as drawn:
        fig.savefig(drawn, format="png", dpi=100, facecolor="white")  # a card of its own on a dark page
        return few_colours(drawn.getvalue())


def few_colours(png: bytes) -> bytes:
    """A PNG in the 256 colours that fit it best: a third of the bytes, and the same to the eye.

    Raises ValueError for bytes that are no picture.
    """
    try:
        drawn = Image.open(io.BytesIO(png))
    except UnidentifiedImageError:
        raise ValueError(f"png must be the bytes of a picture, got {png[:20]!r}") from None
    with drawn, io.BytesIO() as small:
        palette = drawn.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        palette.save(small, "png", optimize=True)
        return small.getvalue()
