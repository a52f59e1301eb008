"""What a vendor may train on: the development part of a draft, seen as a container would see it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

from holdout.cases import Unit
from holdout.development import DevelopmentExport
from holdout.development import export_development as export
from sandbox.custody import holdouts
from sandbox.errors import UsageError
from sandbox.institution.workspace import Workspace, secret_key


def export_development(
    workspace: Workspace,
    name: str,
    destination: Path,
    *,
    unit: Unit,
    attributes: Sequence[str] = (),
    progress: Callable[[int, int | None], None] | None = None,
) -> DevelopmentExport:
    """Write the development part of hold-out ``name`` to ``destination``, which must not exist.

    ``attributes`` are the DICOM keywords that containers will be shown beside the pixels.

    Raises:
        UsageError: the draft was not partitioned.
        PartitionError, StagingError: the export cannot be made; nothing is left of it.
    """
    item = holdouts.draft(workspace, name)
    index = item.index()
    parts = item.part_of_files(index)
    if parts is None:
        raise UsageError(f"{name!r} is not partitioned. Do it first: proctor holdout partition {name}")
    # Derived, so that the same export has the same bytes; and no run's key, so that no pseudonym is shared.
    key = hmac.new(
        secret_key(workspace, "pseudonyms"), b"development\0" + name.encode(), hashlib.sha256
    ).digest()
    return export(
        item.source,
        index,
        parts,
        holdouts.truth(item, unit),
        destination,
        key=key,
        attributes=attributes,
        progress=progress,
    )
