"""Tables of counts and figures in results, in a form that any task can fill and one page can draw.

Part of the schema ``proctor/results/1``; plain frozen data, numbers finite or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTable:
    """A table of counts, such as a confusion matrix.

    Attributes:
        name: an identifier, its own within an analysis.
        title: what the table shows, in words.
        row_title, column_title: what rows and columns are.
        rows, columns: their names.
        counts: one tuple of counts for each row.
        note: a sentence on what is counted how.
        diagonal: rows and columns have the same order, and the diagonal is agreement.
    """

    name: str
    title: str
    row_title: str
    column_title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    note: str = ""
    diagonal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a figure with an optional band; parallel tuples of equal length.

    ``low`` and ``high`` are empty where there is no band. ``style``: ``curve`` is what was measured,
    ``reference`` a line to compare with (chance, identity, no device), ``limit`` a limit around a curve.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    style: Literal["curve", "reference", "limit"] = "curve"
    steps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """How many cases lie in each cell of a grid: single cases are never in a figure.

    ``counts`` has a tuple for each interval of ``y_edges``, with a count for each interval of ``x_edges``.
    """

    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A figure: lines, or cases on a grid, with what its axes are.

    Attributes:
        name: an identifier, its own within an analysis.
        title: what the figure shows, in words.
        x_label, y_label: the axes, with units.
        lines: in the order in which the legend names them.
        density: cases on a grid, behind the lines.
        x_low, x_high, y_low, y_high: the axes' ends; None: where the lines end.
        log_x: the horizontal axis is logarithmic.
        level: confidence level of the bands, None without bands.
        method: what made the bands.
        note: a sentence on how to read the figure.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    density: Density | None = None
    x_low: float | None = None
    x_high: float | None = None
    y_low: float | None = None
    y_high: float | None = None
    log_x: bool = False
    level: float | None = None
    method: str = ""
    note: str = ""
