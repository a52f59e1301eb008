"""What the engine is given of an archive: the one image, without names, and stripped of files that give rights."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from runners import archive
from runners.archive import ArchiveLimits
from runners.refusals import ArchiveRefused, RefusalReason
from runners.stripping import Stripped


@dataclass(frozen=True, slots=True)
class _Rewritten:
    """How a layer is written other than it is stored: its plain size, and whether it is stripped."""

    size: int
    stripped: bool


def stripped_config(config: Mapping[str, Any], layers: Sequence[str]) -> bytes:
    """Make the configuration of an image whose layers were changed, which names them by ``layers`` (digests)."""
    return _canonical({**config, "rootfs": {**config["rootfs"], "diff_ids": list(layers)}})


def write_loadable(path: Path, output: IO[bytes], limits: ArchiveLimits, *, strip: bool) -> None:
    """Write the archive again with only its one image: no tags, no second index, no stray members.

    The result has the layout of ``docker save`` whatever the archive had, and layers in Zstandard are written
    plain: engines before 23 read neither. ``strip`` clears set-user-id bits and file capabilities
    (:mod:`runners.stripping`), which makes another image: the same one each time.
    """
    manifest = archive.read_manifest(path, limits)
    config_name, config = manifest.config_name, None
    if strip:
        found = archive.read_layers(path, manifest, frozenset(), frozenset(), limits)
        changed = {
            name: _Rewritten(layer.size, bool(layer.cleared))
            for name, layer in found.items()
            if layer.cleared or layer.foreign
        }
        config = stripped_config(manifest.config, [found[name].stripped_id for name in manifest.layers])
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    else:
        changed = _foreign(path, {*manifest.layers}, limits)
    # One entry a layer: the engine reads them by position, and a layer may occur twice.
    text = _canonical([{"Config": config_name, "RepoTags": None, "Layers": manifest.layers}])
    wanted = {*manifest.layers, *([] if config else [config_name])}
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as writing:
        with archive.opened(path) as reading:
            for entry in archive.entries(reading):
                name = archive.safe_name(entry.name)
                if name in wanted and entry.isreg():
                    _copy(reading, entry, name, writing, changed.get(name), limits)
                    wanted.remove(name)
        if wanted:
            raise ArchiveRefused(RefusalReason.TRUNCATED)
        for name, content in {config_name: config, "manifest.json": text}.items():
            if content is not None:
                writing.addfile(_member(name, len(content)), BytesIO(content))


def _copy(
    reading: tarfile.TarFile,
    entry: tarfile.TarInfo,
    name: str,
    writing: tarfile.TarFile,
    rewritten: _Rewritten | None,
    limits: ArchiveLimits,
) -> None:
    source: Any = reading.extractfile(entry)
    if rewritten is None:
        writing.addfile(_member(name, entry.size), source)
        return
    plain, _ = archive.plain_layer(source, limits)
    writing.addfile(_member(name, rewritten.size), Stripped(plain) if rewritten.stripped else plain)


def _foreign(path: Path, layers: set[str], limits: ArchiveLimits) -> dict[str, _Rewritten]:
    """Find the layers that engines may not read as they are stored, with their sizes: a tar names sizes first."""
    found = {}
    with archive.opened(path) as tar:
        for entry in archive.entries(tar):
            name = archive.safe_name(entry.name)
            if name in layers and entry.isreg() and (source := tar.extractfile(entry)):
                counted, foreign = archive.plain_layer(source, limits)
                if foreign:
                    archive.drain(counted)
                    found[name] = _Rewritten(counted.size, stripped=False)
    return found


def _canonical(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _member(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry
