"""The vendor's page: a release's own document as a person reads it. It knows nothing but that document."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sandbox.release.selection import field_name
from sandbox.report import text

HERE = Path(__file__).parent
CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_ENDS = ("value", "low", "high")


def render_release(document: Mapping[str, Any]) -> bytes:
    """Render ``release.json``'s document as a self-contained page without any script; equal inputs, equal bytes."""
    style = Markup((HERE.parent / "report" / "style.css").read_text(encoding="utf-8"))  # noqa: S704  our own file
    html = (
        _environment()
        .get_template("page.html.jinja")
        .render(document=document, policy=CONTENT_POLICY, style=style, **_sections(document))
    )
    return html.encode("utf-8")


def _sections(document: Mapping[str, Any]) -> dict[str, Any]:
    """Split the fields into verdicts, numbers with the ends of their interval, and the rest."""
    verdicts: list[tuple[str, str]] = []
    numbers: dict[str, dict[str, str]] = {}
    units: dict[str, dict[str, str]] = {}
    for field in document["fields"]:
        name = field_name(field["path"])
        stem, _, end = name.rpartition("/")
        if field["kind"] == "verdict":
            verdicts.append((name, field["value"]))
        elif end in _ENDS:
            numbers.setdefault(stem, {})[end] = field["value"]
            if end == "value" and "unit" in field:
                units[stem] = {"text": field["unit"], "step": field["grid"]}
        else:
            numbers.setdefault(name, {})["value"] = field["value"]
    return {
        "verdicts": verdicts,
        "numbers": list(numbers.items()),
        "units": units,
        "withheld": [(field_name(each["path"]), each["reason"]) for each in document["withheld"]],
    }


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=lambda value: (
            text.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
