"""Which Proctor this is: version, and a digest over the code that runs."""

from __future__ import annotations

import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("holdout", "runners", "sandbox")


def package_version() -> str:
    """Version of the installed distribution, or ``0+unknown`` from a bare source tree."""
    try:
        return version("proctor")
    except PackageNotFoundError:
        return "0+unknown"


@functools.cache
def code_digest() -> str:
    """``sha256:...`` over every source and data file of the three packages, by path and content.

    Part of an evaluation's identity: a result made by other code is another result.
    """
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return f"sha256:{digest.hexdigest()}"
