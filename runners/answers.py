"""Answers of a container: one strict, bounded JSON object a line.

The text comes from a program that may be hostile. Whatever RFC 8259 leaves to the reader (duplicate names,
numbers beyond range, nesting depth) is a refusal here, so that every reader of an answer sees the same one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from runners.failures import CaseFailed, FailureCode, RefusalCode

# An honest answer has two objects; brackets beyond this are refused before the parser recurses into them.
_BRACKETS = 16
_DIGITS = 32
_SIDE = 65_535
_ELEMENTS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """The closed range of one number in an answer; a ``whole`` number has no fraction."""

    minimum: float
    maximum: float
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskForm:
    """A mask as ``{"shape": [...], "runs": [...]}``, of at most ``runs`` run lengths.

    ``shape`` is rows and columns, or slices, rows and columns. ``runs`` alternate from outside of the mask, in
    row-major order, and add up to the product of the sides. Contracts with an output folder may give it as a file of
    images; one on another grid than the case is refused, or resampled where ``resample`` says so.
    """

    runs: int
    resample: bool = False


FindingsKind = Literal["boxes_in_image", "points_in_volume", "boxes_in_volume"]
PLACES: Mapping[FindingsKind, tuple[str, int]] = {
    "boxes_in_image": ("boxes", 4),
    "points_in_volume": ("points", 3),
    "boxes_in_volume": ("boxes", 6),
}
"""By form of the findings: the key that holds their places, and the numbers of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsForm:
    """At most ``most`` findings as ``{"boxes": [...], "scores": [...]}``, each score from ``minimum`` to ``maximum``.

    ``boxes`` in an image has four numbers for each score: left, top, right and bottom, in pixels from the left upper
    corner of the image (a box of the first pixel alone is 0, 0, 1, 1). In a volume it has six, x y z of the lowest
    corner and of the highest, and ``points`` in its place has three, in the patient's coordinates (LPS, millimetres).
    """

    most: int
    minimum: float
    maximum: float
    form: FindingsKind = "boxes_in_image"

    @property
    def in_volume(self) -> bool:
        """Whether findings lie in the patient's coordinates."""
        return self.form != "boxes_in_image"


