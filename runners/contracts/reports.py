"""What each contract lets the host tell about a case: its clock, its start, and which failures have a name.

The table in ``CONTRACTS.md`` is made from this, and the conformance suite holds every contract to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runners.failures import FailureCode

Clock = Literal["answer alone", "start and answer", "of the run"]
Start = Literal["warm, once", "cold, each case", "once, all cases"]

_ANSWERS = frozenset(
    {
        FailureCode.GARBAGE,
        FailureCode.OUT_OF_RANGE,
        FailureCode.REFUSED,
        FailureCode.NOT_STARTED,
        FailureCode.RUN_TIMEOUT,
        FailureCode.STAGING_FAILED,
    }
)
_LIMITS = frozenset({FailureCode.TIMEOUT, FailureCode.OUT_OF_MEMORY, FailureCode.FLOOD})
_FILES = frozenset({FailureCode.OUTPUT_MISSING, FailureCode.OUTPUT_REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What one way of asking can report.

    Attributes:
        name: the contract, and the way where it has several.
        codes: failures that are told of the very case that they befell.
        run_codes: failures of a container that answers many cases; every case without an answer has the code.
        floor: what a case costs around a program that answers at once, in milliseconds, as measured.
    """

    name: str
    clock: Clock
    start: Start
    codes: frozenset[FailureCode]
    run_codes: frozenset[FailureCode] = frozenset()
    floor: str


_SET_CODES = _LIMITS | {FailureCode.CRASHED}

REPORTS: tuple[Reports, ...] = (
    Reports(
        name="`worker`",
        clock="answer alone",
        start="warm, once",
        codes=_ANSWERS
        | _LIMITS
        | {
            FailureCode.CRASHED,
            FailureCode.SILENT_EXIT,
            FailureCode.PARTIAL_LINE,
            FailureCode.WRONG_CASE,
        },
        floor="0.3",
    ),
    Reports(
        name="`files`, case",
        clock="start and answer",
        start="cold, each case",
        codes=_ANSWERS | _LIMITS | _FILES | {FailureCode.CRASHED},
        floor="160-220",
    ),
    Reports(
        name="`files`, set",
        clock="of the run",
        start="once, all cases",
        codes=(_ANSWERS | _FILES) - {FailureCode.RUN_TIMEOUT},
        run_codes=_SET_CODES,
        floor="1",
    ),
    Reports(
        name="GC `exec`",
        clock="start and answer",
        start="cold, each case",
        codes=_ANSWERS | _LIMITS | _FILES | {FailureCode.CRASHED},
        floor="160-210",
    ),
    Reports(
        name="GC `invoke`",
        clock="answer alone",
        start="warm, once",
        codes=_ANSWERS
        | _LIMITS
        | _FILES
        | {FailureCode.CRASHED, FailureCode.SILENT_EXIT, FailureCode.ERROR_REPORTED},
        floor="2",
    ),
    Reports(
        name="`medperf`",
        clock="of the run",
        start="once, all cases",
        codes=(_ANSWERS | _FILES) - {FailureCode.RUN_TIMEOUT},
        run_codes=_SET_CODES,
        floor="1",
    ),
    Reports(
        name="`map`",
        clock="start and answer",
        start="cold, each case",
        codes=_ANSWERS | _LIMITS | _FILES,
        floor="155-225",
    ),
)
