"""Ledger entries: a closed set of kinds, and for each kind the only fields it may carry.

A log cannot be erased, so what must never be in it has no field here: no DICOM UID, no patient's data, no
free text, nothing that a container wrote. Values are digests, short names, pseudonyms, codes and counts, each
checked against the type of its field. To record something new, add a kind or a field to ``KINDS``.

Form (canonical JSON, RFC 8785)::

    {"format": "proctor-entry/1", "kind": ..., "time": "2026-01-31T12:00:00Z", "actor": ...,
     "subject": {digests and names}, "detail": {counts, flags, codes},
     "signature": base64 of the actor's Ed25519 signature over :func:`to_sign`}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sandbox.canonical import canonical_json
from sandbox.errors import LedgerError, ProctorError
from sandbox.evidence.strictjson import JsonLimits, parse_canonical

FORMAT = "proctor-entry/1"
MAX_ENTRY = 16 * 1024  # tlog-tiles allows 65,535; payloads stay outside and are named by digest
_LIMITS = JsonLimits(size=MAX_ENTRY, depth=4)
_SIGNED = b"proctor-entry-signature/1\n"
_MAX_COUNT = 2**53 - 1
_MAX_CODES = 64
# Numbers joined by dots, four or more: the shape of a DICOM UID (PS3.5 section 9), which no name may have.
_UID_LIKE = re.compile(r"\d+(?:\.\d+){3,}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)

FieldType = Callable[[Any], bool]


def _text(pattern: str) -> FieldType:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: (
        isinstance(value, str) and bool(compiled.fullmatch(value)) and not _UID_LIKE.search(value)
    )


def _one_of(*choices: str) -> FieldType:
    return lambda value: isinstance(value, str) and value in choices


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _counts_by_code(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) <= _MAX_CODES
        and all(_code(code) and _count(count) for code, count in value.items())
    )


def _amount(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= _MAX_COUNT
    )


_digest = _text(r"(?:sha256:)?[0-9a-f]{64}")
_name = _text(r"(?=[^a-z]*[a-z])[a-z0-9][a-z0-9._-]{0,63}")
_pseudonym = _text(r"[a-z0-9][a-z0-9-]{0,63}")
_version = _text(r"[a-z0-9][a-z0-9.+-]{0,31}")
_origin = _text(r"(?=[^a-z]*[a-z])[a-z0-9][a-z0-9._/-]{0,127}")
_code = _text(r"[a-z][a-z0-9_-]{0,47}")
_day = _text(r"\d{4}-\d{2}-\d{2}")
_public_key = _text(r"[A-Za-z0-9+/]{43}=")
_signature = _text(r"[A-Za-z0-9+/]{86}==")
_verdict = _one_of("met", "not_met", "cannot_tell", "none")

Role = Literal["operator", "custodian", "approver", "vendor", "regulator", "witness"]
ROLES: tuple[Role, ...] = get_args(Role)
TwoPeople = Literal["actor", "retire", "refresh", "policy"]
"""What a policy may leave to no single person: see :mod:`sandbox.evidence.separation`."""
TWO_PEOPLE: tuple[TwoPeople, ...] = get_args(TwoPeople)

# What any entry may point at.
REFERENCES: Mapping[str, FieldType] = {
    "evaluation": _pseudonym,
    "holdout": _name,
    "version": _version,
    "root": _digest,
    "submission": _digest,
    "vendor": _name,
    "protocol": _digest,
    "policy": _digest,
    "posture": _digest,
    "code": _digest,
}
_RUN_COUNTS: Mapping[str, FieldType] = {
    "cases": _count,
    "patients": _count,
    "staged": _count,
    "asked": _count,
    "answered": _count,
    "failed": _count,
    "containers": _count,
    "failures": _counts_by_code,
}


_RELEASE: Mapping[str, FieldType] = {"release": _pseudonym, "content": _digest, "told": _digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Fields of one kind: ``needs`` must be in the subject, ``subject`` and ``detail`` may be there."""

    needs: tuple[str, ...]
    subject: Mapping[str, FieldType]
    detail: Mapping[str, FieldType]


def _kind(
    *needs: str, subject: Mapping[str, FieldType] | None = None, detail: Mapping[str, FieldType] | None = None
) -> Kind:
    return Kind(needs=needs, subject={**REFERENCES, **(subject or {})}, detail=detail or {})


