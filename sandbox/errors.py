"""The errors of the examination: one root, one small tree.

Every message says what was wrong, where, and what to do about it. Text written by a container or found in a
data file is never quoted in a message: an error message reaches terminals, logs and the ledger.
"""

from __future__ import annotations

from typing import ClassVar


class ProctorError(Exception):
    """Root of the errors that the examination raises on purpose.

    Attributes:
        refused: True when a rule said no (exit code 3), False when something is broken (exit code 4).
    """

    refused: ClassVar[bool] = False


class UsageError(ProctorError):
    """The command was called with arguments that cannot be meant."""


class DocumentError(ProctorError):
    """A YAML document written by a person has a mistake; the message names file, line and path."""

    refused: ClassVar[bool] = True


class ProtocolError(DocumentError):
    """A protocol is malformed, or names what the hold-out does not have."""


class PolicyError(DocumentError):
    """A policy is malformed, or does not allow what was asked."""


class ClaimError(DocumentError):
    """A vendor's claims are malformed."""


class WorkspaceError(ProctorError):
    """The workspace is missing, damaged, or held by another process."""


class ActorError(ProctorError):
    """Who acts is not known here, or has no role that allows it."""

    refused: ClassVar[bool] = True


class ReleaseError(ProctorError):
    """A release, or what was told before, is damaged or cannot be made."""


class ReleaseRefusedError(ReleaseError):
    """A rule does not let this leave."""

    refused: ClassVar[bool] = True


class EvaluationError(ProctorError):
    """An evaluation could not be carried out or resumed."""


class EvaluationRefusedError(EvaluationError):
    """A rule does not allow this evaluation."""

    refused: ClassVar[bool] = True


class PredictionError(EvaluationError):
    """The stored predictions are damaged or do not belong to this evaluation."""


class ScoringError(ProctorError):
    """Scored cases or results do not have the form that scoring needs."""


class ReportError(ProctorError):
    """A report could not be made."""


class EvidenceError(ProctorError):
    """Root of the errors about what is kept as evidence."""


class NoteError(EvidenceError):
    """A signed note is malformed or its signature does not hold."""


class LedgerError(EvidenceError):
    """The ledger is damaged, forked, or an entry is not of the agreed form."""


class DossierError(EvidenceError):
    """A dossier is damaged or does not hold what it claims."""


class MirrorError(ProctorError):
    """The institution's experiment view could not be written; never fatal to an evaluation."""
