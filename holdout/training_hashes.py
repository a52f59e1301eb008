"""The list of hashes that a vendor hands in: what it trained on, to be kept out of the hold-out."""

from __future__ import annotations

import re
from pathlib import Path

from holdout.errors import LeakageError
from holdout.keyed_table import table_bytes

# `sha256sum` puts a backslash before the hash of a file with an odd name, and the name behind it.
_LINE = re.compile(rb"\\?([0-9a-fA-F]{64})(?:\s.*)?")


def read_training_hashes(path: Path) -> frozenset[str]:
    """SHA-256 of files or of pixel data, one a line, bare or as `sha256sum` writes them; lower case.

    Empty lines and lines that begin with ``#`` mean nothing. A line that is no hash is refused: passed over, it
    would make the guard silent about the very image that it names.

    Raises:
        LeakageError: the file cannot be read, holds no hash, or a line is none.
    """
    content = table_bytes(path, LeakageError)
    hashes: set[str] = set()
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise LeakageError(
                f"{path}:{number}: not a SHA-256 (64 hexadecimal digits); write one a line, as sha256sum does"
            )
        hashes.add(found[1].decode("ascii").lower())
    if not hashes:
        raise LeakageError(f"{path}: holds no hash; write a SHA-256 a line, as sha256sum does")
    return frozenset(hashes)
