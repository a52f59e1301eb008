"""Ledger entries, one by one: their form, what is signed of them, and reading them as strictly as they were written.

Form (canonical JSON, RFC 8785)::

    {"format": "proctor-entry/1", "kind": ..., "time": "2026-01-31T12:00:00Z", "actor": ...,
     "subject": {digests and names}, "detail": {counts, flags, codes},
     "signature": base64 of the actor's Ed25519 signature over :func:`to_sign`}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.canonical import canonical_json
from sandbox.errors import LedgerError, ProctorError
from sandbox.evidence.kinds import KINDS, is_name, is_signature
from sandbox.evidence.strictjson import JsonLimits, parse_canonical

FORMAT = "proctor-entry/1"
MAX_ENTRY = 16 * 1024  # tlog-tiles allows 65,535; payloads stay outside and are named by digest
_LIMITS = JsonLimits(size=MAX_ENTRY, depth=4)
_SIGNED = b"proctor-entry-signature/1\n"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One entry as read back: ``raw`` is the canonical bytes whose leaf hash is in the tree.

    ``signature`` is the actor's, in base64; None in a ledger that was kept without actors.
    """

    index: int
    kind: str
    time: str
    actor: str
    subject: Mapping[str, Any]
    detail: Mapping[str, Any]
    raw: bytes
    signature: str | None = None

    @property
    def signed(self) -> bytes:
        """The bytes that :attr:`signature` is over."""
        return to_sign(parse_canonical(self.raw, what=f"ledger entry {self.index}", limits=_LIMITS))


def to_sign(entry: Mapping[str, Any]) -> bytes:
    """Bytes that an actor signs: a line of context, then the entry's canonical JSON without its signature."""
    return _SIGNED + canonical_json(
        {name: _plain(value) for name, value in entry.items() if name != "signature"}
    )


def encode_entry(entry: Mapping[str, Any]) -> bytes:
    """Check an entry against its kind and return its canonical bytes.

    Raises:
        LedgerError: unknown kind or field, a missing field, or a value that its field does not take. The
        message
            names the field, never the value.
    """
    _check(entry)
    try:
        raw = canonical_json({name: _plain(value) for name, value in entry.items()})
    except ProctorError as error:
        raise LedgerError("a ledger entry has no canonical form") from error
    if len(raw) > MAX_ENTRY:
        raise LedgerError(f"a ledger entry of {len(raw)} bytes is too long; log a digest of what it holds")
    return raw


def decode_entry(raw: bytes, index: int) -> LedgerEntry:
    """Read one entry back, as strictly as it was written.

    Raises:
        EvidenceError: the bytes are not the canonical form of an allowed entry.
    """
    entry = parse_canonical(raw, what=f"ledger entry {index}", limits=_LIMITS)
    _check(entry)
    return LedgerEntry(
        index=index,
        kind=entry["kind"],
        time=entry["time"],
        actor=entry["actor"],
        subject=entry["subject"],
        detail=entry["detail"],
        raw=raw,
        signature=entry.get("signature"),
    )


def _check(entry: Mapping[str, Any]) -> None:
    if set(entry) - {"signature"} != {"format", "kind", "time", "actor", "subject", "detail"}:
        raise LedgerError(
            "a ledger entry has the fields format, kind, time, actor, subject, detail and at most a signature"
        )
    if entry["format"] != FORMAT:
        raise LedgerError(f"a ledger entry has another format than {FORMAT}")
    kind = KINDS.get(entry["kind"]) if isinstance(entry["kind"], str) else None
    if kind is None:
        raise LedgerError(
            "a ledger entry has an unknown kind; the known ones are in sandbox.evidence.kinds.KINDS"
        )
    if not _is_time(entry["time"]):
        raise LedgerError("a ledger entry's time must be UTC to the second, like 2026-01-31T12:00:00Z")
    if not is_name(entry["actor"]):
        raise LedgerError("a ledger entry's actor must be a short lower-case name")
    if "signature" in entry and not is_signature(entry["signature"]):
        raise LedgerError("a ledger entry's signature must be 64 bytes in base64")
    for part, allowed in (("subject", kind.subject), ("detail", kind.detail)):
        fields = entry[part]
        if not isinstance(fields, Mapping):
            raise LedgerError(f"the {part} of a ledger entry must be an object")
        for name, value in fields.items():
            if name not in allowed:
                raise LedgerError(f"a {entry['kind']} entry has no field of that name in its {part}")
            if not allowed[name](value):
                raise LedgerError(
                    f"{part}.{name} of a {entry['kind']} entry has a value that may not be logged"
                )
    missing = [name for name in kind.needs if name not in entry["subject"]]
    if missing:
        raise LedgerError(f"a {entry['kind']} entry needs subject.{missing[0]}")


def _is_time(value: Any) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, Mapping) else value
