"""Explorables: interactive pages beside the lectures, each one HTML file without anything loaded from elsewhere.

A page is `frame.html` (style and helpers of all pages) around its own template, which lies beside it, with the numbers that a
function of `pages` computes by `lib`. `python -m lib.plots.explorables` writes them all into notebooks/explorables/.
"""

import json
import re
from pathlib import Path
from typing import Any

from lib import NOTEBOOKS, checks
from lib.files import atomic_path
from lib.plots.explorables.pages import PAGES

__all__ = ["FOLDER", "PAGES", "data_of", "page", "write"]

FOLDER = NOTEBOOKS / "explorables"
"""Where the pages lie."""

_HERE = Path(__file__).parent
_DATA = re.compile(r"^const DATA = (.*);$", re.MULTILINE)


def page(name: str, data: dict[str, Any]) -> str:
    """The whole page `name` with these data, as the text of its file; the same data give the same text.

    Raises ValueError, with the nearest name, if there is no such page, and for data that are not finite.

    >>> "<title>Will it fit?</title>" in page("will_it_fit", {})
    True
    """
    checks.one_of("name", name, PAGES)
    template = (_HERE / f"{name}.html").read_text(encoding="utf-8")
    style, body, script = (part.strip() for part in re.split(r"</?style>|<script>", template)[1:])
    title = re.sub(r"<.*?>", "", body[: body.index("</h1>")])
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    filled = {
        "TITLE": title,
        "STYLE": style,
        "BODY": body,
        "DATA": text.replace("</", "<\\/").replace("<!--", "<\\!--"),
        "SCRIPT": script.removesuffix("</script>").strip(),
    }
    frame = (_HERE / "frame.html").read_text(encoding="utf-8")
    return re.sub(r"@@([A-Z]+)@@", lambda found: filled[found[1]], frame)


def data_of(text: str) -> dict[str, Any]:
    """The data in the text of a page, as they were given to `page`.

    Raises ValueError if it has none.

    >>> data_of(page("will_it_fit", {"gpus": [24, 80]}))
    {'gpus': [24, 80]}
    """
    found = _DATA.search(text)
    if not found:
        raise ValueError("text must be a page that `page` made, got one without the line `const DATA = …`")
    return json.loads(found[1].replace("<\\!--", "<!--"))


def write(folder: Path = FOLDER) -> list[Path]:
    """Compute the data of every page, and write the pages into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.html" for name in PAGES]
    for path in paths:
        with atomic_path(path) as half_written:
            half_written.write_text(page(path.stem, PAGES[path.stem]()), encoding="utf-8", newline="\n")
    return paths