Form = NumberRange | MaskForm | FindingsForm
Value = float | tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A well-formed reply: values by name, or the refusal in their place.

    A mask is one list of whole numbers: how many sides, the sides, the runs. Findings are one list of numbers:
    place and score of each.
    """

    values: dict[str, Value] | None
    refusal: RefusalCode | None


def answer_ranges(task: Mapping[str, Any]) -> dict[str, Form]:
    """Read from ``task`` which values an answer must hold.

    ``{"output": {"score": {"minimum": 0, "maximum": 1}}}`` asks for one number ``score``. With ``"whole": true``
    a number must have no fraction: a grade between two grades is no answer. ``{"mask": {"runs": 8192}}``
    (and ``"on_mismatch": "resample"``) asks for a mask, ``{"findings": {"most": 100, "minimum": 0, "maximum": 1}}``
    (and a ``form`` where it is not boxes in an image) for findings.

    Raises:
        ValueError: there is no output, a range is not two ordered numbers, or findings have an unknown form.
    """
    output = task.get("output")
    if not isinstance(output, Mapping) or not output:
        raise ValueError("task has no output: name the numbers that an answer must hold")
    ranges: dict[str, Form] = {}
    for name, bounds in output.items():
        if "runs" in bounds:
            resample = bounds.get("on_mismatch") == "resample"
            ranges[str(name)] = MaskForm(runs=int(bounds["runs"]), resample=resample)
            continue
        if "most" in bounds:
            form = bounds.get("form", "boxes_in_image")
            if form not in get_args(FindingsKind):
                raise ValueError(f"output {name}: form must be one of {', '.join(get_args(FindingsKind))}")
            ranges[str(name)] = FindingsForm(
                most=int(bounds["most"]),
                minimum=float(bounds["minimum"]),
                maximum=float(bounds["maximum"]),
                form=form,
            )
            continue
        minimum, maximum = float(bounds["minimum"]), float(bounds["maximum"])
        if not (math.isfinite(minimum) and math.isfinite(maximum) and minimum < maximum):
            raise ValueError(f"output {name}: minimum must be less than maximum")
        ranges[str(name)] = NumberRange(
            minimum=minimum, maximum=maximum, whole=bounds.get("whole", False) is True
        )
    return ranges


def parse_object(line: bytes) -> dict[str, Any]:
    """Read one JSON object from one line.

    Raises:
        CaseFailed: GARBAGE when it is anything else.
    """
    if line.count(b"{") + line.count(b"[") > _BRACKETS:
        raise CaseFailed(FailureCode.GARBAGE, "nested too deeply")
    try:
        value = _DECODER.decode(line.decode("utf-8", "strict"))
    except (ValueError, RecursionError) as error:
        raise CaseFailed(FailureCode.GARBAGE, f"not strict JSON in UTF-8 ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise CaseFailed(FailureCode.GARBAGE, "not a JSON object")
    return value


def parse_answer(line: bytes, case: str, ranges: Mapping[str, Form]) -> Answer:
    """Read the reply to ``case`` from one line of output.

    Raises:
        CaseFailed: GARBAGE, WRONG_CASE or OUT_OF_RANGE.
    """
    value = parse_object(line)
    if value.keys() not in ({"case", "answer"}, {"case", "refused"}):
        raise CaseFailed(FailureCode.GARBAGE, "the keys are not case and answer, nor case and refused")
    if not isinstance(value["case"], str):
        raise CaseFailed(FailureCode.GARBAGE, "the case is not text")
    if value["case"] != case:
        raise CaseFailed(FailureCode.WRONG_CASE)
    if "refused" in value:
        try:
            return Answer(values=None, refusal=RefusalCode(value["refused"]))
        except ValueError:
            raise CaseFailed(FailureCode.GARBAGE, "the refusal is not in the closed list") from None
    return Answer(values=checked_values(value["answer"], ranges), refusal=None)


def parse_document(content: bytes) -> Any:
    """Read a JSON file of a container that was not written for Proctor: any value, NaN and Infinity as None.

    Raises:
        CaseFailed: GARBAGE when it is anything else.
    """
    try:
        return _FILE_DECODER.decode(content.decode("utf-8-sig", "strict"))
    except (ValueError, RecursionError) as error:
        raise CaseFailed(FailureCode.GARBAGE, f"not JSON in UTF-8 ({type(error).__name__})") from None


def checked_values(answer: object, ranges: Mapping[str, Form]) -> dict[str, Value]:
    """Check that ``answer`` holds exactly the agreed values, each within its range.

    Raises:
        CaseFailed: GARBAGE or OUT_OF_RANGE.
    """
    if not isinstance(answer, dict) or answer.keys() != ranges.keys():
        raise CaseFailed(FailureCode.GARBAGE, "the answer does not hold exactly the agreed numbers")
    values: dict[str, Value] = {}
    for name, bounds in ranges.items():
        number = answer[name]
        if isinstance(bounds, MaskForm):
            values[name] = checked_mask(number, bounds)
            continue
        if isinstance(bounds, FindingsForm):
            values[name] = checked_findings(number, bounds)
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise CaseFailed(FailureCode.GARBAGE, "a value of the answer is not a number")
        if not bounds.minimum <= number <= bounds.maximum:
            raise CaseFailed(FailureCode.OUT_OF_RANGE)
        if bounds.whole and number != int(number):
            raise CaseFailed(FailureCode.OUT_OF_RANGE, "a whole number has a fraction")
        values[name] = float(number)
    return values


def checked_mask(answer: object, form: MaskForm) -> tuple[int, ...]:
    """Check a mask: whole numbers in the agreed form, that say where each element of the array belongs.

    Raises:
        CaseFailed: GARBAGE, or OUT_OF_RANGE where there are too many runs or they do not fit the shape.
    """
    if not isinstance(answer, dict) or answer.keys() != {"shape", "runs"}:
        raise CaseFailed(FailureCode.GARBAGE, "a mask is not an object of shape and runs")
    shape, runs = answer["shape"], answer["runs"]
    for listed in (shape, runs):
        # A bool is an int to Python.
        if not isinstance(listed, list) or not all(type(each) is int for each in listed):
            raise CaseFailed(FailureCode.GARBAGE, "shape and runs of a mask are not lists of whole numbers")
    if (
        not 2 <= len(shape) <= 3
        or not 1 <= len(runs) <= form.runs
        or min(shape) < 1
        or max(shape) > _SIDE
        or min(runs[1:], default=1) < 1
        or runs[0] < 0
        or sum(runs) != math.prod(shape)
        or math.prod(shape) > _ELEMENTS
    ):
        raise CaseFailed(FailureCode.OUT_OF_RANGE, "the runs of a mask do not fit its shape, or are too many")
    return (len(shape), *shape, *runs)


def checked_findings(answer: object, form: FindingsForm) -> tuple[float, ...]:
    """Check a list of findings: points, or boxes with something inside, and scores within their range.

    Raises:
        CaseFailed: GARBAGE, or OUT_OF_RANGE where there are too many, or a place or score cannot be.
    """
    key, numbers = PLACES[form.form]
    if not isinstance(answer, dict) or answer.keys() != {key, "scores"}:
        raise CaseFailed(FailureCode.GARBAGE, f"findings are not an object of {key} and scores")
    places, scores = answer[key], answer["scores"]
    for listed in (places, scores):
        if not isinstance(listed, list) or not all(type(each) in (int, float) for each in listed):
            raise CaseFailed(FailureCode.GARBAGE, f"{key} and scores are not lists of numbers")
    if len(places) != numbers * len(scores):
        raise CaseFailed(FailureCode.GARBAGE, f"there are not {numbers} numbers of {key} to each score")
    lowest = -_SIDE if form.in_volume else 0
    if len(scores) > form.most or not all(lowest <= each <= _SIDE for each in places):
        raise CaseFailed(FailureCode.OUT_OF_RANGE, "there are too many findings, or a place is in no image")
    found: list[float] = []
    half = 0 if key == "points" else numbers // 2
    for index, score in enumerate(scores):
        place = places[numbers * index : numbers * (index + 1)]
        inside = all(low < high for low, high in zip(place[:half], place[numbers - half :], strict=True))
        if not (inside and form.minimum <= score <= form.maximum):
            raise CaseFailed(FailureCode.OUT_OF_RANGE, "a box has no inside, or a score is outside its range")
        found += (*map(float, place), float(score))
    return tuple(found)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate name")
    return value


def _refuse_constant(_name: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _bounded_int(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError("number too long")
    return int(digits)


def _bounded_float(digits: str) -> float:
    value = float(digits)
    if len(digits) > _DIGITS * 2 or not math.isfinite(value):
        raise ValueError("number too long or too large")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_refuse_constant,
    parse_int=_bounded_int,
    parse_float=_bounded_float,
)

_FILE_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=lambda _name: None,
    parse_int=_bounded_int,
    parse_float=_bounded_float,
)
