"""The errors of the runners: one root, one small tree, by meaning.

A message says what was wrong, where, and what to do about it. Text written by a container, or found inside
its image, is never quoted: an error message reaches terminals, logs and the ledger.
"""

# The names say what happened ("missing", "refused") and read as a sentence where they are raised.
# ruff: noqa: N818

from __future__ import annotations

from typing import ClassVar


class RunnerError(Exception):
    """Root of the errors that running containers raises on purpose.

    Attributes:
        refused: True when a rule said no, False when something is broken.
    """

    refused: ClassVar[bool] = False


class EngineMissing(RunnerError):
    """No container engine answers."""


class EngineBroken(RunnerError):
    """The engine answers, but not as it must; nothing can be said about the container."""


class ImageError(RunnerError):
    """An image that the project makes for itself cannot be made."""


class ImageRefused(RunnerError):
    """An image is not the one that was admitted."""

    refused: ClassVar[bool] = True


class PostureRefused(RunnerError):
    """The isolation that the policy asks for is not there, or the image would weaken it."""

    refused: ClassVar[bool] = True


class AdmissionRefused(RunnerError):
    """An image archive does not pass admission.

    Attributes:
        code: one of :class:`runners.admission.RefusalReason`, safe to disclose.
        sentence: what the vendor should change, without any text taken from the archive.
    """

    refused: ClassVar[bool] = True

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"The image is not admitted ({code}): {sentence}")
        self.code = code
        self.sentence = sentence


class ContractRefused(RunnerError):
    """An image's contract is not known, not declared in full, or asks for what is not given here."""

    refused: ClassVar[bool] = True


class SessionError(RunnerError):
    """A session cannot be carried out for a reason that lies with the host, not with the container."""
