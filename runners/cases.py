"""What goes into a run of a container and what comes out of it, under every contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runners.answers import Value
from runners.failures import FailureCode, RefusalCode

EventKind = Literal["ready", "not_ready", "lost", "stopped", "gave_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseInput:
    """One staged case.

    Attributes:
        case: pseudonym, which is also the name under ``/input``.
        directory: folder with the files; it is moved into the input root and removed after the answer.
        files: names relative to the folder, in the order in which the container is told of them.
    """

    case: str
    directory: Path
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """What became of one case.

    Attributes:
        failure: why there is no answer, or None.
        answer: numbers by name, within the declared ranges, or None.
        refusal: the container's own reason when ``failure`` is REFUSED.
        seconds: from question to answer or failure; it never leaves the institution.
        container: which container of the run was asked, from 1; 0 when none was.
        detail: the host's own note for the operator; it never leaves the institution.
    """

    case: str
    failure: FailureCode | None
    answer: dict[str, Value] | None
    refusal: RefusalCode | None = None
    seconds: float
    container: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent:
    """Something that happened to a container of the run; for the operator, never for the vendor.

    ``log_tail`` is text of the container, only given when it is ``lost`` or ``stopped``.
    """

    kind: EventKind
    container: int
    seconds: float = 0.0
    detail: str = ""
    log_tail: bytes = b""
