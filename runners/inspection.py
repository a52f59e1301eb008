"""The checks of admission: from an archive and the institution's rules to the facts about one image.

It runs in the child process of :mod:`runners.archive_process`, because configuration and layers are a
stranger's.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners import archive, packages
from runners.archive import ArchiveLimits, LayerContent
from runners.loadable import stripped_config
from runners.posture import numeric_user
from runners.refusals import AdmissionNote, ArchiveRefused, RefusalReason

# A link in place of one of these moves the runtime's own mounts elsewhere (CVE-2025-31133, CVE-2026-41579).
_SPECIAL = ("dev", "proc", "sys", "etc", "tmp", "input")
# Files and labels in which an image says how it wants to be run; runners/contracts reads them.
DECLARATIONS = frozenset(
    {
        "proctor.json",
        "etc/holoscan/app.json",
        "etc/holoscan/pkg.json",
        "etc/monai/app.json",
        "etc/monai/pkg.json",
    }
)
_LABELS = ("io.proctor.contract", "org.grand-challenge.api-method")
_LONGEST_LABEL = 256
_INJECTED = ("LD_PRELOAD", "LD_AUDIT", "LD_PROFILE", "GCONV_PATH", "GLIBC_TUNABLES")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """The parts of an image's configuration that matter, each of the type that it must have."""

    architecture: str
    system: str
    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    workdir: str
    environment: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    diff_ids: tuple[str, ...]
    has_health_check: bool
    has_on_build: bool


def inspect(
    path: Path, *, architecture: str, limits: ArchiveLimits, refuse_set_user_id: bool = False
) -> dict[str, Any]:
    """Check an archive; returns the facts that become :class:`runners.admission.AdmittedImage`.

    Raises:
        ArchiveRefused: a check does not hold.
    """
    manifest = archive.read_manifest(path, limits)
    config = _config(manifest.config)
    _check_config(config, architecture)
    watched = frozenset({*_SPECIAL, "etc/passwd", *_ancestors(config.workdir)})
    found = archive.read_layers(path, manifest, watched, DECLARATIONS, limits)
    layers = [found[name] for name in manifest.layers]
    if tuple(layer.diff_id for layer in layers) != config.diff_ids:
        raise ArchiveRefused(RefusalReason.DIGEST_MISMATCH)
    tree = _merged(layers)
    if any(tree.get(name, "directory") not in ("directory", "removed") for name in _SPECIAL):
        raise ArchiveRefused(RefusalReason.SPECIAL_FOLDER)
    if any(tree.get(name) == "link" for name in _ancestors(config.workdir)):
        raise ArchiveRefused(RefusalReason.WORKING_DIRECTORY)
    cleared = any(layer.cleared for layer in layers)
    if refuse_set_user_id and cleared:
        raise ArchiveRefused(RefusalReason.SET_USER_ID)
    installed, too_many = packages.merged((layer.packages, layer.removed) for layer in layers)
    incomplete = too_many or any(layer.packages_not_read for layer in layers)
    loaded = manifest.digest
    if cleared:
        changed = stripped_config(manifest.config, [layer.stripped_id for layer in layers])
        loaded = f"sha256:{hashlib.sha256(changed).hexdigest()}"
    return {
        "digest": manifest.digest,
        "loaded": loaded,
        "manifest_digests": manifest.digests,
        "architecture": config.architecture,
        "os": config.system,
        "user": config.user,
        "run_user": _run_user(config.user, layers),
        "entrypoint": config.entrypoint,
        "command": config.command,
        "workdir": config.workdir,
        "environment": sorted(item.partition("=")[0] for item in config.environment),
        "layers": config.diff_ids,
        "size": sum(layer.size for layer in layers),
        "files": sum(layer.files for layer in layers),
        "warnings": sorted(
            [*_warnings(config, layers), *([AdmissionNote.PACKAGES_INCOMPLETE] if incomplete else [])]
        ),
        "labels": _contract_labels(config.labels),
        "manifests": _declarations(layers),
        "packages": [[item.kind, item.name, item.version] for item in installed],
    }


