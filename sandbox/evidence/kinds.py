"""The closed set of kinds of ledger entries, and for each kind the only fields it may carry.

A log cannot be erased, so what must never be in it has no field here: no DICOM UID, no patient's data, no free text,
nothing that a container wrote. Values are digests, short names, pseudonyms, codes and counts, each checked against the
type of its field. To record something new, add a kind or a field to ``KINDS``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

_MAX_COUNT = 2**53 - 1
_MAX_CODES = 64
# Numbers joined by dots, four or more: the shape of a DICOM UID (PS3.5 section 9), which no name may have.
_UID_LIKE = re.compile(r"\d+(?:\.\d+){3,}")

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
is_name = _text(r"(?=[^a-z]*[a-z])[a-z0-9][a-z0-9._-]{0,63}")
"""A short lower-case name with a letter in it."""
_pseudonym = _text(r"[a-z0-9][a-z0-9-]{0,63}")
_version = _text(r"[a-z0-9][a-z0-9.+-]{0,31}")
_origin = _text(r"(?=[^a-z]*[a-z])[a-z0-9][a-z0-9._/-]{0,127}")
_code = _text(r"[a-z][a-z0-9_-]{0,47}")
_day = _text(r"\d{4}-\d{2}-\d{2}")
_public_key = _text(r"[A-Za-z0-9+/]{43}=")
is_signature = _text(r"[A-Za-z0-9+/]{86}==")
"""64 bytes in base64."""
_verdict = _one_of("met", "not_met", "cannot_tell", "none")

Role = Literal["operator", "custodian", "approver", "vendor", "regulator", "witness"]
ROLES: tuple[Role, ...] = get_args(Role)
TwoPeople = Literal["actor", "retire", "refresh", "policy"]
"""What a policy may leave to no single person: see :mod:`sandbox.evidence.separation`."""
TWO_PEOPLE: tuple[TwoPeople, ...] = get_args(TwoPeople)

# What any entry may point at.
REFERENCES: Mapping[str, FieldType] = {
    "evaluation": _pseudonym,
    "holdout": is_name,
    "version": _version,
    "root": _digest,
    "submission": _digest,
    "vendor": is_name,
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
        subject={"name": is_name},
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
        subject={"archive": _digest, "name": is_name},
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
    "protocol-registered": _kind("protocol", subject={"name": is_name, "source": _digest}),
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
        "name", "key", subject={"name": is_name, "key": _public_key}, detail=dict.fromkeys(ROLES, _flag)
    ),
    "actor-revoked": _kind("name", subject={"name": is_name}),
    "act-proposed": _kind(
        "act",
        "proposed",
        subject={
            "act": _digest,
            "proposed": _one_of(
                "actor-added", "actor-revoked", "holdout-retired", "holdout-refreshed", "policy-adopted"
            ),
            "name": is_name,
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
