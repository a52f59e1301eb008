"""What each contract lets the host tell about a case: its clock, its start, and which failures have a name.

The table in ``CONTRACTS.md`` is made from this, and the conformance suite holds every contract to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

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


# Milliseconds of a case by name, as tests/benchmarks/bench_contracts.py --write measured them.
_FLOORS: Mapping[str, str] = yaml.safe_load(
    Path(__file__).with_name("floors.yaml").read_text(encoding="utf-8")
)


def _cold(name: str, codes: frozenset[FailureCode] = frozenset()) -> Reports:
    """A container for each case, whose exit code is one of ``codes`` or tells nothing."""
    return Reports(
        name=name,
        clock="start and answer",
        start="cold, each case",
        codes=_ANSWERS | _LIMITS | _FILES | codes,
        floor=_FLOORS[name],
    )


def _whole_set(name: str) -> Reports:
    """One container for all cases, whose end befalls every case that it has not answered."""
    return Reports(
        name=name,
        clock="of the run",
        start="once, all cases",
        codes=(_ANSWERS | _FILES) - {FailureCode.RUN_TIMEOUT},
        run_codes=_LIMITS | {FailureCode.CRASHED},
        floor=_FLOORS[name],
    )


def _warm(name: str, codes: frozenset[FailureCode]) -> Reports:
    """One container that is asked case by case; ``codes`` beyond the ends that all warm ones tell."""
    return Reports(
        name=name,
        clock="answer alone",
        start="warm, once",
        codes=_ANSWERS | _LIMITS | {FailureCode.CRASHED, FailureCode.SILENT_EXIT} | codes,
        floor=_FLOORS[name],
    )


_CRASHED = frozenset({FailureCode.CRASHED})
REPORTS: tuple[Reports, ...] = (
    _warm("`worker`", frozenset({FailureCode.PARTIAL_LINE, FailureCode.WRONG_CASE})),
    _cold("`files`, case", _CRASHED),
    _whole_set("`files`, set"),
    _cold("GC `exec`", _CRASHED),
    _warm("GC `invoke`", _FILES | {FailureCode.ERROR_REPORTED}),
    _whole_set("`medperf`"),
    _cold("`map`"),
)
