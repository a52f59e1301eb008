"""How a single case can fail: a closed set, each with a sentence that may be disclosed.

A vendor learns the code and nothing else. Container-written text, timings and sizes stay with the host,
because whatever the container can shape freely can carry patient data out.
"""

from __future__ import annotations

from enum import StrEnum


class FailureCode(StrEnum):
    """Why a case has no answer."""

    TIMEOUT = "timeout"
    RUN_TIMEOUT = "run_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    SILENT_EXIT = "silent_exit"
    PARTIAL_LINE = "partial_line"
    GARBAGE = "garbage"
    WRONG_CASE = "wrong_case"
    OUT_OF_RANGE = "out_of_range"
    FLOOD = "flood"
    REFUSED = "refused"
    OUTPUT_MISSING = "output_missing"
    OUTPUT_REFUSED = "output_refused"
    ERROR_REPORTED = "error_reported"
    NOT_STARTED = "not_started"
    STAGING_FAILED = "staging_failed"

    @property
    def sentence(self) -> str:
        """The code in words, fit for a vendor."""
        return _SENTENCES[self]

    @property
    def container_is_lost(self) -> bool:
        """True when the container's state is unknown after this failure, so that it must be replaced."""
        return self not in _IN_STEP


class RefusalCode(StrEnum):
    """Why a container says that it will not answer a case; the list is closed so that it carries few bits."""

    NOT_SUPPORTED = "not_supported"
    OUT_OF_SCOPE = "out_of_scope"
    POOR_QUALITY = "poor_quality"
    INCOMPLETE = "incomplete"


# A container that refused a case or answered out of range kept to the protocol and goes on with the next.
_IN_STEP = frozenset(
    {
        FailureCode.REFUSED,
        FailureCode.OUT_OF_RANGE,
        FailureCode.STAGING_FAILED,
        FailureCode.OUTPUT_MISSING,
        FailureCode.ERROR_REPORTED,
    }
)

_SENTENCES = {
    FailureCode.TIMEOUT: "The container did not answer the case within the time allowed for one case.",
    FailureCode.RUN_TIMEOUT: "The time allowed for the whole run was used up before the case was answered.",
    FailureCode.OUT_OF_MEMORY: "The container used more memory than allowed and was stopped.",
    FailureCode.CRASHED: "The container ended with an error before it answered the case.",
    FailureCode.SILENT_EXIT: "The container ended without an error and without answering the case.",
    FailureCode.PARTIAL_LINE: "The container began a line of output and never finished it.",
    FailureCode.GARBAGE: "The answer was not of the agreed form: one JSON object on one line, or the declared file.",
    FailureCode.WRONG_CASE: "The answer named a case other than the one asked.",
    FailureCode.OUT_OF_RANGE: "The answer held a value outside the range that the protocol declares.",
    FailureCode.FLOOD: "The container wrote far more output than an answer needs, or a line longer than one may be.",
    FailureCode.REFUSED: "The container declined to answer the case.",
    FailureCode.OUTPUT_MISSING: "The container ended without an error, but its output has no answer to the case.",
    FailureCode.OUTPUT_REFUSED: (
        "The output holds links, special files, more than an answer may be, or a mask on another grid than the case."
    ),
    FailureCode.ERROR_REPORTED: "The container said by its status that it failed on the case.",
    FailureCode.NOT_STARTED: (
        "The case was not asked: the container did not become ready, or failed too often in a row."
    ),
    FailureCode.STAGING_FAILED: "The case could not be prepared by the host; the container never saw it.",
}


class CaseFailed(Exception):  # noqa: N818 - it ends one case, not the program, and is always caught
    """A container failed a case.

    Attributes:
        code: what a vendor may learn.
        detail: what the operator may learn; written by the host, for the host only.
    """

    def __init__(self, code: FailureCode, detail: str = "") -> None:
        super().__init__(code.sentence)
        self.code = code
        self.detail = detail