def _config(raw: Mapping[str, Any]) -> ImageConfig:
    try:
        config = raw.get("config") or {}
        filesystem = raw["rootfs"]
        return ImageConfig(
            architecture=_text(raw.get("architecture")),
            system=_text(raw.get("os")),
            user=_text(config.get("User")),
            entrypoint=_texts(config.get("Entrypoint")),
            command=_texts(config.get("Cmd")),
            workdir=_text(config.get("WorkingDir")) or "/",
            environment=_texts(config.get("Env")),
            volumes=_texts(list(config.get("Volumes") or ())),
            labels={_text(key): _text(value) for key, value in (config.get("Labels") or {}).items()},
            diff_ids=_texts(filesystem["diff_ids"]),
            has_health_check=bool(config.get("Healthcheck")),
            has_on_build=bool(config.get("OnBuild")),
        )
    except (AttributeError, KeyError, TypeError):
        raise ArchiveRefused(RefusalReason.MANIFEST) from None


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(_text(item) for item in value)


def _check_config(config: ImageConfig, architecture: str) -> None:
    if config.system != "linux" or config.architecture != architecture:
        raise ArchiveRefused(RefusalReason.ARCHITECTURE)
    if config.user.partition(":")[0] in ("", "root", "0"):
        raise ArchiveRefused(RefusalReason.ROOT_USER)
    if not config.entrypoint and not config.command:
        raise ArchiveRefused(RefusalReason.NO_PROGRAM)
    if config.volumes:
        raise ArchiveRefused(RefusalReason.VOLUMES)
    if any(item.partition("=")[0] in _INJECTED for item in config.environment):
        raise ArchiveRefused(RefusalReason.INJECTED_LIBRARY)
    path = posixpath.normpath("/" + config.workdir.lstrip("/"))
    if path.split("/")[1] in ("proc", "sys", "dev"):
        raise ArchiveRefused(RefusalReason.WORKING_DIRECTORY)


def _ancestors(workdir: str) -> list[str]:
    """Every folder on the way to the working directory, itself included."""
    parts = [part for part in posixpath.normpath("/" + workdir.lstrip("/")).split("/") if part]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _merged(layers: list[LayerContent]) -> dict[str, str]:
    tree: dict[str, str] = {}
    for layer in layers:
        tree |= layer.watched
    return tree


def _run_user(user: str, layers: list[LayerContent]) -> str:
    """Find the image's user by number, as the engine would."""
    name, _, group = user.partition(":")
    uid = name
    gid = group
    if not name.isdigit():
        for line in _passwd(layers).splitlines():
            fields = line.split(":")
            if len(fields) >= 4 and fields[0] == name:
                uid, gid = fields[2], group if group.isdigit() else fields[3]
                break
        else:
            raise ArchiveRefused(RefusalReason.UNKNOWN_USER)
    if uid.isdigit() and int(uid) == 0:
        raise ArchiveRefused(RefusalReason.ROOT_USER)
    # A group that is root's, or only a name, is left aside for the one with the user's own number.
    numeric = numeric_user(f"{uid}:{gid}") or numeric_user(uid)
    if numeric is None:
        raise ArchiveRefused(RefusalReason.UNKNOWN_USER)
    return numeric


def _passwd(layers: list[LayerContent]) -> str:
    for layer in reversed(layers):
        if "etc/passwd" in layer.watched:
            return (layer.passwd or b"").decode("utf-8", "replace")
    return ""


def _warnings(config: ImageConfig, layers: list[LayerContent]) -> list[str]:
    """Codes of what is harmless under the posture, but worth a look."""
    found = {
        AdmissionNote.SET_USER_ID_FILES: any(layer.cleared for layer in layers),
        AdmissionNote.DEVICE_NODES: any(layer.device_nodes for layer in layers),
        AdmissionNote.HEALTH_CHECK_IGNORED: config.has_health_check,
        AdmissionNote.ON_BUILD_IGNORED: config.has_on_build,
    }
    return sorted(name for name, there in found.items() if there)


def _contract_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Keep the labels that name a contract, in the one spelling."""
    found = {}
    for name, value in labels.items():
        plain = name.strip("'\"").lower()
        if plain in _LABELS:
            found[plain] = value[:_LONGEST_LABEL]
    return found


def _declarations(layers: list[LayerContent]) -> dict[str, str]:
    """Declarations as the topmost layers have them."""
    known: dict[str, bytes] = {}
    for layer in layers:
        known = {
            path: content
            for path, content in known.items()
            if not any(f"{path}/".startswith(f"{gone}/") for gone in layer.removed)
        }
        known |= layer.declarations
    return {path: content.decode("utf-8", "replace") for path, content in sorted(known.items())}
