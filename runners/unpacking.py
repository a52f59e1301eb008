"""Unpacking a stranger's tar of plain files into a fresh folder, inside the child process of ``archive_process``."""

from __future__ import annotations

from pathlib import Path

from runners.archive import ArchiveLimits, entries, opened, safe_name
from runners.refusals import ArchiveRefused, RefusalReason

_BLOCK = 1 << 20


def unpack(source: Path, destination: Path, limits: ArchiveLimits) -> None:
    """Write the files and folders of a tar, plain or compressed, below ``destination``.

    Raises:
        ArchiveRefused: a member is neither, is named twice, climbs out, or is too much.
    """
    total = count = 0
    with opened(source) as tar:
        for entry in entries(tar):
            count += 1
            total += entry.size if entry.isreg() else 0
            if count > limits.files:
                raise ArchiveRefused(RefusalReason.TOO_MANY_FILES)
            if total > limits.total_bytes:
                raise ArchiveRefused(RefusalReason.TOO_LARGE)
            if ".." in entry.name.split("/"):
                raise ArchiveRefused(RefusalReason.PATH_TRAVERSAL)
            # No link is ever made here, so every folder on the way is one that this function made.
            place = destination / safe_name(entry.name)
            try:
                if entry.isdir():
                    place.mkdir(mode=0o755, parents=True, exist_ok=True)
                elif entry.isreg():
                    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                    with place.open("xb") as file:
                        content = tar.extractfile(entry)
                        assert content is not None
                        while block := content.read(_BLOCK):
                            file.write(block)
                    place.chmod(0o755 if entry.mode & 0o111 else 0o644)
                else:
                    raise ArchiveRefused(RefusalReason.ATTACHMENT)
            except OSError:
                raise ArchiveRefused(RefusalReason.ATTACHMENT) from None
