"""The errors of stress tests."""

from __future__ import annotations

from typing import ClassVar

from sandbox.errors import DocumentError, ProctorError, UsageError


class StressError(ProctorError):
    """Root of the errors about perturbed cases."""


class UnknownPerturbationError(UsageError):
    """A perturbation or severity that the registry does not have."""


class SuiteError(DocumentError):
    """A suite of perturbations is malformed, or names what the registry does not have."""


class NotApplicableError(StressError):
    """A perturbation has no meaning for this case; the message is a sentence of ours, without foreign text."""

    refused: ClassVar[bool] = True
