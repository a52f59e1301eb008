"""Admission: an image archive is read, checked and named by digest before anything of it ever runs.

The digest is the SHA-256 of the image's configuration, computed here; the configuration names its layers by
their digests, which are computed here too. Reading happens in a child process, because the archive is a
stranger's.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from runners.archive_process import REFUSED
from runners.engine import Engine
from runners.errors import AdmissionRefused, RunnerError
from runners.limits import GIB
from runners.packages import Package
from runners.refusals import ArchiveRefused, RefusalReason
from runners.signature import SignatureFiles, signer

REPOSITORY = "proctor/submission"
_FACT_BYTES = 64 << 20
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


def host_architecture() -> str:
    """Name the processor architecture of this host as images name it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRules:
    """An institution's rules on images; sizes in bytes, uncompressed.

    ``seconds`` and ``memory_bytes`` bound the reading itself. ``signature_keys`` are public keys in PEM, one of
    which must have signed the digest; none: no signature is asked for. ``refuse_set_user_id``: images with files that
    run as their owner, or with file capabilities, are refused instead of stripped.
    """

    architecture: str = field(default_factory=host_architecture)
    archive_bytes: int = 32 * GIB
    layer_bytes: int = 16 * GIB
    total_bytes: int = 32 * GIB
    layers: int = 128
    files: int = 2_000_000
    seconds: int = 1_800
    memory_bytes: int = GIB
    refuse_set_user_id: bool = False
    signature_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedImage:
    """What admission read from an archive.

    Attributes:
        digest: ``sha256:`` and the digest of the image's configuration; the submission's identity.
        loaded: the same of what the engine is given: another one when files were stripped (:mod:`runners.stripping`).
        manifest_digests: how registries name the image, where the archive holds their manifests.
        user: the user as the image names it; ``run_user`` is the same by number, ``uid:gid``.
        layers: digests of the uncompressed layers, bottom first.
        size: bytes of all layers, uncompressed.
        environment: names of the image's variables.
        warnings: codes of what is harmless under the posture, but worth a look.
        labels, manifests: how the image says that it wants to be run (:mod:`runners.contracts`).
        packages: what its package databases list.
        signed_by: fingerprint of the key that signed the digest, when a signature was asked for.
    """

    digest: str
    loaded: str
    architecture: str
    os: str
    user: str
    run_user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    workdir: str
    environment: tuple[str, ...]
    layers: tuple[str, ...]
    size: int
    files: int
    warnings: tuple[str, ...]
    archive_sha256: str
    archive_bytes: int
    labels: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    manifest_digests: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()
    signed_by: str | None = None


def read_archive(
    path: Path, rules: AdmissionRules | None = None, *, signed: SignatureFiles | None = None
) -> AdmittedImage:
    """Check an archive of ``docker save`` or an OCI archive, without running or unpacking it.

    Either may be plain, gzip or Zstandard. ``signed`` are the signature files (:mod:`runners.signature`), read only
    when the rules ask for a signature.

    Raises:
        AdmissionRefused: a check does not hold; code and sentence are fit for the vendor.
        RunnerError: the file cannot be read.
    """
    rules = rules or AdmissionRules()
    try:
        size = path.stat().st_size
        if size > rules.archive_bytes:
            raise _refused(RefusalReason.TOO_LARGE)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunnerError(f"The image archive {path} cannot be read ({error.strerror}).") from error
    with _reading("inspect", path, rules) as output:
        content = output.read(_FACT_BYTES)
    facts: dict[str, Any] = json.loads(content)
    lists = ("entrypoint", "command", "environment", "layers", "warnings", "manifest_digests")
    facts |= {name: tuple(facts[name]) for name in lists}
    facts["packages"] = tuple(
        Package(kind=kind, name=name, version=version) for kind, name, version in facts["packages"]
    )
    signed_by = None
    if rules.signature_keys:
        try:
            signed_by = signer(
                facts["digest"], facts["manifest_digests"], signed or SignatureFiles(), rules.signature_keys
            )
        except ArchiveRefused as refused:
            raise _refused(refused.reason) from None
    return AdmittedImage(**facts, archive_sha256=sha256, archive_bytes=size, signed_by=signed_by)


def load(
    engine: Engine, path: Path, loaded: str, rules: AdmissionRules | None = None, *, strip: bool = False
) -> None:
    """See that the engine holds the admitted image, loading its archive if need be.

    ``loaded`` is what the engine names it by, ``strip`` whether that is another name than the archive's own. Tags of
    the archive are left out: one of them could be the name of another image here.

    Raises:
        AdmissionRefused: the archive is not readable any more.
        ImageRefused: it does not hold the admitted image.
        EngineBroken: the engine could not load it.
    """
    if engine.image(loaded) is None:
        with _reading("strip" if strip else "load", path, rules or AdmissionRules()) as output:
            engine.load(output, loaded)
    # An image without a name is what a clean-up removes first.
    engine.tag(loaded, f"{REPOSITORY}:{loaded.removeprefix('sha256:')[:12]}")


def run_reader(action: str, path: Path, rules: AdmissionRules, *, destination: Path) -> None:
    """Let the child process write below ``destination`` what it reads in ``path``.

    Raises:
        AdmissionRefused: a check does not hold.
    """
    with _reading(action, path, rules, destination) as output:
        output.read()


@contextmanager
def _reading(
    action: str, path: Path, rules: AdmissionRules, destination: Path | None = None
) -> Iterator[IO[bytes]]:
    """Run the child process; its output is read inside the context, its refusal is raised at the end."""
    order = {
        "action": action,
        "path": str(path.resolve()),
        "destination": None if destination is None else str(destination.resolve()),
        "architecture": rules.architecture,
        "memory_bytes": rules.memory_bytes,
        "seconds": rules.seconds,
        "refuse_set_user_id": rules.refuse_set_user_id,
        "limits": {name: getattr(rules, name) for name in ("layer_bytes", "total_bytes", "layers", "files")},
    }
    environment = {
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "PATH": os.environ.get("PATH", ""),
        # Arenas reserved ahead would count as memory.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    command = [sys.executable, "-s", "-m", "runners.archive_process", json.dumps(order)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout
            process.stdout.close()
            _, message = process.communicate(timeout=rules.seconds)
        except subprocess.TimeoutExpired:
            raise _refused(RefusalReason.TOO_SLOW) from None
        except RunnerError:
            # The engine's complaint about a broken stream has its cause in the child's.
            process.kill()
            message = process.stderr.read(1 << 16)
            if process.wait() == REFUSED:
                raise _refused(_reason(message)) from None
            raise
        finally:
            process.kill()
    if process.returncode == REFUSED:
        raise _refused(_reason(message))
    if process.returncode < 0:
        raise _refused(RefusalReason.TOO_SLOW)
    if process.returncode != 0:
        raise _refused(RefusalReason.UNREADABLE)


def _reason(message: bytes) -> RefusalReason:
    try:
        return RefusalReason(message.decode("ascii", "replace").strip())
    except ValueError:
        return RefusalReason.UNREADABLE


def _refused(reason: RefusalReason) -> AdmissionRefused:
    return AdmissionRefused(reason.value, reason.sentence)
