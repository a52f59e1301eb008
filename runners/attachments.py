"""What some contracts ask for beside the image: a file of parameters, and a folder of weights.

Both are the vendor's, so they are read in the child process of :mod:`runners.archive_process`, kept as plain files
and folders without links or devices, and shown to the container read-only. MedPerf calls them ``parameters_file``
and ``additional_files``; Grand Challenge knows the second as the model's tarball, shown at ``/opt/ml/model``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from runners.admission import AdmissionRules, run_reader
from runners.errors import RunnerError

PARAMETERS, ADDITIONAL = "parameters_file", "additional_files"
NAMES = (PARAMETERS, ADDITIONAL)
PARAMETERS_BYTES = 1 << 20


def keep_parameters(source: Path, destination: Path) -> str:
    """Copy a file of parameters, whose form is the vendor's own business; returns its digest.

    Raises:
        RunnerError: it cannot be read, or is larger than such a file is.
    """
    try:
        with source.open("rb") as file:
            content = file.read(PARAMETERS_BYTES + 1)
    except OSError as error:
        raise RunnerError(f"The parameters file {source} cannot be read ({error.strerror}).") from error
    if len(content) > PARAMETERS_BYTES:
        raise RunnerError(f"The parameters file {source} is larger than {PARAMETERS_BYTES >> 20} MiB.")
    destination.write_bytes(content)
    destination.chmod(0o644)
    return attachment_digest(destination)


def keep_additional(source: Path, destination: Path, rules: AdmissionRules) -> str:
    """Unpack a tar of further files (plain, gzip or Zstandard) into ``destination``; returns the digest of its tree.

    Raises:
        AdmissionRefused: it is no such tar, too large, or holds more than files and folders.
        RunnerError: it cannot be read.
    """
    if not source.is_file():
        raise RunnerError(f"The archive of additional files {source} cannot be read. Give a tar or tar.gz.")
    destination.mkdir(mode=0o755)
    run_reader("unpack", source, rules, destination=destination)
    return attachment_digest(destination)


def check_attachments(places: Mapping[str, Path], digests: Mapping[str, str]) -> None:
    """See that attachments are still what was admitted.

    Raises:
        RunnerError: one is missing or has changed.
    """
    for name, digest in digests.items():
        if attachment_digest(places[name]) != digest:
            raise RunnerError(
                f"The submission's {name} is not what was admitted. Admit it again into a fresh workspace."
            )


def attachment_digest(path: Path) -> str:
    """SHA-256 over a file, or over the sorted names and contents of a folder."""
    whole = hashlib.sha256()
    files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if not item.is_dir())
    for item in files:
        name = b"" if item == path else os.fsencode(item.relative_to(path))
        with item.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        whole.update(hashlib.sha256(name).digest() + content)
    return f"sha256:{whole.hexdigest()}"
