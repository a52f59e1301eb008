"""Entries of a ledger in its files: read against the signed head, and written under a new one.

Every function here is called with the ledger's lock held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from holdout.merkle import HASH_SIZE, ProofError, verify_consistency, verify_inclusion
from sandbox.errors import LedgerError
from sandbox.evidence.checkpoint import Checkpoint, sign_checkpoint
from sandbox.evidence.durable import make_folder, write_durable
from sandbox.evidence.entry import LedgerEntry, decode_entry
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.tiles import (
    WIDTH,
    TileTree,
    grow,
    leaf_hashes,
    pack_bundle,
    read_bundle,
    tile_path,
    width_at,
)

_SCRATCH = "unfinished"


def read_entries(
    folder: Path,
    head: Checkpoint,
    start: int,
    stop: int,
    wanted: Callable[[bytes], bool] | None = None,
) -> Iterator[LedgerEntry]:
    """Yield entries ``start`` to ``stop`` (exclusive) whose bytes are ``wanted``; None: all.

    Raises:
        LedgerError: out of range, or an entry is not the one in the tree (the message names the first).
    """
    if not 0 <= start <= stop <= head.size:
        raise LedgerError(f"entries {start} to {stop} are not all in this ledger of {head.size} entries")
    tree = TileTree(folder, head.size)
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        bundle = _checked_bundle(folder, number, tree, head)
        for index in range(max(start, number * WIDTH), min(stop, (number + 1) * WIDTH)):
            raw = bundle[index - number * WIDTH]
            if wanted is None or wanted(raw):
                yield decode_entry(raw, index)


def read_some(folder: Path, head: Checkpoint, indices: Sequence[int]) -> Iterator[LedgerEntry]:
    """Yield the entries at ``indices``, which rise; each bundle is read once.

    Raises:
        LedgerError: as :func:`read_entries`.
    """
    tree = TileTree(folder, head.size)
    number, bundle = -1, list[bytes]()
    for index in indices:
        if not 0 <= index < head.size:
            raise LedgerError(f"entry {index} is not in this ledger of {head.size} entries")
        if index // WIDTH != number:
            number = index // WIDTH
            bundle = _checked_bundle(folder, number, tree, head)
        yield decode_entry(bundle[index % WIDTH], index)


def check_growth(folder: Path, old: Checkpoint, new: Checkpoint) -> tuple[bytes, ...]:
    """Return the verified proof that the log only grew from ``old`` to ``new`` (RFC 9162 section 2.1.4).

    Raises:
        LedgerError: its history was rewritten or cut.
    """
    path = tuple(TileTree(folder, new.size).consistency(old.size))
    try:
        verify_consistency(old.size, new.size, old.root, new.root, path)
    except ProofError as error:
        raise LedgerError(f"the ledger's history was rewritten before entry {old.size}: {error}") from error
    return path


def commit(folder: Path, head: Checkpoint, raw: Sequence[bytes], key: SigningKey) -> Checkpoint:
    """Write ``raw`` behind ``head`` and sign the new head, whose file makes the append count.

    Raises:
        LedgerError: what lies in the folder does not lead to ``head``.
        OSError: the disk refuses; the ledger stands at ``head``.
    """
    tree = TileTree(folder, head.size)
    if tree.root() != head.root:
        raise LedgerError("the ledger's tiles do not lead to its signed root; see: proctor ledger verify")
    number, offset = divmod(head.size, WIDTH)
    edge = _checked_bundle(folder, number, tree, head) if offset else []
    size, waiting = head.size + len(raw), [*edge, *raw]
    hashes = leaf_hashes(raw)
    tiles = grow(tree, [hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE)])
    new = Checkpoint(origin=head.origin, size=size, root=TileTree(folder, size, fresh=tiles).root())
    files = {
        tile_path(folder, str(level), index, len(tile) // HASH_SIZE): tile
        for (level, index), tile in tiles.items()
    }
    bundles = range(number, (size - 1) // WIDTH + 1)
    for i, bundle in enumerate(bundles):
        path = tile_path(folder, "entries", bundle, width_at(size, 0, bundle))
        files[path] = pack_bundle(waiting[i * WIDTH : (i + 1) * WIDTH])

    scratch = folder / _SCRATCH
    make_folder(scratch)
    for leftover in scratch.iterdir():
        leftover.unlink()
    for path, data in files.items():
        write_durable(path, data, scratch=scratch)
    write_durable(folder / "checkpoint", sign_checkpoint(new, key), scratch=scratch)
    # The entries are committed: a leftover that cannot be removed now is removed by a later append.
    with suppress(OSError):
        _remove_superseded(folder, size, [*tiles, *((None, bundle) for bundle in bundles)])
    return new


def write_beside(folder: Path, name: str, data: bytes) -> None:
    """Put the file ``name`` beside the checkpoint, whole or not at all."""
    make_folder(folder / _SCRATCH)
    write_durable(folder / name, data, scratch=folder / _SCRATCH)


def _checked_bundle(folder: Path, number: int, tree: TileTree, head: Checkpoint) -> list[bytes]:
    bundle = read_bundle(folder, number, head.size)
    hashes, tile = leaf_hashes(bundle), tree.tile(0, number)
    for i in range(len(bundle)):
        if hashes[i * HASH_SIZE : (i + 1) * HASH_SIZE] != tile[i * HASH_SIZE : (i + 1) * HASH_SIZE]:
            raise LedgerError(f"ledger entry {number * WIDTH + i} is not the one that was logged")
    # The path of the first leaf is computed from all other leaves of its tile, so it vouches for the whole tile.
    first = number * WIDTH
    try:
        verify_inclusion(tree.leaf(first), first, head.size, tree.inclusion(first), head.root)
    except ProofError as error:
        raise LedgerError(
            f"ledger entries {first} to {first + len(bundle) - 1} do not lead to the signed root: "
            "the tree was changed"
        ) from error
    return bundle


def _remove_superseded(folder: Path, size: int, members: Sequence[tuple[int | None, int]]) -> None:
    for level, number in members:
        width = width_at(size, level or 0, number)
        kind = "entries" if level is None else str(level)
        partial = tile_path(folder, kind, number, 1).parent
        if not partial.is_dir():
            continue
        for old in partial.iterdir():
            if old.name != str(width):
                old.unlink(missing_ok=True)
        if width == WIDTH:
            partial.rmdir()
