"""The errors of disclosure."""

from __future__ import annotations

from typing import ClassVar

from sandbox.errors import ProctorError


class DisclosureError(ProctorError):
    """Root of what can go wrong when numbers are prepared to leave."""


class DisclosureRefusedError(DisclosureError):
    """A rule does not let these numbers leave."""

    refused: ClassVar[bool] = True


class AuditError(DisclosureError):
    """The numbers that were released so far contradict each other, or cannot be read."""
