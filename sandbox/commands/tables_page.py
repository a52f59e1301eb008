"""A self-contained page of headed tables: no script, no link, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sandbox.commands.console import printable
from sandbox.evidence.durable import write_durable

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1c1e21}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}"
    "th,td{border-bottom:1px solid #d5d8dc;padding:.3rem .7rem;text-align:left}th{font-weight:600}"
    "p.note{color:#555}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One headed table with sentences below it."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    notes: tuple[str, ...] = ()


def write_page(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page whole or not at all."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_text(title)}</title><style>{_STYLE}</style><h1>{_text(title)}</h1>",
    ]
    for section in sections:
        parts.append(f"<h2>{_text(section.heading)}</h2><table><thead><tr>")
        parts += [f"<th scope=col>{_text(column)}</th>" for column in section.columns]
        parts.append("</tr></thead><tbody>")
        for row in section.rows:
            parts.append("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>")
        parts.append("</tbody></table>")
        parts += [f"<p class=note>{_text(note)}</p>" for note in section.notes]
    write_durable(path, "".join(parts).encode() + b"\n")


def _text(value: object) -> str:
    return escape(printable("" if value is None else value))
