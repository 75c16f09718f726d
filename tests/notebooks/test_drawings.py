"""The drawings of the lectures can be read: in light and dark, at 700 pixels, by eye and by ear, with nothing loaded."""

import re
import xml.etree.ElementTree as ET

import pytest

from lib import NOTEBOOKS
from lib.lectures.companions import used_in
from lib.lectures.notebooks import all_notebooks, load
from tests.browser import TOLD, needs_browser, opened, told_by

DRAWINGS = sorted((NOTEBOOKS / "figures").glob("*.svg"))
WIDTH, SMALLEST = 700, 13  # the width of a page, and the smallest letters on it, in pixels
LARGEST = 40_000  # bytes
SVG = "{http://www.w3.org/2000/svg}"
UNPAINTED = {f"{SVG}{tag}" for tag in ("title", "desc", "defs", "style", "metadata")}
ACTIVE = {f"{SVG}{tag}" for tag in ("script", "foreignObject", "image", "iframe", "audio", "video")}
SIZE = re.compile(r"font-size\s*[=:]\s*[\"']?\s*([^\"';}\s]+)|\bfont\s*[=:]\s*[\"']?([^\"';}]+)")

MEASURE = """
const outside = [], small = [];
for (const svg of document.querySelectorAll("svg")) {
  const card = svg.getBoundingClientRect();
  for (const text of svg.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    const words = text.textContent.trim().replace(/\\s+/g, " ");
    if (words && (box.left < card.left - 0.5 || box.right > card.right + 0.5 ||
                  box.top < card.top - 0.5 || box.bottom > card.bottom + 0.5)) outside.push([svg.id, words]);
    for (const part of [text, ...text.querySelectorAll("tspan")]) {
      const seen = part.getScreenCTM(), size = parseFloat(getComputedStyle(part).fontSize);
      if (part.textContent.trim() && size * Math.hypot(seen.a, seen.b) < SMALLEST - 0.01)
        small.push([svg.id, part.textContent.trim()]);
    }
  }
}
tell({outside, small});
"""


def findings(content):
    """What is wrong with a drawing, the bytes of an SVG file, as far as its text says."""
    source = content.decode("utf-8", errors="replace")
    if re.search(r"<!(DOCTYPE|ENTITY)", source):
        return ["a document type: entities are not needed"]
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        return [f"not well-formed: {error}"]
    if root.tag != f"{SVG}svg":
        return [f"the root is {root.tag}, not svg in its namespace"]
    box = [float(number) for number in re.findall(r"-?[\d.]+", root.get("viewBox", ""))]
    if len(box) != 4 or min(box[2:]) <= 0:
        return ["no viewBox of four numbers"]
    found = [f"no <{tag}>" for tag, least in (("title", 5), ("desc", 40)) if len(_told(root, tag)) < least]
    if len(content) > LARGEST:
        found.append(f"{len(content)} bytes, at most {LARGEST}")
    return list(dict.fromkeys([*found, *_card(root, box), *_small(source, box[2]), *_loaded(root, source)]))


def _told(root, tag):
    return (root.findtext(f"{SVG}{tag}") or "").strip()


def _card(root, box):
    """A light card fills the drawing before anything is painted on it, so it is legible on a dark page."""
    first = next((child for child in root if child.tag not in UNPAINTED), None)
    shape = first.attrib if first is not None and first.tag == f"{SVG}rect" else {}
    fill = shape.get("fill", "")
    light = re.fullmatch(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})|white", fill) and min(_rgb(fill)) >= 0xE0
    whole = all(float(shape.get(side, 0)) >= 0.98 * length for side, length in zip(("width", "height"), box[2:]))
    if not light or not whole or {"opacity", "fill-opacity", "transform", "style", "class"} & set(shape):
        yield "the first shape is not a light card over the whole viewBox"


def _rgb(fill):
    digits = "ffffff" if fill == "white" else fill[1:] if len(fill) == 7 else "".join(2 * digit for digit in fill[1:])
    return [int(digits[i : i + 2], 16) for i in (0, 2, 4)]


def _small(source, width):
    for size, font in SIZE.findall(source):
        number = re.fullmatch(r"([\d.]+)(px)?", size)
        if font or not number:
            yield f"a font size that is no number: {size or font}"
        elif float(number[1]) * WIDTH / width < SMALLEST - 0.01:
            shown = float(number[1]) * WIDTH / width
            yield f"font-size {size} is {shown:.1f} px at {WIDTH} px, at least {SMALLEST}"
    if not SIZE.search(source):
        yield "no font-size"


def _loaded(root, source):
    """Scripts, and whatever is not in the file itself."""
    for element in root.iter():
        if element.tag in ACTIVE:
            yield f"<{element.tag.removeprefix(SVG)}>"
        for name, value in element.attrib.items():
            bare = re.sub(r"{.*}", "", name)
            if bare.startswith("on") or bare in ("href", "src") and not value.startswith("#"):
                yield f"{bare}={value!r}"
    yield from re.findall(r"url\(\s*[\"']?(?!#)[^)]*\)|@import[^;]*|<\?xml-stylesheet[^>]*", source)


