"""Full audit of a ledger on disk: everything recomputed from the entries, the first bad one named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdout.merkle import HASH_SIZE, root
from sandbox.errors import EvidenceError, LedgerError
from sandbox.evidence import governing
from sandbox.evidence.actors import unsigned
from sandbox.evidence.checkpoint import Checkpoint
from sandbox.evidence.entry import LedgerEntry, decode_entry
from sandbox.evidence.keys import VerifierKey
from sandbox.evidence.separation import breaches
from sandbox.evidence.tiles import WIDTH, TileTree, leaf_hashes, read_bundle, width_at


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """Outcome of an audit.

    Attributes:
        size, root: the signed head that was audited (0 and empty when the head itself does not hold).
        first_bad: index of the first entry that does not hold; None when all do or the fault is elsewhere.
        problem: what does not hold, as a sentence; None when ``held``.
        clock_went_back: entries whose time lies before that of the entry before (a fact, not a fault).
    """

    held: bool
    size: int
    root: bytes
    first_bad: int | None = None
    problem: str | None = None
    clock_went_back: tuple[int, ...] = ()


def audit(folder: Path, head: Checkpoint, verifier: VerifierKey, *, actors: bool = False) -> LedgerReport:
    """Check entries, tiles of every level and root of the ledger in ``folder`` against its ``head``.

    ``verifier``: the ledger's, for the list of governing entries beside it. ``actors``: check too that each entry is
    signed by an actor who had a role for it, and that acts of two people and releases were others' doing too.
    """

    def bad(problem: str, first_bad: int | None = None) -> LedgerReport:
        return LedgerReport(held=False, size=head.size, root=head.root, first_bad=first_bad, problem=problem)

    hashes = bytearray()
    problem: tuple[int, str] | None = None
    back: list[int] = []
    last = ""
    read: list[LedgerEntry] = []
    tree = TileTree(folder, head.size)
    for number in range(-(-head.size // WIDTH)):
        try:
            bundle = read_bundle(folder, number, head.size)
        except LedgerError as error:
            return bad(str(error), number * WIDTH)
        found = leaf_hashes(bundle)
        hashes += found
        for offset, raw in enumerate(bundle):
            index = number * WIDTH + offset
            try:
                entry = decode_entry(raw, index)
            except EvidenceError as error:
                problem = problem or (index, str(error))
                continue
            if entry.time < last:
                back.append(index)
            last = entry.time
            read.append(entry)
    leaves = [bytes(hashes[i : i + HASH_SIZE]) for i in range(0, len(hashes), HASH_SIZE)]
    true_root = root(leaves)
    if true_root != head.root:
        changed = _first_difference(leaves, tree, head)
        if changed is not None:
            return bad(f"entry {changed} is not the one that was logged", changed)
        return bad(
            "the entries do not lead to the signed root, and the tiles do not show which one was changed"
        )
    if problem:
        return bad(problem[1], problem[0])
    try:
        damaged = _first_bad_tile(leaves, tree)
    except LedgerError as error:
        return bad(str(error))
    if damaged:
        return bad(f"the entries hold, but tile {damaged[1]} of level {damaged[0]} was changed; proofs fail")
    try:
        if not _list_holds(folder, verifier, read, leaves):
            return bad(f"the file {governing.FILE} does not list the entries that say who may do what")
        for fault in unsigned(read) if actors else ():
            return bad(f"entry {fault.index} does not count as its actor's: {fault.reason}", fault.index)
        for breach in breaches(read) if actors else ():
            return bad(f"entry {breach.index} breaks the separation of duties: {breach.reason}", breach.index)
    except EvidenceError as error:
        return bad(str(error))
    return LedgerReport(held=True, size=head.size, root=head.root, clock_went_back=tuple(back))


def _list_holds(folder: Path, verifier: VerifierKey, entries: list[LedgerEntry], leaves: list[bytes]) -> bool:
    listed = governing.read_list(folder, verifier)
    if listed is None:
        return True
    old, indices = listed
    found = (entry.index for entry in entries if entry.kind in governing.KINDS and entry.index < old.size)
    return old.size <= len(leaves) and root(leaves[: old.size]) == old.root and indices == tuple(found)


def _first_difference(leaves: list[bytes], tree: TileTree, head: Checkpoint) -> int | None:
    """Index of the first entry that differs from the tiles, where the tiles lead to the signed root."""
    try:
        if tree.root() != head.root:
            return None
        return next((i for i, leaf in enumerate(leaves) if leaf != tree.leaf(i)), None)
    except LedgerError:
        return None


def _first_bad_tile(leaves: list[bytes], tree: TileTree) -> tuple[int, int] | None:
    level, hashes = 0, leaves
    while hashes:
        above = []
        for number in range(-(-len(hashes) // WIDTH)):
            chunk = hashes[number * WIDTH : (number + 1) * WIDTH]
            if b"".join(chunk) != tree.tile(level, number) or len(chunk) != width_at(
                tree.size, level, number
            ):
                return level, number
            if len(chunk) == WIDTH:
                above.append(root(chunk))
        level, hashes = level + 1, above
    return None
