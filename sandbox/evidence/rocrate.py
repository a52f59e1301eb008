"""The dossier's description as RO-Crate 1.1 metadata, so that archives and catalogues can read it.

Source: RO-Crate 1.1.3, "Root Data Entity", "Data Entities", "Provenance of entities" (CreateAction).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FILE_NAME = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
CONTEXT = f"{SPECIFICATION}/context"

_MEDIA_TYPES = {
    "json": "application/json",
    "yaml": "application/yaml",
    "html": "text/html",
    "txt": "text/plain",
    "tlog-proof": "text/plain",
}
_DESCRIPTIONS = {
    "README.txt": "How to check this dossier, with Proctor or by hand.",
    "protocol.yaml": "The protocol as its author wrote it.",
    "protocol.json": "The protocol in canonical form; its SHA-256 is the digest that was registered.",
    "policy.json": "The institution's policy in canonical form.",
    "results.json": "Every estimate with its counts, interval and method.",
    "report.html": "The report for people.",
    "stress.json": "What came of stress tests: counts, paired differences and verdicts.",
    "posture.json": "The isolation that was measured before the run.",
    "holdout.json": "Summary of the locked hold-out; no case, no patient.",
    "statement.dsse.json": "Signed in-toto statement over all files but itself and the manifest.",
    "manifest-sha256.txt": "SHA-256 of every other file, for sha256sum -c.",
    "ledger/checkpoint": "Signed head of the institution's ledger (C2SP checkpoint).",
    "ledger/verifier.txt": "The public key that the institution names as its own.",
}


def describe(
    files: Mapping[str, int],
    *,
    evaluation: str,
    origin: str,
    tool: str,
    holdout: Mapping[str, Any],
    submission: str,
    vendor: str,
    started: str,
    finished: str,
) -> bytes:
    """Return the metadata document.

    Args:
        files: every file of the dossier by name, with its size in bytes (0: not stated).
        evaluation: the evaluation's identifier.
        origin: the ledger's origin, which stands for the institution.
        tool: Proctor's version.
        holdout: ``name``, ``version`` and ``root`` of the hold-out.
        submission: image digest.
        vendor: vendor's name or pseudonym.
        started: time of the ledger entry that opened the run.
        finished: time of the ledger entry that closed it.
    """
    names = sorted(set(files) - {FILE_NAME})
    graph: list[dict[str, Any]] = [
        {
            "@id": FILE_NAME,
            "@type": "CreativeWork",
            "conformsTo": {"@id": SPECIFICATION},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"Dossier of evaluation {evaluation}",
            "description": "Evidence of one evaluation of a medical-imaging algorithm on a locked hold-out: "
            "protocol, results, report, measured isolation, and proofs from the institution's ledger.",
            "identifier": evaluation,
            "datePublished": finished,
            "license": {"@id": "#terms"},
            "publisher": {"@id": "#institution"},
            "hasPart": [{"@id": name} for name in names],
            "mentions": [{"@id": "#evaluation"}],
        },
        *(_file(name, files[name]) for name in names),
        {
            "@id": "#evaluation",
            "@type": "CreateAction",
            "name": f"Evaluation {evaluation}",
            "startTime": started,
            "endTime": finished,
            "agent": {"@id": "#institution"},
            "instrument": {"@id": "#proctor"},
            "object": [{"@id": "protocol.json"}, {"@id": "#holdout"}, {"@id": "#submission"}],
            "result": [{"@id": "results.json"}, {"@id": "report.html"}, {"@id": "statement.dsse.json"}],
        },
        {"@id": "#proctor", "@type": "SoftwareApplication", "name": "Proctor", "version": tool},
        {"@id": "#institution", "@type": "Organization", "name": origin, "identifier": origin},
        {
            "@id": "#holdout",
            "@type": "Dataset",
            "name": str(holdout.get("name", "")),
            "version": str(holdout.get("version", "")),
            "identifier": str(holdout.get("root", "")),
            "description": "Locked inside the institution; not part of this dossier.",
        },
        {
            "@id": "#submission",
            "@type": "SoftwareApplication",
            "name": f"Image submitted by {vendor}",
            "identifier": submission,
        },
        {
            "@id": "#terms",
            "@type": "CreativeWork",
            "name": "Evidence for the addressed regulator",
            "description": "Use as agreed with the institution that made it.",
        },
    ]
    document = {"@context": CONTEXT, "@graph": graph}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _file(name: str, size: int) -> dict[str, Any]:
    entity: dict[str, Any] = {
        "@id": name,
        "@type": "File",
        "name": name,
        "description": _DESCRIPTIONS.get(name, "Ledger entry or proof that it is in the ledger."),
        "encodingFormat": _MEDIA_TYPES.get(name.rpartition(".")[2], "text/plain"),
    }
    return {**entity, "contentSize": str(size)} if size else entity
