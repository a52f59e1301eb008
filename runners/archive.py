"""Reading an image archive of ``docker save`` as a stream, without unpacking or running it.

Everything here parses a stranger's bytes, so it runs in the child process of :mod:`runners.archive_process`,
and counts before it keeps. Formats: the Docker image specification v1.2 (``<id>/layer.tar``) and the layout
with ``blobs/sha256`` that Docker 25 and later write; both have ``manifest.json``.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from runners.refusals import ArchiveRefused, RefusalReason

_BLOCK = 1 << 18
_SMALL_FILE = 4 << 20
_SMALL_FILES = 32 << 20
_SMALL_NAME = re.compile(r"manifest\.json|[0-9a-f]{64}\.json|blobs/sha256/[0-9a-f]{64}")
_CONFIG_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")
_GZIP, _OTHERS = b"\x1f\x8b", (b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """Sizes beyond which an archive is refused, in bytes and counts."""

    layer_bytes: int
    total_bytes: int
    layers: int
    files: int


@dataclass(slots=True, kw_only=True)
class LayerContent:
    """What one layer holds, as far as admission asks."""

    diff_id: str = ""
    size: int = 0
    files: int = 0
    set_user_id: int = 0
    device_nodes: int = 0
    # Types of watched paths: 'directory', 'link', 'file' or 'removed'.
    watched: dict[str, str] = field(default_factory=dict)
    passwd: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The one image of an archive: its configuration and its layers from bottom to top."""

    digest: str
    config_name: str
    config: dict[str, Any]
    layers: tuple[str, ...]


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive, plain or gzip, as a forward-only tar."""
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if start.startswith(_OTHERS):
            raise ArchiveRefused(RefusalReason.COMPRESSION)
        source: IO[bytes] = gzip.GzipFile(fileobj=file) if start.startswith(_GZIP) else file  # type: ignore[assignment]
        with _tar_errors(), tarfile.open(fileobj=source, mode="r|", bufsize=_BLOCK) as tar:
            yield tar
            _drain(source)


def read_manifest(path: Path, limits: ArchiveLimits) -> Manifest:
    """Find the one image of the archive."""
    small: dict[str, bytes] = {}
    links: dict[str, str] = {}
    kept = 0
    with opened(path) as tar:
        for entry in entries(tar):
            name = safe_name(entry.name)
            if entry.issym() or entry.islnk():
                links[name] = safe_name(posixpath.join(posixpath.dirname(name), entry.linkname))
            elif entry.isreg() and entry.size <= _SMALL_FILE and _SMALL_NAME.fullmatch(name):
                kept += entry.size
                if kept > _SMALL_FILES:
                    raise ArchiveRefused(RefusalReason.MANIFEST)
                small[name] = _content(tar, entry)
            if len(links) + len(small) > limits.layers * 4:
                raise ArchiveRefused(RefusalReason.MANIFEST)
    if "manifest.json" not in small:
        raise ArchiveRefused(RefusalReason.MANIFEST)
    images = _json(small["manifest.json"])
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise ArchiveRefused(RefusalReason.NOT_ONE_IMAGE)
    return _manifest(images[0], small, links, limits)


def _manifest(
    image: dict[str, Any], small: dict[str, bytes], links: dict[str, str], limits: ArchiveLimits
) -> Manifest:
    config_name, layers = image.get("Config"), image.get("Layers")
    matched = _CONFIG_NAME.fullmatch(config_name) if isinstance(config_name, str) else None
    if matched is None or not isinstance(layers, list) or not all(isinstance(item, str) for item in layers):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    if not 0 < len(layers) <= limits.layers:
        raise ArchiveRefused(RefusalReason.LAYER_COUNT)
    assert isinstance(config_name, str)
    if config_name not in small:
        raise ArchiveRefused(RefusalReason.MANIFEST)
    digest = hashlib.sha256(small[config_name]).hexdigest()
    if digest != matched.group(1):
        raise ArchiveRefused(RefusalReason.DIGEST_MISMATCH)
    config = _json(small[config_name])
    if not isinstance(config, dict):
        raise ArchiveRefused(RefusalReason.MANIFEST)
    # Docker before 25 writes a layer that occurs twice as a link to its first copy.
    resolved = tuple(links.get(safe_name(name), safe_name(name)) for name in layers)
    return Manifest(digest=f"sha256:{digest}", config_name=config_name, config=config, layers=resolved)


def read_layers(
    path: Path, manifest: Manifest, watched: frozenset[str], limits: ArchiveLimits
) -> dict[str, LayerContent]:
    """Walk through every layer once; the result is keyed by the layer's name in the archive."""
    found: dict[str, LayerContent] = {}
    total = files = 0
    with opened(path) as tar:
        for entry in entries(tar):
            name = safe_name(entry.name)
            if name not in manifest.layers or not entry.isreg():
                continue
            if name in found:
                # Two members of one name: which of them the engine would take is anybody's guess.
                raise ArchiveRefused(RefusalReason.MANIFEST)
            source = tar.extractfile(entry)
            assert source is not None
            found[name] = content = _layer(source, watched, limits)
            total += content.size
            files += content.files
            if total > limits.total_bytes:
                raise ArchiveRefused(RefusalReason.TOO_LARGE)
            if files > limits.files:
                raise ArchiveRefused(RefusalReason.TOO_MANY_FILES)
    if set(manifest.layers) - set(found):
        raise ArchiveRefused(RefusalReason.TRUNCATED)
    return found


