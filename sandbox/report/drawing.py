"""From a matplotlib figure to one inline SVG: equal bytes every time, text as text, colours of the page.

The figure is laid out in CSS pixels (one SVG unit each). Colours are placeholders that become CSS variables
of the page with a light fallback, so that one figure serves light, dark and print. What matplotlib adds
beside the drawing (metadata, a style sheet that would reach the whole page, namespaces, ids that clash
between figures) is taken out again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from xml.etree import ElementTree

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

from sandbox.report.text import visible

POINTS_PER_PIXEL_UNIT: Final = 72
# The group of a text that lies over a curve; the page gives it an outline in the colour of the paper.
HALO: Final = "halo"
REFERENCE: Final = re.compile(r"#([\w.-]+)")
FONT_SIZE: Final = 12
SMALL: Final = 11

# Placeholder colours; VARIABLES names the page's variable and the fallback where the figure stands alone.
# Blue and orange stay apart for all common forms of colour blindness (Okabe & Ito 2008); each also differs by
# mark.
INK: Final = "#010101"
MUTED: Final = "#020202"
GRID: Final = "#030303"
SERIES: Final = "#040404"
BAND: Final = "#050505"
ALERT: Final = "#060606"
FAINT: Final = "#070707"
PAPER: Final = "#080808"
SECOND: Final = "#090909"
VARIABLES: Final = {
    INK: "var(--ink, #1d2329)",
    MUTED: "var(--muted, #5b6570)",
    GRID: "var(--grid, #e3e6ea)",
    SERIES: "var(--series, #1f5fa8)",
    BAND: "var(--band, #cfdff0)",
    ALERT: "var(--alert, #b5480f)",
    FAINT: "var(--faint, #9aa3ad)",
    PAPER: "var(--paper, #ffffff)",
    SECOND: "var(--second, #c9ced4)",
}

STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.linewidth": 1,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": FONT_SIZE,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.solid_capstyle": "butt",
}


@contextmanager
def house_style(name: str) -> Iterator[None]:
    """Draw within the report's style whatever the user's own matplotlib settings; `name` seeds the ids."""
    with matplotlib.style.context(["default", STYLE | {"svg.hashsalt": f"proctor-{name}"}]):
        yield


def new_figure(width: int, height: int) -> Figure:
    """Give an empty figure of `width` x `height` CSS pixels."""
    figure = Figure(figsize=(width / POINTS_PER_PIXEL_UNIT, height / POINTS_PER_PIXEL_UNIT))
    FigureCanvasSVG(figure)
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place in CSS pixels from the figure's upper left corner."""
    whole_width, whole_height = (inches * POINTS_PER_PIXEL_UNIT for inches in figure.get_size_inches())
    axes: Axes = figure.add_axes(
        (
            left / whole_width,
            1 - (top + height) / whole_height,
            width / whole_width,
            height / whole_height,
        )
    )
    return axes


def write(
    figure: Figure,
    left: float,
    top: float,
    text: str,
    *,
    colour: str = INK,
    anchor: str = "left",
    size: int = FONT_SIZE,
    bold: bool = False,
) -> Text:
    """Write foreign or own text, made visible, at a place in CSS pixels (baseline)."""
    whole_width, whole_height = (inches * POINTS_PER_PIXEL_UNIT for inches in figure.get_size_inches())
    written: Text = figure.text(
        left / whole_width,
        1 - top / whole_height,
        visible(text),
        color=colour,
        ha=anchor,
        va="baseline",
        size=size,
        weight="bold" if bold else "normal",
    )
    return written


def unit_ticks(axes: Axes, *, horizontal: bool = True, vertical: bool = False, low: float = 0.0) -> None:
    """Put the same few ticks on every axis that runs from `low` to 1."""
    step = 0.25 if low == 0 else 0.1 if low >= 0.5 else 0.2
    number = round((1 - low) / step + 1e-9)
    ticks = [round(1 - step * i, 2) for i in range(int(number), -1, -1)]
    labels = ["0" if t == 0 else "1" if t == 1 else f"{t:.2f}".rstrip("0") for t in ticks]
    if horizontal:
        axes.set_xticks(ticks, labels)
    if vertical:
        axes.set_yticks(ticks, labels)


def to_svg(figure: Figure, name: str, title: str) -> str:
    """Write `figure` as an inline SVG element named `title` for those who do not see it.

    `name` prefixes every id, so that several figures can stand in one page. Must run within
    :func:`house_style` of the same name.
    """
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    return inline(buffer.getvalue(), name, title)


def inline(svg: bytes, name: str, title: str) -> str:
    """Strip one of matplotlib's SVG files down to the element that a page can hold."""
    root = ElementTree.fromstring(svg)  # noqa: S314  matplotlib's own output, foreign text already escaped
    width = float(root.attrib["viewBox"].split()[2])
    referenced = {match for value in _attributes(root) for match in REFERENCE.findall(value)}
    for element in list(root.iter()):
        element.tag = element.tag.rpartition("}")[2]
        element.text = (element.text or "").strip() or None if element.tag != "text" else element.text
        element.tail = None
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            if key == "id" and value == HALO:
                element.attrib["class"] = HALO
            if (key == "id" and value not in referenced) or value.startswith("rotate(-0 "):
                continue
            element.attrib[key.rpartition("}")[2]] = _in_page(key, value, name)
    for unwanted in ("metadata", "style"):
        for parent in list(root.iter()):
            for child in [c for c in parent if c.tag == unwanted]:
                parent.remove(child)
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag == "defs" and len(c) == 0]:
            parent.remove(child)
    view_box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update(
        {
            "class": "figure",
            "viewBox": view_box,
            "role": "img",
            "aria-label": visible(title),
            "style": f"max-width: {width:.0f}px",
        }
    )
    return ElementTree.tostring(root, encoding="unicode")


def _attributes(root: ElementTree.Element) -> Iterator[str]:
    """Give every attribute value beneath `root`."""
    for element in root.iter():
        yield from element.attrib.values()


def _in_page(key: str, value: str, name: str) -> str:
    """Give an attribute's value with page colours, the page's font and ids that are this figure's own."""
    if key == "id":
        return f"{name}-{value}"
    if value.startswith("#") and key.endswith("href"):
        return f"#{name}-{value[1:]}"
    value = value.replace("url(#", f"url(#{name}-")
    if key == "style":
        for placeholder, variable in VARIABLES.items():
            value = value.replace(placeholder, variable)
        value = value.replace("'DejaVu Sans'", "var(--text-font, sans-serif)")
    return value