def sample(
    body="", *, card='<rect width="700" height="300" rx="10" fill="#ffffff"/>', box="0 0 700 300", root="", **told
):
    """A drawing that breaks no rule, or one with something changed."""
    words = {
        "title": "A soft look-up",
        "desc": "The query is compared with three keys; the output mixes the values.",
    } | told
    texts = "".join(f"<{tag}>{text}</{tag}>" for tag, text in words.items() if text)
    text = '<text x="20" y="40" font-weight="bold">bank</text>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="15" {root}>'
    return f"{head}{texts}{card}{text}{body}</svg>".encode()


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_every_drawing_keeps_the_rules(path):
    assert findings(path.read_bytes()) == []


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_every_drawing_is_shown_by_a_lecture(path):
    assert f"figures/{path.name}" in named(), "no lecture shows it"


def named():
    """All drawings and explorables that the lectures name."""
    return {name for path in all_notebooks() for name in used_in(load(path))}


def test_every_drawing_that_a_lecture_shows_is_there():
    assert [name for name in sorted(named()) if not (NOTEBOOKS / name).is_file()] == []


def test_the_sample_keeps_the_rules():
    assert findings(sample()) == []
    assert findings(sample(card='<defs><path id="a" d="M0 0"/></defs><rect x=".5" y=".5" width="699" height="299" fill="#fff"/>',
                           body='<use href="#a" fill="url(#b)"/><text font-size="13px">a</text>')) == []  # fmt: skip


@pytest.mark.parametrize(
    "content, words",
    [
        (sample()[:-1], "not well-formed"),
        (b"<html/>", "the root is html"),
        (sample().replace(b' xmlns="http://www.w3.org/2000/svg"', b""), "the root is svg, not svg in its namespace"),
        (b"<!DOCTYPE svg>" + sample(), "a document type"),
        (sample(box="0 0 700"), "no viewBox"),
        (sample(title=""), "no <title>"),
        (sample(desc="Three words."), "no <desc>"),
        (sample("<!-- " + 40_000 * "x" + " -->"), "bytes, at most 40000"),
        (sample(card=""), "light card"),
        (sample(card='<rect width="700" height="200" fill="#ffffff"/>'), "light card"),
        (sample(card='<rect width="700" height="300" fill="#222222"/>'), "light card"),
        (sample(card='<rect width="700" height="300" fill="#ffffff" opacity=".5"/>'), "light card"),
        (sample(card='<rect width="700" height="300" fill="none"/>'), "light card"),
        (sample('<text font-size="12">a</text>'), "font-size 12 is 12.0 px"),
        (sample('<text style="font-size: 12px">a</text>'), "font-size 12px"),
        (sample("<style>text { font: 9px serif }</style>"), "a font size that is no number: 9px serif"),
        (sample('<text font-size="80%">a</text>'), "a font size that is no number: 80%"),
        (sample(box="0 0 900 300", card='<rect width="900" height="300" fill="white"/>'), "font-size 15 is 11.7 px"),
        (sample().replace(b' font-size="15"', b""), "no font-size"),
        (sample("<script>alert(1)</script>"), "<script>"),
        (sample(root='onload="alert(1)"'), "onload="),
        (sample('<a href="https://example.org"><text>a</text></a>'), "href='https://example.org'"),
        (sample('<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="other.svg#a"/>'), "href='other.svg#a'"),
        (sample('<rect fill="url(other.svg#a)"/>'), "url(other.svg#a)"),
        (sample("<style>@import 'fonts.css';</style>"), "@import 'fonts.css'"),
        (b'<?xml-stylesheet href="a.css"?>' + sample(), "<?xml-stylesheet"),
    ],
)
def test_each_rule_can_fail(content, words):
    (finding,) = findings(content)
    assert words in finding


def measured(drawings, tmp_path):
    """[drawing, words] of the texts that do not fit on their card, and of those that are too small, in the browser."""
    shown = []
    for name, content in drawings.items():
        source = re.sub(r"<\?xml[^>]*\?>", "", content.decode())
        source = re.sub(r"<svg ", f'<svg id="{name}" ', source, count=1)
        shown.append(f'<div style="width: {WIDTH}px; overflow: visible">{source}</div>')
    script = f"<script>{TOLD}const SMALLEST = {SMALLEST};{MEASURE}</script>"
    page = f"<!doctype html><meta charset=utf-8><body>{''.join(shown)}{script}"
    return told_by(opened(tmp_path, page)[0])


@needs_browser
@pytest.mark.skipif(not DRAWINGS, reason="there are no drawings")
def test_every_text_is_on_its_card_and_large_enough(tmp_path):
    told = measured({path.stem: path.read_bytes() for path in DRAWINGS}, tmp_path)
    assert told == {"outside": [], "small": []}


@needs_browser
def test_the_browser_sees_what_does_not_fit(tmp_path):
    drawings = {
        "good": sample(),
        "long": sample('<text x="600" y="80">a text that is longer than its card</text>'),
        "low": sample('<text x="20" y="310">below</text>'),
        "moved": sample('<g transform="translate(-60 0)"><text x="20" y="80">moved out</text></g>'),
        "scaled": sample('<g transform="scale(.5)"><text x="20" y="80">scaled</text></g>'),
    }
    assert measured(drawings, tmp_path) == {
        "outside": [["long", "a text that is longer than its card"], ["low", "below"], ["moved", "moved out"]],
        "small": [["scaled", "scaled"]],
    }
