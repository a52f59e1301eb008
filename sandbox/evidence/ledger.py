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

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from holdout.merkle import EMPTY_ROOT
from sandbox.canonical import canonical_json
from sandbox.errors import ActorError, EvidenceError, LedgerError
from sandbox.evidence.actors import Acting, Actor, check_may, register, sign_entry
from sandbox.evidence.audit import LedgerReport, audit
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from sandbox.evidence.durable import make_folder, sync_folder, write_durable
from sandbox.evidence.entry import FORMAT, LedgerEntry, encode_entry
from sandbox.evidence.governing import KINDS as GOVERNING_KINDS
from sandbox.evidence.governing import Governing, governing, keep
from sandbox.evidence.keys import SigningKey, VerifierKey
from sandbox.evidence.ledger_files import check_growth, commit, read_entries
from sandbox.evidence.ledger_lock import locked
from sandbox.evidence.note import MAX_NOTE
from sandbox.evidence.proof import encode_proof
from sandbox.evidence.tiles import TileTree


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
        self._known: Governing | None = None

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
        with locked(self.folder, exclusive=True):
            head, _ = self._head()
            # Judged under the lock: nobody is revoked between the judgement and the entry.
            raw = [
                encode_entry(entry)
                for entry in (whole if self._acting is None else self._signed(whole, head))
            ]
            try:
                self._seen = commit(self.folder, head, raw, self._key)
                if self._acting is not None:
                    self._known = keep(self.folder, self._governing(self._seen), self._key)
            except OSError as error:
                raise LedgerError(
                    f"the ledger {self.folder} cannot be written: {error.strerror}; "
                    "it stands at its last signed head"
                ) from error
        return list(range(head.size, head.size + len(raw)))

    def actors(self) -> dict[str, Actor]:
        """Actors by name, as this ledger states them."""
        return register(self.governing())

    def governing(self) -> tuple[LedgerEntry, ...]:
        """The entries that say who may do what: on actors, on the policy's rules, and acts that were proposed."""
        with locked(self.folder):
            return self._governing(self._head()[0]).entries

    def require(self, kind: str) -> Actor:
        """The acting actor, who may enter an entry of ``kind``: asked before work whose end that entry is.

        Raises:
            ActorError: the actor is not known under the key at hand, was revoked, or has no role for it.
        """
        assert self._acting is not None
        return _required(self.actors(), self._acting(), kind)

    def _governing(self, head: Checkpoint) -> Governing:
        self._known = governing(self.folder, head, self.verifier, self._known)
        return self._known

    def _signed(self, entries: Sequence[Mapping[str, Any]], head: Checkpoint) -> list[dict[str, Any]]:
        assert self._acting is not None
        acting = self._acting()
        # A ledger without entries is just being made; its first actor vouches for itself.
        if head.size:
            actors = register(self._governing(head).entries)
            for kind in {str(entry["kind"]) for entry in entries}:
                _required(actors, acting, kind)
        return [sign_entry(entry, acting) for entry in entries]

    # Reading

    def checkpoint(self) -> bytes:
        """Return the signed head, verified."""
        with locked(self.folder):
            return self._head()[1]

    @property
    def head(self) -> Checkpoint:
        """The verified head: origin, size and root."""
        with locked(self.folder):
            return self._head()[0]

    def __len__(self) -> int:
        return self.head.size

    def entries(self, start: int = 0, end: int | None = None) -> list[LedgerEntry]:
        """Entries ``start`` to ``end`` (exclusive; default: all), each compared with the signed root.

        Raises:
            LedgerError: out of range, or an entry is not the one in the tree (the message names the first).
        """
        with locked(self.folder):
            head, _ = self._head()
            return list(read_entries(self.folder, head, start, head.size if end is None else end))

    def find(self, *, kind: str | None = None, **subject: object) -> list[LedgerEntry]:
        """Entries of ``kind`` whose subject has all the given values, compared with the signed root."""
        # Entries are canonical, so a field can be looked for in the bytes before anything is parsed.
        wanted = [(name, value) for name, value in {"kind": kind, **subject}.items() if value is not None]
        marks = tuple(canonical_json({name: value})[1:-1] for name, value in wanted)

        def may_be(raw: bytes) -> bool:
            return all(mark in raw for mark in marks)

        with locked(self.folder):
            head, _ = self._head()
            found = (
                self._governing(head).entries
                if kind in GOVERNING_KINDS
                else tuple(read_entries(self.folder, head, 0, head.size, may_be))
            )
        return [
            entry
            for entry in found
            if (kind is None or entry.kind == kind)
            and all(entry.subject.get(name) == value for name, value in subject.items())
        ]

    def prove(self, index: int, *, size: int | None = None) -> bytes:
        """Proof that entry ``index`` is in the log, for a ``.tlog-proof`` file.

        With ``size`` the proof is against the head the log had at that size (deterministic, so that a dossier
        made again has the same bytes); that takes the signing key unless it is the present head.
        """
        with locked(self.folder):
            signed, tree = self._signed_at(size)
            return encode_proof(index, tree.inclusion(index), signed)

    def checkpoint_at(self, size: int) -> bytes:
        """Return the signed head that the log had with ``size`` entries."""
        with locked(self.folder):
            return self._signed_at(size)[0]

    def consistency(self, old_checkpoint: bytes) -> ConsistencyProof:
        """Hold the log against a head that someone kept.

        Raises:
            LedgerError: the history up to that head was rewritten or cut.
            NoteError: the kept head is not one of this log.
        """
        old = open_checkpoint(old_checkpoint, self.verifier)
        with locked(self.folder):
            head, _ = self._head()
            return ConsistencyProof(old=old, new=head, path=check_growth(self.folder, old, head))

    def verify_all(self) -> LedgerReport:
        """Recompute everything from the entries up; damage is reported by its first bad entry, not raised."""
        try:
            with locked(self.folder):
                head, _ = self._head()
                return audit(self.folder, head, self.verifier, actors=self._acting is not None)
        except EvidenceError as error:
            return LedgerReport(held=False, size=0, root=b"", first_bad=None, problem=str(error))

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
        check_growth(self.folder, old, head)
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
            check_growth(self.folder, self._seen, head)
        self._seen = head
        return head, signed


def _required(actors: Mapping[str, Actor], acting: Acting, kind: str) -> Actor:
    actor = actors.get(acting.name)
    if actor is None or actor.public != acting.key.verifier.public:
        raise ActorError(
            f"{acting.name} is not an actor of this workspace under the key at hand. See: proctor actor list"
        )
    check_may(actor, kind)
    return actor


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
