"""A head of the ledger that somebody kept: a checkpoint's file, or the one in a dossier.

An institution that keeps two ledgers, or rewrites its own, is found out by such a head and by nothing else.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.errors import DossierError, UsageError
from sandbox.evidence.archive import MAX_ARCHIVE, read_archive

_MEMBER = "ledger/checkpoint"


def read_kept_checkpoint(path: Path) -> bytes:
    """Bytes of the signed checkpoint in ``path``, not verified yet.

    Raises:
        UsageError: it is not a file, or a dossier that is not one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ARCHIVE + 1)
        return read_archive(data)[0][_MEMBER] if data.startswith(b"PK") else data
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}. Name a checkpoint or a dossier."
        ) from error
    except (DossierError, LookupError) as error:
        raise UsageError(f"{path} is neither a checkpoint nor a whole dossier.") from error
