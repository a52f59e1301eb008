"""The tables of ADMISSION.md and CONTRACTS.md, made from the code that they describe.

Run ``python -m runners.reference_tables`` to write them; a test compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from runners.contracts.reports import REPORTS
from runners.failures import FailureCode
from runners.refusals import CHECKS, AdmissionNote, RefusalReason

FOLDER = Path(__file__).parent
_BEGIN, _END = "<!-- table: {name} -->\n", "<!-- end -->"


def admission_checks() -> str:
    """Make the table of every check with its codes."""
    rows = [
        (check.what, ", ".join(f"`{code.value}`" for code in check.codes), check.otherwise)
        for check in CHECKS
    ]
    return _table(("what is checked", "codes", "how"), rows)


def admission_sentences() -> str:
    """Make the table of every code with its sentence for the vendor."""
    codes: tuple[RefusalReason | AdmissionNote, ...] = (*RefusalReason, *AdmissionNote)
    rows = [
        (f"`{code.value}`", "refused" if isinstance(code, RefusalReason) else "noted", code.sentence)
        for code in codes
    ]
    return _table(("code", "", "sentence"), rows)


def contract_reports() -> str:
    """Make the table of what each contract can report about a case."""
    rows: list[tuple[str, ...]] = [
        ("clock of a case", *(item.clock for item in REPORTS)),
        ("start of the container", *(item.start for item in REPORTS)),
        ("floor of a case, ms", *(item.floor for item in REPORTS)),
    ]
    for code in FailureCode:
        cells = [
            "yes" if code in item.codes else "whole run" if code in item.run_codes else "-"
            for item in REPORTS
        ]
        rows.append((f"`{code.value}`", *cells))
    return _table(("", *(item.name for item in REPORTS)), rows)


TABLES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "ADMISSION.md": {"checks": admission_checks, "sentences": admission_sentences},
    "CONTRACTS.md": {"reports": contract_reports},
}


def with_tables(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Put tables into a page, between the marks that name them.

    Raises:
        ValueError: a mark is missing.
    """
    for name, make in tables.items():
        begin = _BEGIN.format(name=name)
        start = text.index(begin) + len(begin)
        text = text[:start] + make() + text[text.index(_END, start) :]
    return text


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    titles = tuple(head)
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    for page, made in TABLES.items():
        path = FOLDER / page
        path.write_text(with_tables(path.read_text(encoding="utf-8"), made), encoding="utf-8")
