"""Reading an image archive (``docker save`` or OCI layout) as a stream, without unpacking or running it.

Everything here parses a stranger's bytes, so it runs in the child process of :mod:`runners.archive_process`,
and counts before it keeps. Which member is what, :mod:`runners.image_layout` says.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from runners.compression import ZSTANDARD, decompressed
from runners.image_layout import Manifest, find_image, read_config
from runners.packages import NotReadError, Package, bytes_wanted, is_database, read_packages
from runners.refusals import ArchiveRefused, RefusalReason
from runners.stripping import Stripped

_BLOCK = 1 << 18
_SMALL_FILE = 4 << 20
_SMALL_FILES = 32 << 20
_SMALL_NAME = re.compile(r"manifest\.json|index\.json|[0-9a-f]{64}\.json|blobs/sha256/[0-9a-f]{64}")
_DECLARATION_BYTES = 64 << 10
# Whiteouts that are remembered; images have some thousands.
_MOST_REMOVED = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """Sizes beyond which an archive is refused, in bytes and counts."""

    layer_bytes: int
    total_bytes: int
    layers: int
    files: int


@dataclass(slots=True, kw_only=True)
class LayerContent:
    """What one layer holds, as far as admission asks.

    ``size`` is uncompressed; ``cleared`` counts what :mod:`runners.stripping` takes away, ``stripped_id`` is the digest
    without it; ``foreign``: stored in a way that engines may not read.
    """

    diff_id: str = ""
    stripped_id: str = ""
    size: int = 0
    files: int = 0
    cleared: int = 0
    foreign: bool = False
    device_nodes: int = 0
    # Types of watched paths: 'directory', 'link', 'file' or 'removed'.
    watched: dict[str, str] = field(default_factory=dict)
    passwd: bytes | None = None
    # Contents of the small files in which an image declares its contract.
    declarations: dict[str, bytes] = field(default_factory=dict)
    packages: dict[str, tuple[Package, ...]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    packages_not_read: bool = False


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive, plain, gzip or Zstandard, as a forward-only tar."""
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        source = decompressed(file, start)
        with _tar_errors(), tarfile.open(fileobj=source, mode="r|", bufsize=_BLOCK) as tar:
            yield tar
            drain(source)


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
                content = _json_content(tar, entry)
                if content is None:
                    continue
                kept += len(content)
                if kept > _SMALL_FILES:
                    raise ArchiveRefused(RefusalReason.MANIFEST)
                small[name] = content
            if len(links) + len(small) > limits.layers * 4:
                raise ArchiveRefused(RefusalReason.MANIFEST)
    config, layers = find_image(small)
    # Docker before 25 writes a layer that occurs twice as a link to its first copy.
    resolved = tuple(links.get(safe_name(name), safe_name(name)) for name in layers)
    manifest = read_config(small, config, resolved)
    if not 0 < len(resolved) <= limits.layers:
        raise ArchiveRefused(RefusalReason.LAYER_COUNT)
    return manifest


def _json_content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes | None:
    """Read a small member, unless it cannot be JSON: a small layer looks like a configuration by its name."""
    source = tar.extractfile(entry)
    assert source is not None
    start = source.read(1)
    return start + source.read() if start in b"{[" else None


def read_layers(
    path: Path,
    manifest: Manifest,
    watched: frozenset[str],
    declarations: frozenset[str],
    limits: ArchiveLimits,
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
            found[name] = content = _layer(source, watched, declarations, limits)
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


class Counted:
    """A stream that hashes and counts what passes, and refuses to go on beyond a size."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        self._source = source
        self._limit = limit
        self.size = 0
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on, as from a file."""
        block = self._source.read(_BLOCK if size < 0 else size)
        self.size += len(block)
        if self.size > self._limit:
            raise ArchiveRefused(RefusalReason.TOO_LARGE)
        self.hash.update(block)
        return block


def _layer(
    source: IO[bytes], watched: frozenset[str], declarations: frozenset[str], limits: ArchiveLimits
) -> LayerContent:
    counted, foreign = plain_layer(source, limits)
    stripped, content = Stripped(counted), LayerContent(foreign=foreign)
    with _tar_errors(), tarfile.open(fileobj=stripped, mode="r|", bufsize=_BLOCK) as tar:  # type: ignore[call-overload]
        for entry in entries(tar):
            content.files += 1
            if content.files > limits.files:
                raise ArchiveRefused(RefusalReason.TOO_MANY_FILES)
            _note(tar, entry, content, watched)
            if entry.isreg():
                _read_known(tar, entry, content, declarations)
        drain(stripped)
    content.diff_id = f"sha256:{counted.hash.hexdigest()}"
    content.stripped_id = f"sha256:{stripped.hash.hexdigest()}"
    content.cleared, content.size = stripped.cleared, counted.size
    return content


def plain_layer(source: IO[bytes], limits: ArchiveLimits) -> tuple[Counted, bool]:
    """Return a layer's tar as a counted stream, and whether it is stored in a way that engines may not read."""
    start = source.read(8)
    rejoined: IO[bytes] = _Rejoined(start, source)  # type: ignore[assignment]
    return Counted(decompressed(rejoined, start), limits.layer_bytes), start.startswith(ZSTANDARD)


def _read_known(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, content: LayerContent, declarations: frozenset[str]
) -> None:
    """Keep the image's declaration of its contract, and the packages that its databases list."""
    name = safe_name(entry.name)
    if name in declarations:
        # A declaration that is too large to be one is kept as an empty one, which is then refused by name.
        content.declarations[name] = _content(tar, entry) if entry.size <= _DECLARATION_BYTES else b""
    elif is_database(name):
        try:
            source = tar.extractfile(entry)
            assert source is not None
            content.packages[name] = read_packages(name, source.read(bytes_wanted(name, entry.size)))
        except NotReadError:
            content.packages_not_read = True


def _note(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, content: LayerContent, watched: frozenset[str]
) -> None:
    if ".." in entry.name.split("/") or (entry.islnk() and ".." in entry.linkname.split("/")):
        raise ArchiveRefused(RefusalReason.PATH_TRAVERSAL)
    name = safe_name(entry.name)
    content.device_nodes += entry.ischr() or entry.isblk()
    folder, _, last = name.rpartition("/")
    if last.startswith(".wh."):
        removed = posixpath.join(folder, last.removeprefix(".wh.")) if last != ".wh..wh..opq" else folder
        if len(content.removed) < _MOST_REMOVED:
            content.removed.add(removed)
        else:
            content.packages_not_read = True
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


def drain(source: IO[bytes] | Counted | Stripped) -> None:
    """Read to the end."""
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
