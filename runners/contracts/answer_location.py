"""Where a contract's output holds the answer, declared once at admission and read strictly.

``malignancy-likelihood.json`` is a file that holds one number; ``result.json#/scores/malignant`` a place in it
(JSON pointer, RFC 6901); ``predictions.csv#case=score`` the column ``score`` in the row whose column ``case`` is
the case's name. ``{case}`` in file or pointer stands for that name, for containers that answer many cases at once.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runners.answers import Answer, NumberRange, checked_values, parse_document
from runners.errors import ContractRefused
from runners.failures import CaseFailed, FailureCode, RefusalCode

FILE_BYTES = 8 << 20
"""Bytes that one file of answers may have."""

_FILE = re.compile(
    r"(?:[A-Za-z0-9_{][A-Za-z0-9._{}-]{0,127}/){0,7}[A-Za-z0-9_{][A-Za-z0-9._{}-]{0,127}\.(?:json|csv)"
)
_POINTER = re.compile(r"(?:/[^/]{0,200}){0,16}")
_COLUMNS = re.compile(r"([^=]{1,100})=([^=]{1,100})")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_LONGEST_FIELD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLocation:
    """A checked declaration; ``place`` is a JSON pointer, or for CSV the two columns ``KEY=VALUE``."""

    file: str
    place: str

    def __str__(self) -> str:
        return f"{self.file}#{self.place}" if self.place else self.file

    @property
    def by_case(self) -> bool:
        """Whether it tells the answers of several cases apart."""
        return self.file.endswith(".csv") or "{case}" in f"{self.file}{self.place}"

    def file_of(self, case: str) -> str:
        """File below the output folder that answers ``case``."""
        return self.file.replace("{case}", case)


def parse_location(text: str) -> AnswerLocation:
    """Check a declaration.

    Raises:
        ContractRefused: it is not of the form.
    """
    file, _, place = text.partition("#")
    braces = f"{file}{place}".replace("{case}", "")
    table = file.endswith(".csv")
    if (
        not _FILE.fullmatch(file)
        or "{" in braces
        or "}" in braces
        or not (_COLUMNS if table else _POINTER).fullmatch(place)
        or re.search(r"~(?![01])", place)
    ):
        raise ContractRefused(
            "The place of the answer must be FILE.json, FILE.json#/json/pointer or FILE.csv#KEY=VALUE, relative to "
            "the output folder, in plain names; {case} may stand for the case."
        )
    return AnswerLocation(file=file, place=place)


def located_answer(
    content: bytes, location: AnswerLocation, case: str, ranges: Mapping[str, NumberRange]
) -> Answer:
    """Read the answer to ``case`` from the content of its file.

    The value is a number when the task has one output, or an object of all its numbers by name, or
    ``{"refused": CODE}``.

    Raises:
        CaseFailed: GARBAGE, OUTPUT_MISSING (the file does not speak of the case) or OUT_OF_RANGE.
    """
    value: Any
    if location.file.endswith(".csv"):
        value = _from_table(content, location.place, case)
    else:
        value = _at(parse_document(content), location.place.replace("{case}", case))
    if isinstance(value, dict) and value.keys() == {"refused"}:
        try:
            return Answer(values=None, refusal=RefusalCode(value["refused"]))
        except ValueError:
            raise CaseFailed(FailureCode.GARBAGE, "the refusal is not in the closed list") from None
    if not isinstance(value, dict) and len(ranges) == 1:
        value = {next(iter(ranges)): value}
    return Answer(values=checked_values(value, ranges), refusal=None)


def _at(value: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            raise CaseFailed(FailureCode.OUTPUT_MISSING, "nothing stands at the declared place")
    return value


def _from_table(content: bytes, place: str, case: str) -> float:
    key, _, column = place.partition("=")
    try:
        text = content.decode("utf-8-sig", "strict")
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        names = next(rows, [])
        if names.count(key) != 1 or names.count(column) != 1:
            raise CaseFailed(FailureCode.GARBAGE, "the table does not have the declared columns once each")
        at, value_at = names.index(key), names.index(column)
        found = [row[value_at] for row in rows if len(row) == len(names) and row[at] == case]
    except (ValueError, csv.Error) as error:
        raise CaseFailed(FailureCode.GARBAGE, f"not a table in UTF-8 ({type(error).__name__})") from None
    if not found:
        raise CaseFailed(FailureCode.OUTPUT_MISSING, "the table has no row for the case")
    if len(found) > 1:
        raise CaseFailed(FailureCode.GARBAGE, "the table has several rows for the case")
    try:
        if len(found[0]) > _LONGEST_FIELD or "_" in found[0]:
            raise ValueError
        return float(found[0])
    except ValueError:
        raise CaseFailed(FailureCode.GARBAGE, "a value of the table is not a number") from None