def safe_name(name: str) -> str:
    """Bring a path of an archive into the one form, relative and without dots.

    Raises:
        ArchiveRefused: it climbs out of the archive.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts and posixpath.normpath("/".join(parts)).startswith(".."):
        raise ArchiveRefused(RefusalReason.PATH_TRAVERSAL)
    return posixpath.normpath("/".join(parts)) if parts else "."


class _Counted:
    """A stream that hashes and counts what passes, and refuses to go on beyond a size."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source = source
        self._limit = limit
        self.size = 0
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(_BLOCK if size < 0 else size)
        self.size += len(block)
        if self.size > self._limit:
            raise ArchiveRefused(RefusalReason.TOO_LARGE)
        self.hash.update(block)
        return block


def _layer(source: IO[bytes], watched: frozenset[str], limits: ArchiveLimits) -> LayerContent:
    start = source.read(8)
    source = _Rejoined(start, source)  # type: ignore[assignment]
    if start.startswith(_OTHERS):
        raise ArchiveRefused(RefusalReason.COMPRESSION)
    plain: IO[bytes] = gzip.GzipFile(fileobj=source) if start.startswith(_GZIP) else source  # type: ignore[assignment]
    counted = _Counted(plain, limits.layer_bytes)
    content = LayerContent()
    with _tar_errors(), tarfile.open(fileobj=counted, mode="r|", bufsize=_BLOCK) as tar:  # type: ignore[call-overload]
        for entry in entries(tar):
            content.files += 1
            if content.files > limits.files:
                raise ArchiveRefused(RefusalReason.TOO_MANY_FILES)
            _note(tar, entry, content, watched)
        _drain(counted)
    content.diff_id = f"sha256:{counted.hash.hexdigest()}"
    content.size = counted.size
    return content


def _note(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, content: LayerContent, watched: frozenset[str]
) -> None:
    if ".." in entry.name.split("/") or (entry.islnk() and ".." in entry.linkname.split("/")):
        raise ArchiveRefused(RefusalReason.PATH_TRAVERSAL)
    name = safe_name(entry.name)
    content.device_nodes += entry.ischr() or entry.isblk()
    content.set_user_id += entry.isreg() and bool(entry.mode & 0o6000)
    folder, _, last = name.rpartition("/")
    if last.startswith(".wh."):
        removed = posixpath.join(folder, last.removeprefix(".wh.")) if last != ".wh..wh..opq" else folder
        for path in watched:
            if path == removed or path.startswith(f"{removed}/"):
                content.watched[path] = "removed"
        return
    if name in watched:
        linked = entry.issym() or entry.islnk()
        content.watched[name] = "directory" if entry.isdir() else "link" if linked else "file"
        if name == "etc/passwd":
            content.passwd = _content(tar, entry) if entry.isreg() and entry.size <= _SMALL_FILE else None


class _Rejoined:
    """A stream whose first bytes were read already."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        if self._start:
            wanted = len(self._start) if size < 0 else size
            piece, self._start = self._start[:wanted], self._start[wanted:]
            return piece
        return self._rest.read(_BLOCK if size < 0 else size)


def entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Iterate over a forward-only tar without keeping its entries."""
    for entry in tar:
        yield entry
        # A forward-only tar is never looked back at; a million names would fill the memory.
        tar.members = []  # type: ignore[attr-defined]


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    source = tar.extractfile(entry)
    assert source is not None
    return source.read()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ArchiveRefused(RefusalReason.MANIFEST) from None


def _drain(source: IO[bytes] | _Counted) -> None:
    while source.read(_BLOCK):
        pass


@contextmanager
def _tar_errors() -> Iterator[None]:
    try:
        yield
    except (EOFError, tarfile.StreamError):
        raise ArchiveRefused(RefusalReason.TRUNCATED) from None
    except tarfile.ReadError as error:
        # The library tells a damaged header and an early end apart by wording only.
        cut = "unexpected end" in str(error) or "empty" in str(error) or "truncated" in str(error)
        raise ArchiveRefused(RefusalReason.TRUNCATED if cut else RefusalReason.NOT_AN_ARCHIVE) from None
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, UnicodeError):
        raise ArchiveRefused(RefusalReason.NOT_AN_ARCHIVE) from None
