"""The ledger: an append-only log on disk that anyone with its verifier key can check.

Invariants
    - What a signed checkpoint covers is never written to again. An append writes new files, flushes them,
      and only then replaces ``checkpoint``; killed anywhere, the log is at the old head or at the new one.
    - No head is signed over a tree that does not lead to the head before it, as far as the right edge shows.
    - Entries handed out were compared with the tree, and the tree with the signed root.
    - An opened ledger remembers the newest head it saw and refuses an older or a forked one.

What it cannot show by itself: a machine's owner who keeps two histories. That takes a checkpoint in other
hands: every dossier holds one, and :meth:`Ledger.consistency` holds the log against it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from holdout.merkle import EMPTY_ROOT, HASH_SIZE, ProofError, verify_consistency, verify_inclusion
from sandbox.canonical import canonical_json
from sandbox.errors import ActorError, EvidenceError, LedgerError
from sandbox.evidence.actors import Acting, Actor, check_may, register, sign_entry
from sandbox.evidence.audit import LedgerReport, audit
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from sandbox.evidence.durable import make_folder, sync_folder, write_durable
from sandbox.evidence.entry import FORMAT, LedgerEntry, decode_entry, encode_entry
from sandbox.evidence.keys import SigningKey, VerifierKey
from sandbox.evidence.note import MAX_NOTE
from sandbox.evidence.proof import encode_proof
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

LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyProof:
    """Verified proof that the log only grew from ``old`` to ``new`` (RFC 9162 section 2.1.4)."""

    old: Checkpoint
    new: Checkpoint
    path: tuple[bytes, ...]


class Ledger:
    """A ledger opened for reading and, with its signing key, for appending; safe among processes."""

    def __init__(
        self,
        folder: Path,
        verifier: VerifierKey,
        key: SigningKey | None,
        acting: Callable[[], Acting] | None = None,
    ) -> None:
        self.folder = folder
        self.verifier = verifier
        self._key = key
        self._acting = acting
        self._seen: Checkpoint | None = None

    @classmethod
    def create(cls, folder: Path, *, origin: str, key: SigningKey) -> Ledger:
        """Make an empty ledger at ``folder``, which appears whole or not at all.

        Raises:
            LedgerError: ``folder`` is there already, or cannot be written.
        """
        if folder.exists():
            raise LedgerError(f"{folder} is there already; a ledger is never made over another")
        building = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.partial")
        try:
            make_folder(building)
            head = Checkpoint(origin=origin, size=0, root=EMPTY_ROOT)
            write_durable(building / "lock", b"")
            write_durable(building / "checkpoint", sign_checkpoint(head, key))
            building.rename(folder)
            sync_folder(folder.parent)
        except OSError as error:
            raise LedgerError(f"the ledger {folder} cannot be made: {error.strerror}") from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return cls.open(folder, key=key)

    @classmethod
    def open(
        cls,
        folder: Path,
        verifier: VerifierKey | None = None,
        *,
        key: SigningKey | None = None,
        acting: Callable[[], Acting] | None = None,
    ) -> Ledger:
        """Open the ledger at ``folder``; ``verifier`` defaults to the public half of ``key``.

        The signed head is checked here, the entries when they are read. ``acting`` gives the actor who signs what
        is appended; it is asked for at the first append.

        Raises:
            LedgerError: there is none, or its head is not signed by this key.
        """
        if verifier is None:
            if key is None:
                raise LedgerError("a ledger is opened with its verifier key or its signing key")
            verifier = key.verifier
        if key is not None and key.verifier != verifier:
            raise LedgerError("the signing key is not the one that the verifier key belongs to")
        ledger = cls(folder, verifier, key, acting)
        ledger.checkpoint()
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between calls."""

    # Appending

    def append(self, entry: Mapping[str, Any]) -> int:
        """Append one entry and return its index; it is on disk under a signed head when this returns.

        ``format`` and ``time`` are filled in when absent.

        Raises:
            LedgerError: the entry is not of the agreed form, the ledger is damaged, or the disk refuses.
            ActorError: the acting actor may not do this.
        """
        return self.append_all([entry])[0]

    def append_all(self, entries: Sequence[Mapping[str, Any]]) -> list[int]:
        """Append several entries under one new head: all of them or none."""
        if self._key is None:
            raise LedgerError("this ledger was opened for reading; appending needs its signing key")
        if not entries:
            return []
        whole = [{"format": FORMAT, "time": _now(), **entry} for entry in entries]
        raw = [encode_entry(entry) for entry in (whole if self._acting is None else self._signed(whole))]
        with self._locked(exclusive=True):
            head, _ = self._head()
            try:
                self._commit(head, raw, self._key)
            except OSError as error:
                raise LedgerError(
                    f"the ledger {self.folder} cannot be written: {error.strerror}; "
                    "it stands at its last signed head"
                ) from error
        return list(range(head.size, head.size + len(raw)))

    def actors(self) -> dict[str, Actor]:
        """Actors by name, as this ledger states them."""
        named = [*self.find(kind="actor-added"), *self.find(kind="actor-revoked")]
        return register(sorted(named, key=lambda entry: entry.index))

    def require(self, kind: str) -> Actor:
        """The acting actor, who may enter an entry of ``kind``: asked before work whose end that entry is.

        Raises:
            ActorError: the actor is not known under the key at hand, was revoked, or has no role for it.
        """
        assert self._acting is not None
        acting = self._acting()
        actor = self.actors().get(acting.name)
        if actor is None or actor.public != acting.key.verifier.public:
            raise ActorError(
                f"{acting.name} is not an actor of this workspace under the key at hand. See: proctor actor list"
            )
        check_may(actor, kind)
        return actor

    def _signed(self, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        assert self._acting is not None
        # A ledger without entries is just being made; its first actor vouches for itself.
        if self.head.size:
            for kind in {str(entry["kind"]) for entry in entries}:
                self.require(kind)
        acting = self._acting()
        return [sign_entry(entry, acting) for entry in entries]

    def _commit(self, head: Checkpoint, raw: Sequence[bytes], key: SigningKey) -> None:
        tree = TileTree(self.folder, head.size)
        if tree.root() != head.root:
            raise LedgerError("the ledger's tiles do not lead to its signed root; see: proctor ledger verify")
        number, offset = divmod(head.size, WIDTH)
        edge = read_bundle(self.folder, number, head.size) if offset else []
        if edge:
            self._check_bundle(edge, number, tree, head)
        size, waiting = head.size + len(raw), [*edge, *raw]
        hashes = leaf_hashes(raw)
        tiles = grow(tree, [hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE)])
        new = Checkpoint(origin=head.origin, size=size, root=TileTree(self.folder, size, fresh=tiles).root())
        files = {
            tile_path(self.folder, str(level), index, len(tile) // HASH_SIZE): tile
            for (level, index), tile in tiles.items()
        }
        bundles = range(number, (size - 1) // WIDTH + 1)
        for i, bundle in enumerate(bundles):
            path = tile_path(self.folder, "entries", bundle, width_at(size, 0, bundle))
            files[path] = pack_bundle(waiting[i * WIDTH : (i + 1) * WIDTH])

        scratch = self.folder / "unfinished"
        make_folder(scratch)
        for leftover in scratch.iterdir():
            leftover.unlink()
        for path, data in files.items():
            write_durable(path, data, scratch=scratch)
        write_durable(self.folder / "checkpoint", sign_checkpoint(new, key), scratch=scratch)
        self._seen = new
        # The entries are committed: a leftover that cannot be removed now is removed by a later append.
        with suppress(OSError):
            self._remove_superseded(size, [*tiles, *((None, bundle) for bundle in bundles)])

    def _remove_superseded(self, size: int, members: Sequence[tuple[int | None, int]]) -> None:
        for level, number in members:
            width = width_at(size, level or 0, number)
            kind = "entries" if level is None else str(level)
            partial = tile_path(self.folder, kind, number, 1).parent
            if not partial.is_dir():
                continue
            for old in partial.iterdir():
                if old.name != str(width):
                    old.unlink(missing_ok=True)
            if width == WIDTH:
                partial.rmdir()

    # Reading

    def checkpoint(self) -> bytes:
        """Return the signed head, verified."""
        with self._locked():
            return self._head()[1]

    @property
    def head(self) -> Checkpoint:
        """The verified head: origin, size and root."""
        with self._locked():
            return self._head()[0]

    def __len__(self) -> int:
        return self.head.size

    def entries(self, start: int = 0, end: int | None = None) -> list[LedgerEntry]:
        """Entries ``start`` to ``end`` (exclusive; default: all), each compared with the signed root.

        Raises:
            LedgerError: out of range, or an entry is not the one in the tree (the message names the first).
        """
        return list(self._read(start, end, ()))

    def find(self, *, kind: str | None = None, **subject: object) -> list[LedgerEntry]:
        """Entries of ``kind`` whose subject has all the given values, compared with the signed root."""
        # Entries are canonical, so a field can be looked for in the bytes before anything is parsed.
        wanted = [(name, value) for name, value in {"kind": kind, **subject}.items() if value is not None]
        marks = tuple(canonical_json({name: value})[1:-1] for name, value in wanted)
        return [
            entry
            for entry in self._read(0, None, marks)
            if (kind is None or entry.kind == kind)
            and all(entry.subject.get(name) == value for name, value in subject.items())
        ]

    def prove(self, index: int, *, size: int | None = None) -> bytes:
        """Proof that entry ``index`` is in the log, for a ``.tlog-proof`` file.

        With ``size`` the proof is against the head the log had at that size (deterministic, so that a dossier
        made again has the same bytes); that takes the signing key unless it is the present head.
        """
        with self._locked():
            signed, tree = self._signed_at(size)
            return encode_proof(index, tree.inclusion(index), signed)

    def checkpoint_at(self, size: int) -> bytes:
        """Return the signed head that the log had with ``size`` entries."""
        with self._locked():
            return self._signed_at(size)[0]

    def consistency(self, old_checkpoint: bytes) -> ConsistencyProof:
        """Hold the log against a head that someone kept.

        Raises:
            LedgerError: the history up to that head was rewritten or cut.
            NoteError: the kept head is not one of this log.
        """
        old = open_checkpoint(old_checkpoint, self.verifier)
        with self._locked():
            head, _ = self._head()
            return ConsistencyProof(old=old, new=head, path=self._check_growth(old, head))

    def verify_all(self) -> LedgerReport:
        """Recompute everything from the entries up; damage is reported by its first bad entry, not raised."""
        try:
            with self._locked():
                head, _ = self._head()
                return audit(self.folder, head, actors=self._acting is not None)
        except EvidenceError as error:
            return LedgerReport(held=False, size=0, root=b"", first_bad=None, problem=str(error))

    def _read(self, start: int, end: int | None, marks: Sequence[bytes]) -> Iterator[LedgerEntry]:
        with self._locked():
            head, _ = self._head()
            stop = head.size if end is None else end
            if not 0 <= start <= stop <= head.size:
                raise LedgerError(
                    f"entries {start} to {stop} are not all in this ledger of {head.size} entries"
                )
            tree = TileTree(self.folder, head.size)
            for number in range(start // WIDTH, -(-stop // WIDTH)):
                if number * WIDTH >= stop:
                    break
                bundle = read_bundle(self.folder, number, head.size)
                self._check_bundle(bundle, number, tree, head)
                for index in range(max(start, number * WIDTH), min(stop, (number + 1) * WIDTH)):
                    raw = bundle[index - number * WIDTH]
                    if all(mark in raw for mark in marks):
                        yield decode_entry(raw, index)

    def _check_bundle(self, bundle: Sequence[bytes], number: int, tree: TileTree, head: Checkpoint) -> None:
        hashes, tile = leaf_hashes(bundle), tree.tile(0, number)
        for i in range(len(bundle)):
            if hashes[i * HASH_SIZE : (i + 1) * HASH_SIZE] != tile[i * HASH_SIZE : (i + 1) * HASH_SIZE]:
                first_bad = number * WIDTH + i
                raise LedgerError(f"ledger entry {first_bad} is not the one that was logged")
        # The path of the first leaf is computed from all other leaves of its tile, so it vouches for the
        # whole tile.
        first = number * WIDTH
        try:
            verify_inclusion(tree.leaf(first), first, head.size, tree.inclusion(first), head.root)
        except ProofError as error:
            raise LedgerError(
                f"ledger entries {first} to {first + len(bundle) - 1} do not lead to the signed root: "
                "the tree was changed"
            ) from error

    def _signed_at(self, size: int | None) -> tuple[bytes, TileTree]:
        head, signed = self._head()
        if size is None or size == head.size:
            return signed, TileTree(self.folder, head.size)
        if not 0 <= size <= head.size:
            raise LedgerError(f"the ledger never had {size} entries; it holds {head.size}")
        if self._key is None:
            raise LedgerError(
                "an earlier head of the ledger is signed again with the signing key, which is not open here"
            )
        tree = TileTree(self.folder, size, stored=head.size)
        old = Checkpoint(origin=head.origin, size=size, root=tree.root())
        # Never sign an old head that does not grow into the present one.
        self._check_growth(old, head)
        return sign_checkpoint(old, self._key), tree

    def _head(self) -> tuple[Checkpoint, bytes]:
        """Read and verify the head; called with the lock held."""
        path = self.folder / "checkpoint"
        try:
            with path.open("rb") as file:
                signed = file.read(MAX_NOTE + 1)
        except OSError as error:
            raise LedgerError(
                f"{path} cannot be read: {error.strerror}; restore the ledger from a backup"
            ) from error
        try:
            head = open_checkpoint(signed, self.verifier)
        except EvidenceError as error:
            raise LedgerError(f"{path} is not a signed head of this ledger: {error}") from error
        if self._seen is not None and head != self._seen:
            self._check_growth(self._seen, head)
        self._seen = head
        return head, signed

    def _check_growth(self, old: Checkpoint, new: Checkpoint) -> tuple[bytes, ...]:
        path = tuple(TileTree(self.folder, new.size).consistency(old.size))
        try:
            verify_consistency(old.size, new.size, old.root, new.root, path)
        except ProofError as error:
            raise LedgerError(
                f"the ledger's history was rewritten before entry {old.size}: {error}"
            ) from error
        return path

    @contextmanager
    def _locked(self, *, exclusive: bool = False) -> Iterator[None]:
        path = self.folder / "lock"
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            if exclusive or not self.folder.is_dir():
                raise LedgerError(f"{self.folder} holds no ledger (its file lock is missing)") from None
            # A copy on read-only media may come without the lock; nobody appends to it.
            yield
            return
        try:
            mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise LedgerError(
                            f"another process has held the ledger {self.folder} for a minute"
                        ) from None
                    time.sleep(0.005)
            yield
        finally:
            os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
