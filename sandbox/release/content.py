"""The bytes that would leave: one JSON document and the page that shows it, and nothing beside them.

Both are functions of the released fields, of digests, and of names that the vendor knows. No case, no log, no
timing, no count that did not pass the rules. What is withheld is listed with the rule that withholds it, in
sentences that name no count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.canonical import digest, digest_bytes
from sandbox.disclosure.fields import ReleasedField, RuleVerdict
from sandbox.release.page import render_release
from sandbox.reuse.bits import reuse_adjusted_half_width

FORMAT = "proctor-release/1"
DOCUMENT = "release.json"
PAGE = "release.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a release costs, and where that leaves the vendor. All in bits.

    ``cost`` is what this vendor has not paid yet; ``spent`` includes it, ``pooled_spent`` that of all vendors.
    """

    cost: float
    spent: float
    budget: float
    pooled_spent: float
    pooled_budget: float
    delta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a release is about, in words that the vendor knows."""

    release: str
    evaluation: str
    vendor: str
    submission: str
    holdout: str
    version: str
    protocol_name: str
    protocol_title: str
    protocol: str
    mechanism: str
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The bytes of a release by file name, and their common digest."""

    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Digest over the names and the digests of the files; what reviews are bound to."""
        return content_digest(self.files)


def content_digest(files: Mapping[str, bytes]) -> str:
    """Digest of a release's files: that of the canonical JSON of each file's digest by name."""
    return digest({name: digest_bytes(data) for name, data in files.items()})


def make_content(
    subject: Subject,
    fields: Sequence[ReleasedField],
    verdicts: Sequence[RuleVerdict],
    cost: Cost,
    *,
    patients: int,
) -> Content:
    """Write what would leave.

    Args:
        fields: released and withheld ones; a withheld one leaves as the fact that it is withheld.
        verdicts: what the rules said; only those of withheld fields leave, and they name no count.
        patients: patients behind the numbers, as a number that may be known: the reuse-adjusted half-width is
            computed from it.
    """
    document = _document(subject, fields, verdicts, cost, patients)
    plain = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False).encode() + b"\n"
    return Content(files={DOCUMENT: plain, PAGE: render_release(document)})


def _document(
    subject: Subject,
    fields: Sequence[ReleasedField],
    verdicts: Sequence[RuleVerdict],
    cost: Cost,
    patients: int,
) -> dict[str, Any]:
    withheld = {field.path for field in fields if field.value is None}
    reasons: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.field in withheld and not verdict.passed:
            reasons.setdefault(verdict.field, verdict.sentence)
    half_width = reuse_adjusted_half_width(cost.pooled_spent, max(1, patients), cost.delta)
    return {
        "format": FORMAT,
        "release": subject.release,
        "evaluation": subject.evaluation,
        "vendor": subject.vendor,
        "submission": subject.submission,
        "holdout": {"name": subject.holdout, "version": subject.version, "synthetic": subject.synthetic},
        "protocol": {
            "name": subject.protocol_name,
            "title": subject.protocol_title,
            "digest": subject.protocol,
        },
        "mechanism": subject.mechanism,
        "fields": [field.public for field in fields if field.value is not None],
        "withheld": [
            {"path": field.path, "reason": reasons.get(field.path, "A rule of the institution withholds it.")}
            for field in fields
            if field.value is None
        ],
        "budget": {
            "cost": round(cost.cost, 2),
            "spent": round(cost.spent, 2),
            "left": round(max(0.0, cost.budget - cost.spent), 2),
            "reuse_adjusted_half_width": round(half_width, 3),
            "chance_that_it_does_not_hold": cost.delta,
        },
    }
