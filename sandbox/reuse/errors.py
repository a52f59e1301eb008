"""The errors of the reuse of a hold-out."""

from __future__ import annotations

from typing import ClassVar

from sandbox.errors import ProctorError


class ReuseError(ProctorError):
    """Root of what can go wrong with the budget of a hold-out; also a state that cannot be read."""


class ReuseRefusedError(ReuseError):
    """A rule of reuse says no: the budget is spent, or the hold-out is retired."""

    refused: ClassVar[bool] = True
