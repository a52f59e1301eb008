"""Which entries of a ledger say who may do what, without reading the whole of it at each append.

``governing`` beside the checkpoint lists their places, under the head up to which they were looked for. It is a note
signed by the ledger's key::

    proctor-governing/1
    <origin>
    <size>
    <root, base64>
    <index of an entry, one a line, rising>

The list alone proves nothing: the head in it must have grown into the present one, each entry that it names is read
against the signed root, and what came after it is read in full. An older list is therefore only slower, and a lost one
is made again. A full audit compares it with what it found itself (:mod:`sandbox.evidence.audit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.canonical import canonical_json
from sandbox.errors import EvidenceError, LedgerError, NoteError
from sandbox.evidence.checkpoint import Checkpoint, parse_body
from sandbox.evidence.encoding import parse_decimal
from sandbox.evidence.entry import LedgerEntry
from sandbox.evidence.keys import SigningKey, VerifierKey
from sandbox.evidence.ledger_files import check_growth, read_entries, read_some, write_beside
from sandbox.evidence.note import MAX_NOTE, parse_note, sign_note, verify_note
from sandbox.evidence.tiles import WIDTH

FILE = "governing"
FORMAT = "proctor-governing/1"
KINDS = (
    "actor-added",
    "actor-revoked",
    "act-proposed",
    "policy-adopted",
    "holdout-retired",
    "holdout-refreshed",
)
"""What :mod:`sandbox.evidence.separation` folds: people, rules, proposals, and the acts that use them up."""
_MARKS = tuple(canonical_json({"kind": kind})[1:-1] for kind in KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing:
    """Every governing entry of a ledger up to ``head``, in order; ``listed``: up to where a list on disk goes."""

    head: Checkpoint
    entries: tuple[LedgerEntry, ...]
    listed: int = 0


def governing(
    folder: Path, head: Checkpoint, verifier: VerifierKey, known: Governing | None = None
) -> Governing:
    """Every governing entry up to ``head``; what ``known`` or the list on disk holds is not looked for again.

    Raises:
        LedgerError: the list does not belong to this ledger, or an entry is not the one that was logged.
    """
    if known is None:
        known = _listed(folder, head, verifier)
    if known.head == head:
        return known
    since = read_entries(folder, head, known.head.size, head.size, _may_govern)
    found = [entry for entry in since if entry.kind in KINDS]
    return Governing(head=head, entries=(*known.entries, *found), listed=known.listed)


def keep(folder: Path, found: Governing, key: SigningKey) -> Governing:
    """List the places of ``found`` on disk, when the list there misses some of them or is many entries behind."""
    behind = found.head.size - found.listed
    if behind < WIDTH and not any(entry.index >= found.listed for entry in found.entries):
        return found
    places = "".join(f"{entry.index}\n" for entry in found.entries)
    text = f"{FORMAT}\n{found.head.body.decode()}{places}"
    if len(text) < MAX_NOTE // 2:
        write_beside(folder, FILE, sign_note(text.encode(), [key]))
    return Governing(head=found.head, entries=found.entries, listed=found.head.size)


def read_list(folder: Path, verifier: VerifierKey) -> tuple[Checkpoint, tuple[int, ...]] | None:
    """The head and the places that the list on disk names, verified; None when there is no list.

    Raises:
        LedgerError: it is not signed by the ledger's key, or malformed.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            note = parse_note(file.read(MAX_NOTE + 1))
        verify_note(note, [verifier])
        first, origin, size, root, *places = note.text.decode().removesuffix("\n").split("\n")
        head = parse_body(f"{origin}\n{size}\n{root}\n".encode())
        indices = tuple(parse_decimal(place, what="a place") for place in places)
        if first != FORMAT or origin != verifier.name or list(indices) != sorted(set(indices)):
            raise NoteError("it has another form")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EvidenceError) as error:
        raise LedgerError(
            f"{path} is not the list that Proctor wrote. Remove it: it is made again from the entries."
        ) from error
    return head, indices


def _listed(folder: Path, head: Checkpoint, verifier: VerifierKey) -> Governing:
    listed = read_list(folder, verifier)
    if listed is None:
        return Governing(head=Checkpoint(origin=head.origin, size=0, root=b""), entries=())
    old, indices = listed
    check_growth(folder, old, head)
    entries = tuple(read_some(folder, head, indices))
    if any(entry.kind not in KINDS for entry in entries) or (indices and indices[-1] >= old.size):
        raise LedgerError(f"{folder / FILE} names entries of other kinds. Remove it: it is made again.")
    return Governing(head=old, entries=entries, listed=old.size)


def _may_govern(raw: bytes) -> bool:
    # Canonical JSON spells each kind in one way, so most entries need not be parsed.
    return any(mark in raw for mark in _MARKS)
