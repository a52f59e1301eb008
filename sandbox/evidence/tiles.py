"""The log's tree on disk in the C2SP tlog-tiles layout, and proofs read from it in O(log n).

Layout below the ledger's folder (c2sp.org/tlog-tiles)::

    checkpoint                        signed head; replacing it is what commits an append
    tile/<level>/<N>[.p/<width>]      up to 256 hashes of 32 bytes; level 0 holds leaf hashes
    tile/entries/<N>[.p/<width>]      the entries of that level 0 tile, each after its length (uint16)

A partial tile is a file of its own for each width, so a file that a signed checkpoint covers is never written
to again: whatever an interrupted append left lies beyond the checkpoint and counts for nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdout.merkle import EMPTY_ROOT, HASH_SIZE, leaf_hash, node_hash, root
from sandbox.errors import LedgerError

WIDTH = 256
MAX_BUNDLE = WIDTH * (2 + 0xFFFF)
TileKey = tuple[int, int]


def tile_path(folder: Path, kind: str, number: int, width: int) -> Path:
    """Path of a tile (``kind`` a level) or bundle (``kind`` ``entries``) of ``width`` members."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    full = folder / "tile" / kind / name
    return full if width == WIDTH else full.with_name(full.name + ".p") / str(width)


def width_at(size: int, level: int, number: int) -> int:
    """Members of tile ``number`` at ``level`` in a tree of ``size`` leaves; 0 when it is not there yet."""
    return max(0, min(WIDTH, (size >> (8 * level)) - WIDTH * number))


class TileTree:
    """The tree of the first ``size`` entries, read from tiles as needed.

    ``stored`` is the size whose tiles lie on disk (an older tree's tiles are their beginnings); ``fresh``
    holds tiles that are not on disk yet (an append under way). Nothing read here is trusted by itself:
    callers compare :meth:`root` with a signed checkpoint or verify the proof they got.
    """

    def __init__(
        self,
        folder: Path,
        size: int,
        *,
        stored: int | None = None,
        fresh: Mapping[TileKey, bytes] | None = None,
    ) -> None:
        self.folder = folder
        self.size = size
        self._stored = size if stored is None else stored
        self._tiles: dict[TileKey, bytes] = dict(fresh or {})

    def tile(self, level: int, number: int) -> bytes:
        """Hashes of one tile, joined.

        Raises:
            LedgerError: the file is missing or has another length than its name says.
        """
        key = (level, number)
        if key not in self._tiles:
            width = width_at(self._stored, level, number)
            data = read_member(self.folder, str(level), number, width)
            if len(data) != width * HASH_SIZE:
                path = tile_path(self.folder, str(level), number, width)
                raise LedgerError(
                    f"{path} is damaged: {len(data)} bytes instead of {width * HASH_SIZE}; "
                    "restore the ledger from a backup"
                )
            self._tiles[key] = data
        return self._tiles[key]

    def leaf(self, index: int) -> bytes:
        """Leaf hash of entry ``index``."""
        return self._at(0, index)

    def root(self) -> bytes:
        """Root over all ``size`` leaves."""
        return self._range(0, self.size) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """Audit path of entry ``index`` (RFC 9162 section 2.1.3.1)."""
        if not 0 <= index < self.size:
            raise LedgerError(f"the ledger has no entry {index}; it holds {self.size} entries")
        path: list[bytes] = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old_size: int) -> list[bytes]:
        """Proof that the first ``old_size`` entries are a prefix of this tree (RFC 9162 section 2.1.4.1)."""
        if not 0 <= old_size <= self.size:
            raise LedgerError(
                f"the ledger holds {self.size} entries, fewer than the {old_size} it had before"
            )
        if old_size in (0, self.size):
            return []
        path: list[bytes] = []
        start, end, whole = 0, self.size, True
        while old_size != end:
            middle = start + _split(end - start)
            if old_size <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._range(start, end))
        return path[::-1]

    def _range(self, start: int, end: int) -> bytes:
        count = end - start
        if count & (count - 1) == 0 and start % count == 0:
            return self._complete(count.bit_length() - 1, start // count)
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _complete(self, height: int, position: int) -> bytes:
        level, rest = divmod(height, 8)
        first = position << rest
        return root(self._at(level, first + i) for i in range(1 << rest))

    def _at(self, level: int, position: int) -> bytes:
        number, offset = divmod(position, WIDTH)
        tile = self.tile(level, number)
        return tile[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]


def grow(tree: TileTree, leaves: Sequence[bytes]) -> dict[TileKey, bytes]:
    """Tiles that appending ``leaves`` (leaf hashes) to ``tree`` changes or adds, by level and number."""
    changed: dict[TileKey, bytes] = {}
    level, start, hashes = 0, tree.size, list(leaves)
    while hashes:
        number, offset = divmod(start, WIDTH)
        if offset:
            edge = tree.tile(level, number)
            hashes = [edge[i : i + HASH_SIZE] for i in range(0, len(edge), HASH_SIZE)] + hashes
        above = []
        for i in range(0, len(hashes), WIDTH):
            chunk = hashes[i : i + WIDTH]
            changed[level, number + i // WIDTH] = b"".join(chunk)
            if len(chunk) == WIDTH:
                above.append(root(chunk))
        level, start, hashes = level + 1, start // WIDTH, above
    return changed


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Join entries, each after its length as a big-endian uint16."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def read_bundle(folder: Path, number: int, size: int) -> list[bytes]:
    """Entries of bundle ``number`` in a log of ``size`` entries, not yet compared with the tree.

    Raises:
        LedgerError: the file is missing, cut, or holds another number of entries.
    """
    width = width_at(size, 0, number)
    data = read_member(folder, "entries", number, width)
    entries: list[bytes] = []
    at = 0
    while at + 2 <= len(data) and len(entries) < width:
        (length,) = struct.unpack_from(">H", data, at)
        entries.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    if len(entries) != width or at != len(data):
        raise LedgerError(
            f"{tile_path(folder, 'entries', number, width)} is damaged: it does not hold exactly {width} "
            f"whole entries (first entry {number * WIDTH}); restore the ledger from a backup"
        )
    return entries


def read_member(folder: Path, kind: str, number: int, width: int) -> bytes:
    """Bytes of the tile or bundle of ``width`` members.

    Raises:
        LedgerError: it is missing or unreadable.
    """
    path = tile_path(folder, kind, number, width)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BUNDLE + 1)
    except FileNotFoundError as error:
        raise LedgerError(
            f"{path} is missing although a signed checkpoint covers it; restore the ledger from a backup"
        ) from error
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from error


def leaf_hashes(entries: Sequence[bytes]) -> bytes:
    """Leaf hashes of ``entries``, joined as in a level 0 tile."""
    return b"".join(leaf_hash(entry) for entry in entries)


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)
