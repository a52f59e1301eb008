"""From an output folder to an answer: collected without trust, then read strictly at the declared place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runners.answers import Answer, Form
from runners.collector import CollectionRefused, collect
from runners.contracts.answer_location import FILE_BYTES, AnswerLocation, located_answer
from runners.failures import CaseFailed, FailureCode


def collected_answer(folder: Path, location: AnswerLocation, case: str, ranges: Mapping[str, Form]) -> Answer:
    """Read the answer to ``case`` from what a container left in ``folder``.

    Raises:
        CaseFailed: OUTPUT_REFUSED, OUTPUT_MISSING, GARBAGE or OUT_OF_RANGE.
    """
    try:
        contents = collect(folder, dict.fromkeys(location.files_of(case, ranges), FILE_BYTES))
    except CollectionRefused as refused:
        raise CaseFailed(FailureCode.OUTPUT_REFUSED, refused.code.value) from None
    return located_answer(contents, location, case, ranges)
