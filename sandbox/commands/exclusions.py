"""The option ``--exclude`` of commands that lock."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.errors import UsageError


def exclusions_of(given: Sequence[str] | None) -> dict[str, str]:
    """Reasons by code or path.

    Raises:
        UsageError: one has no reason.
    """
    exclusions: dict[str, str] = {}
    for each in given or []:
        what, separator, reason = each.partition("=")
        if not separator or not reason.strip():
            raise UsageError(
                f"--exclude {each!r} has no reason. Write it as --exclude 'code or path=reason'."
            )
        exclusions[what] = reason
    return exclusions