KINDS: Mapping[str, Kind] = {
    "workspace-created": _kind("workspace", subject={"workspace": _origin}),
    "policy-adopted": _kind(
        "policy",
        subject={"name": _name},
        detail={**dict.fromkeys(TWO_PEOPLE, _flag), "approvals": _count},
    ),
    "holdout-locked": _kind(
        "holdout",
        "version",
        "root",
        subject={"reference": _digest, "manifest": _digest, "summary": _digest},
        detail={
            **dict.fromkeys(("cases", "patients", "instances", "files", "bytes", "positives"), _count),
            "synthetic": _flag,
        },
    ),
    "holdout-verified": _kind(
        "holdout",
        "root",
        detail={
            "held": _flag,
            "checked": _count,
            "files": _count,
            "findings": _count,
            "moment": _one_of("before", "after", "request"),
        },
    ),
    "holdout-accessed": _kind(
        "holdout",
        "root",
        detail={
            "cases": _count,
            "asks": _count,
            "patients": _count,
            "purpose": _one_of(
                "evaluation", "stress", "self-check", "verification", "search", "export", "other"
            ),
        },
    ),
    "reference-opened": _kind("holdout", "root", detail={"cases": _count, "purpose": _code}),
    "submission-admitted": _kind(
        "submission",
        "vendor",
        subject={"archive": _digest, "name": _name},
        detail={
            "archive_sha256": _digest,
            "size": _count,
            "loaded": _digest,
            "layers": _count,
            "contract": _one_of("worker", "files", "grand-challenge", "medperf", "map"),
            "settings": _digest,
        },
    ),
    "submission-refused": _kind(subject={"archive": _digest, "reason": _code}, detail={"size": _count}),
    "protocol-registered": _kind("protocol", subject={"name": _name, "source": _digest}),
    "posture-measured": _kind("posture", detail={"held": _count, "missing": _count, "controls": _count}),
    "waiver-granted": _kind("policy", subject={"control": _code}, detail={"waiver": _digest, "until": _day}),
    "evaluation-started": _kind(
        "evaluation", "holdout", "root", "submission", "protocol", detail={**_RUN_COUNTS, "internal": _flag}
    ),
    "evaluation-resumed": _kind("evaluation", detail=_RUN_COUNTS),
    "evaluation-cancelled": _kind("evaluation", subject={"reason": _code}, detail=_RUN_COUNTS),
    "evaluation-failed": _kind("evaluation", subject={"reason": _code}, detail=_RUN_COUNTS),
    "evaluation-finished": _kind(
        "evaluation",
        "results",
        subject={"results": _digest, "predictions": _digest, "stress": _digest, "verdict": _verdict},
        detail={**_RUN_COUNTS, "verdict": _verdict},
    ),
    "self-check": _kind(
        "evaluation",
        detail={"passed": _flag, "perfect": _flag, "constant": _flag, "checks": _count, "failed": _count},
    ),
    "report-made": _kind(
        "evaluation",
        "report",
        subject={
            "report": _digest,
            "results": _digest,
            "audience": _one_of("institution", "regulator", "vendor"),
        },
    ),
    "dossier-made": _kind("evaluation", "dossier", subject={"dossier": _digest, "statement": _digest}),
    "report-viewed": _kind("evaluation", subject={"audience": _one_of("institution", "regulator", "vendor")}),
    "seen": _kind(
        "what",
        subject={**_RELEASE, "what": _one_of("release", "releases", "budget", "evaluation", "holdout")},
    ),
    "exported": _kind(
        "what",
        subject={
            **_RELEASE,
            "what": _one_of("report", "dossier", "release", "development"),
            "exported": _digest,
            "audience": _one_of("institution", "regulator", "vendor"),
        },
    ),
    "ledger-read": _kind(detail={"entries": _count}),
    "actor-added": _kind(
        "name", "key", subject={"name": _name, "key": _public_key}, detail=dict.fromkeys(ROLES, _flag)
    ),
    "actor-revoked": _kind("name", subject={"name": _name}),
    "act-proposed": _kind(
        "act",
        "proposed",
        subject={
            "act": _digest,
            "proposed": _one_of(
                "actor-added", "actor-revoked", "holdout-retired", "holdout-refreshed", "policy-adopted"
            ),
            "name": _name,
        },
    ),
    "release-requested": _kind(
        "release", "evaluation", "content", subject=_RELEASE, detail={"bits": _amount, "fields": _count}
    ),
    "release-viewed": _kind("release", "evaluation", "content", subject=_RELEASE),
    "release-reviewed": _kind(
        "release",
        "evaluation",
        "content",
        subject={**_RELEASE, "review": _digest},
        detail={"decision": _one_of("approve", "reject")},
    ),
    "release-issued": _kind(
        "release",
        "evaluation",
        "content",
        "holdout",
        "vendor",
        subject=_RELEASE,
        detail={"bits": _amount, "fields": _count, "approvals": _count},
    ),
    "mechanism-answered": _kind(
        "holdout",
        "version",
        "vendor",
        "evaluation",
        "memory",
        subject={"memory": _digest, "mechanism": _one_of("ladder", "thresholdout")},
        detail={"answers": _count},
    ),
    "claim-registered": _kind("protocol", "submission", "holdout", "claim", subject={"claim": _digest}),
    "holdout-retired": _kind("holdout", "version", "root", subject={"reason": _code}),
    "holdout-refreshed": _kind(
        "holdout",
        "version",
        "root",
        "left",
        "came",
        subject={"pool": _digest, "left": _digest, "came": _digest},
        detail=dict.fromkeys(("stayed", "left", "came", "reserve"), _count),
    ),
    "holdout-drawn": _kind(
        "holdout",
        "evaluation",
        subject={"drawn": _digest, "pool": _digest},
        detail={"cases": _count, "pool": _count},
    ),
    "checkpoint-witnessed": _kind("checkpoint", subject={"checkpoint": _digest}, detail={"size": _count}),
}


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
            "a ledger entry has an unknown kind; the known ones are in sandbox.evidence.entry.KINDS"
        )
    if not _is_time(entry["time"]):
        raise LedgerError("a ledger entry's time must be UTC to the second, like 2026-01-31T12:00:00Z")
    if not _name(entry["actor"]):
        raise LedgerError("a ledger entry's actor must be a short lower-case name")
    if "signature" in entry and not _signature(entry["signature"]):
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
