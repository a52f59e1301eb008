"""Which image an archive holds: from ``manifest.json`` of ``docker save``, or ``index.json`` of an OCI layout.

Formats: Docker image specification v1.2 (``<id>/layer.tar``), the layout with ``blobs/sha256`` that Docker 25 and
later write, and the OCI image layout 1.1 (``oci-layout``, ``index.json``, an index within an index once).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runners.refusals import ArchiveRefused, RefusalReason

_CONFIG_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_ATTESTATION = "attestation-manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The one image of an archive: its configuration, and its layers (names in the archive) from bottom to top.

    ``digests`` are those of the registry's manifest and index of it, where the archive holds them.
    """

    digest: str
    config_name: str
    config: dict[str, Any]
    layers: tuple[str, ...]
    digests: tuple[str, ...] = ()


def find_image(small: Mapping[str, bytes]) -> tuple[str, tuple[str, ...]]:
    """Find the names of configuration and layers; ``small`` are the archive's small files by name.

    Raises:
        ArchiveRefused: MANIFEST, NOT_ONE_IMAGE or DIGEST_MISMATCH.
    """
    if "manifest.json" in small:
        return _of_docker(small)
    if "index.json" in small:
        return _of_oci(small)
    raise ArchiveRefused(RefusalReason.MANIFEST)


def read_config(small: Mapping[str, bytes], name: str, layers: tuple[str, ...]) -> Manifest:
    """Read the configuration and name the image by its digest.

    Raises:
        ArchiveRefused: MANIFEST or DIGEST_MISMATCH.
    """
    matched = _CONFIG_NAME.fullmatch(name)
    if matched is None or name not in small:
        raise ArchiveRefused(RefusalReason.MANIFEST)
    digest = hashlib.sha256(small[name]).hexdigest()
    if digest != matched.group(1):
        raise ArchiveRefused(RefusalReason.DIGEST_MISMATCH)
    return Manifest(
        digest=f"sha256:{digest}",
        config_name=name,
        config=_object(small[name]),
        layers=layers,
        digests=_manifest_digests(small, f"sha256:{digest}"),
    )


def _manifest_digests(small: Mapping[str, bytes], config: str) -> tuple[str, ...]:
    """Digests of the manifest that names ``config``, and of an index that lists this manifest.

    Docker 25 and later write ``index.json`` beside their own manifest, so this looks whatever the layout.
    """
    if "index.json" not in small:
        return ()
    found = []
    for descriptor in _listed(_object(small["index.json"])):
        document = _held(small, descriptor)
        if _names_config(document, config):
            found.append(str(descriptor["digest"]))
        elif inner := [item for item in _listed(document) if _names_config(_held(small, item), config)]:
            found += [str(descriptor["digest"]), *(str(item["digest"]) for item in inner)]
    return tuple(dict.fromkeys(found))


def _listed(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    manifests = document.get("manifests")
    return [item for item in manifests if isinstance(item, dict)] if isinstance(manifests, list) else []


def _held(small: Mapping[str, bytes], descriptor: dict[str, Any]) -> dict[str, Any]:
    """Read the manifest that a descriptor points to, or nothing when the archive does not hold it."""
    return _object(_blob(small, descriptor)) if _name(descriptor) in small else {}


def _names_config(document: Mapping[str, Any], config: str) -> bool:
    descriptor = document.get("config")
    return isinstance(descriptor, dict) and descriptor.get("digest") == config


def _of_docker(small: Mapping[str, bytes]) -> tuple[str, tuple[str, ...]]:
    images = _json(small["manifest.json"])
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise ArchiveRefused(RefusalReason.NOT_ONE_IMAGE)
    config, layers = images[0].get("Config"), images[0].get("Layers")
    if not isinstance(config, str) or not isinstance(layers, list):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    if not all(isinstance(item, str) for item in layers):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    return config, tuple(layers)


def _of_oci(small: Mapping[str, bytes]) -> tuple[str, tuple[str, ...]]:
    document = _object(small["index.json"])
    for _ in range(3):
        if "manifests" not in document:
            break
        document = _object(_blob(small, _only_image(document["manifests"])))
    config, layers = document.get("config"), document.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    return _name(config), tuple(_name(layer) for layer in layers)


def _only_image(manifests: object) -> dict[str, Any]:
    if not isinstance(manifests, list) or not all(isinstance(item, dict) for item in manifests):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    images = [item for item in manifests if not _is_attestation(item)]
    if len(images) != 1:
        raise ArchiveRefused(RefusalReason.NOT_ONE_IMAGE)
    found: dict[str, Any] = images[0]
    return found


def _is_attestation(descriptor: dict[str, Any]) -> bool:
    """Tell the build tool's papers, which it keeps beside the image, from an image."""
    notes = descriptor.get("annotations")
    return isinstance(notes, dict) and notes.get("vnd.docker.reference.type") == _ATTESTATION


def _name(descriptor: object) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    matched = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if matched is None:
        raise ArchiveRefused(RefusalReason.MANIFEST)
    return f"blobs/sha256/{matched.group(1)}"


def _blob(small: Mapping[str, bytes], descriptor: dict[str, Any]) -> bytes:
    name = _name(descriptor)
    if name not in small:
        raise ArchiveRefused(RefusalReason.MANIFEST)
    if hashlib.sha256(small[name]).hexdigest() != name.rpartition("/")[2]:
        raise ArchiveRefused(RefusalReason.DIGEST_MISMATCH)
    return small[name]


def _object(content: bytes) -> dict[str, Any]:
    document = _json(content)
    if not isinstance(document, dict):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    return document


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ArchiveRefused(RefusalReason.MANIFEST) from None
