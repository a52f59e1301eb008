"""Where a contract's output holds the answer, declared once at admission and read strictly.

``malignancy-likelihood.json`` is a file that holds one number; ``result.json#/scores/malignant`` a place in it
(JSON pointer, RFC 6901); ``predictions.csv#case=score`` the column ``score`` in the row whose column ``case`` is
the case's name. ``{case}`` in file or pointer stands for that name, for containers that answer many cases at once.

Where a task asks for several numbers, the place holds one object of all of them by name (and nothing else), or
``{output}`` stands for each number's name: ``{output}.json``, ``result.json#/classes/{output}/probability``,
``predictions.csv#case=p_{output}``; what else stands in the file is then passed over.

A mask may be an image of the case's own grid: ``lesion.nii.gz``, ``mask.mha``, ``mask.png``, ``segmentation.dcm``.
Inside is what is not 0; ``lesion.nii.gz#2`` says what equals 2, or segment 2. ``images/lesion/*.mha`` is the one such
file of a folder, whatever its name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runners.answers import Answer, Form, checked_values, parse_document
from runners.errors import ContractRefused
from runners.failures import CaseFailed, FailureCode, RefusalCode

FILE_BYTES = 8 << 20
"""Bytes that one file of answers may have."""

MASK_BYTES = 256 << 20
"""Bytes that one file with a mask may have."""
MASK_SUFFIXES = (".nii", ".nii.gz", ".mha", ".png", ".dcm")

_FILE = re.compile(
    r"(?:[A-Za-z0-9_{][A-Za-z0-9._{}-]{0,127}/){0,7}"
    r"(?:[A-Za-z0-9_{][A-Za-z0-9._{}-]{0,127}\.(?:json|csv|nii|nii\.gz|mha|png|dcm)|\*\.(?:nii|nii\.gz|mha|png|dcm))"
)
_VALUE = re.compile(r"(?:[1-9][0-9]{0,4})?")
_POINTER = re.compile(r"(?:/[^/]{0,200}){0,16}")
_COLUMNS = re.compile(r"([^=]{1,100})=([^=]{1,100})")
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_LONGEST_FIELD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLocation:
    """A checked declaration.

    ``place`` is a JSON pointer, for CSV the two columns ``KEY=VALUE``, for a mask the value that is inside.
    """

    file: str
    place: str

    def __str__(self) -> str:
        return f"{self.file}#{self.place}" if self.place else self.file

    @property
    def is_mask(self) -> bool:
        """Whether the file is a mask as an image."""
        return self.file.endswith(MASK_SUFFIXES)

    @property
    def value(self) -> int | None:
        """The value of a mask that is inside; None: whatever is not 0."""
        return int(self.place) if self.is_mask and self.place else None

    @property
    def by_output(self) -> bool:
        """Whether each number of an answer has a place of its own."""
        return "{output}" in f"{self.file}{self.place}"

    @property
    def by_case(self) -> bool:
        """Whether it tells the answers of several cases apart."""
        return self.file.endswith(".csv") or "{case}" in f"{self.file}{self.place}"

    def file_of(self, case: str, output: str = "") -> str:
        """File below the output folder that holds the number ``output`` of the answer to ``case``.

        Other characters of a number's name than letters, digits, dot, dash and underscore are underscores in it.
        """
        return self.file.replace("{case}", case).replace("{output}", _UNUSUAL.sub("_", output))

    def place_of(self, case: str, output: str = "") -> str:
        """Place in that file; a name in a pointer is escaped as RFC 6901 says."""
        escaped = output
        if not self.file.endswith(".csv"):
            escaped = output.replace("~", "~0").replace("/", "~1")
        return self.place.replace("{case}", case).replace("{output}", escaped)

    def files_of(self, case: str, outputs: Iterable[str]) -> tuple[str, ...]:
        """Every file that holds a number of the answer to ``case``, each once."""
        return tuple(dict.fromkeys(self.file_of(case, output) for output in outputs))


def parse_location(text: str) -> AnswerLocation:
    """Check a declaration.

    Raises:
        ContractRefused: it is not of the form.
    """
    file, _, place = text.partition("#")
    braces = f"{file}{place}".replace("{case}", "").replace("{output}", "")
    form = _COLUMNS if file.endswith(".csv") else _VALUE if file.endswith(MASK_SUFFIXES) else _POINTER
    if (
        not _FILE.fullmatch(file)
        or "{" in braces
        or "}" in braces
        or not form.fullmatch(place)
        or re.search(r"~(?![01])", place)
    ):
        raise ContractRefused(
            "The place of the answer must be FILE.json, FILE.json#/json/pointer, FILE.csv#KEY=VALUE, or for a mask "
            "FILE.nii.gz (.nii, .mha, .png, .dcm), relative to the output folder, in plain names; {case} may stand for "
            "the case, and {output} for a number's name."
        )
    return AnswerLocation(file=file, place=place)


def located_answer(
    contents: Mapping[str, bytes],
    location: AnswerLocation,
    case: str,
    ranges: Mapping[str, Form],
    converted: Callable[[Any], Any] = lambda value: value,
) -> Answer:
    """Read the answer to ``case`` from the contents of its files, by name; files that are not there are missing.

    The value is a number when the task has one output, or an object of all its numbers by name, or
    ``{"refused": CODE}``. With ``{output}`` in the location, each place holds one number. ``converted`` makes of a
    value in another platform's form the agreed one.

    Raises:
        CaseFailed: GARBAGE, OUTPUT_MISSING (no file, or it does not speak of the case) or OUT_OF_RANGE.
    """
    values = {name: converted(_value(contents, location, case, name)) for name in _places(location, ranges)}
    value: Any = next(iter(values.values()))
    if isinstance(value, dict) and value.keys() == {"refused"}:
        try:
            return Answer(values=None, refusal=RefusalCode(value["refused"]))
        except ValueError:
            raise CaseFailed(FailureCode.GARBAGE, "the refusal is not in the closed list") from None
    if location.by_output:
        value = values
    elif not isinstance(value, dict) and len(ranges) == 1:
        value = {next(iter(ranges)): value}
    return Answer(values=checked_values(value, ranges), refusal=None)


def _places(location: AnswerLocation, ranges: Mapping[str, Form]) -> tuple[str, ...]:
    return tuple(ranges) if location.by_output else ("",)


def _value(contents: Mapping[str, bytes], location: AnswerLocation, case: str, output: str) -> Any:
    content = contents.get(location.file_of(case, output))
    if content is None:
        raise CaseFailed(FailureCode.OUTPUT_MISSING)
    place = location.place_of(case, output)
    return (
        _from_table(content, place, case)
        if location.file.endswith(".csv")
        else _at(parse_document(content), place)
    )


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
