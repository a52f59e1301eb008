"""From an output folder to an answer: collected without trust, then read strictly at the declared place."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from runners.answers import Answer, FindingsForm, Form, MaskForm
from runners.collector import CollectionRefused, collect, collect_one
from runners.contracts.annotations import findings_of, is_annotation
from runners.contracts.answer_location import FILE_BYTES, MASK_BYTES, AnswerLocation, located_answer
from runners.contracts.staged_case import StagedCase
from runners.failures import CaseFailed, FailureCode


def collected_answer(
    folder: Path, location: AnswerLocation, staged: StagedCase, ranges: Mapping[str, Form]
) -> Answer:
    """Read the answer to a case from what a container left in ``folder``.

    Raises:
        CaseFailed: OUTPUT_REFUSED, OUTPUT_MISSING, GARBAGE, OUT_OF_RANGE or STAGING_FAILED.
    """
    try:
        if location.is_mask:
            return _mask(folder, location, staged, ranges)
        names = dict.fromkeys(location.files_of(staged.case, ranges), FILE_BYTES)
        return located_answer(
            collect(folder, names), location, staged.case, ranges, partial(_converted, staged, ranges)
        )
    except CollectionRefused as refused:
        raise CaseFailed(FailureCode.OUTPUT_REFUSED, refused.code.value) from None


def _converted(staged: StagedCase, ranges: Mapping[str, Form], value: Any) -> Any:
    """Findings in the platform's own form, as the agreed object; anything else as it is."""
    form = next(iter(ranges.values()))
    if len(ranges) == 1 and isinstance(form, FindingsForm) and is_annotation(value):
        return {next(iter(ranges)): findings_of(value, staged, form)}
    return value


def _mask(folder: Path, location: AnswerLocation, staged: StagedCase, ranges: Mapping[str, Form]) -> Answer:
    if len(ranges) != 1 or not isinstance(form := next(iter(ranges.values())), MaskForm):
        raise CaseFailed(
            FailureCode.GARBAGE, "the declared file is a mask, and the task asks for something else"
        )
    name = next(iter(ranges))
    file = location.file_of(staged.case, name)
    parent, last = posixpath.split(file)
    if last.startswith("*"):
        content = collect_one(folder, parent, last.removeprefix("*"), MASK_BYTES)
    else:
        content = collect(folder, {file: MASK_BYTES}).get(file)
    if content is None:
        raise CaseFailed(FailureCode.OUTPUT_MISSING)
    reader, grid = staged.placed()
    found = reader.mask(content, grid, value=location.value, resample=form.resample, runs=form.runs)
    return Answer(values={name: found}, refusal=None)
