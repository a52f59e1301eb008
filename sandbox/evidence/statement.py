"""The signed statement: what was tested, under what, with which outcome, over which files.

An in-toto Statement v1 with the vetted predicate ``test-result/v0.1`` in a DSSE envelope. The subject is the
vendor's image; ``configuration`` names protocol, policy and hold-out; fields that the predicate does not know
(``evaluation``, ``verdict``, ``files``, ``ledger``) are allowed by its parsing rules and ignored by others.

Reading is narrower than DSSE asks for: one signature, standard base64, canonical JSON, so that a statement
has one spelling. Sources: in-toto Attestation Framework v1, DSSE 1.0 protocol (lengths in the PAE are bytes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sandbox.canonical import canonical_json
from sandbox.errors import DossierError
from sandbox.evidence.encoding import decode_base64, encode_base64
from sandbox.evidence.keys import SigningKey, VerifierKey
from sandbox.evidence.strictjson import parse_canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
RESULT_OF_VERDICT = {"met": "PASSED", "not_met": "FAILED", "cannot_tell": "WARNED", "none": "WARNED"}
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: the bytes that are signed (DSSE protocol, "Signature Definition")."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_statement(statement: Mapping[str, Any], key: SigningKey) -> bytes:
    """Return the DSSE envelope of ``statement``, as canonical JSON."""
    payload = canonical_json(dict(statement))
    return _envelope(payload, key.sign(pae(PAYLOAD_TYPE, payload)), key.verifier)


def open_statement(data: bytes, verifier: VerifierKey) -> dict[str, Any]:
    """Verify an envelope and return its statement, read from the verified bytes.

    Raises:
        EvidenceError: malformed, not signed by ``verifier``, or not a statement of the expected form.
    """
    envelope = parse_canonical(data, what="the statement's envelope")
    signatures = envelope.get("signatures")
    if (
        envelope.get("payloadType") != PAYLOAD_TYPE
        or not isinstance(envelope.get("payload"), str)
        or not isinstance(signatures, list)
        or len(signatures) != 1
        or not isinstance(signatures[0], dict)
        or not isinstance(signatures[0].get("sig"), str)
    ):
        raise DossierError("the statement is not a DSSE envelope of an in-toto statement with one signature")
    payload = decode_base64(envelope["payload"], what="the statement's payload")
    signature = decode_base64(signatures[0]["sig"], what="the statement's signature")
    if not verifier.holds(pae(PAYLOAD_TYPE, payload), signature):
        raise DossierError(
            "the statement's signature does not hold: it was changed, or made with another key"
        )
    if _envelope(payload, signature, verifier) != data:
        raise DossierError("the statement's envelope holds something beside the signed statement")
    statement = parse_canonical(payload, what="the statement")
    _check_form(statement)
    return statement


def descriptor(name: str, digest: str) -> dict[str, Any]:
    """ResourceDescriptor of something named with its SHA-256 (``sha256:`` prefix allowed)."""
    return {"name": name, "digest": {"sha256": bare(digest)}}


def bare(digest: str) -> str:
    """``digest`` as 64 hexadecimal digits, without an algorithm prefix.

    Raises:
        DossierError: it is not a SHA-256.
    """
    value = digest.removeprefix("sha256:")
    if not _HEX.fullmatch(value):
        raise DossierError("a digest is not a SHA-256 in hexadecimal")
    return value


def _envelope(payload: bytes, signature: bytes, verifier: VerifierKey) -> bytes:
    return canonical_json(
        {
            "payload": encode_base64(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": verifier.key_id.hex(), "sig": encode_base64(signature)}],
        }
    )


def _check_form(statement: Mapping[str, Any]) -> None:
    if set(statement) != {"_type", "subject", "predicateType", "predicate"}:
        raise DossierError("the statement has missing or unknown members")
    if statement["_type"] != STATEMENT_TYPE or statement["predicateType"] != PREDICATE_TYPE:
        raise DossierError("the statement is of another type than in-toto v1 with a test result")
    predicate = statement["predicate"]
    if not isinstance(predicate, dict):
        raise DossierError("the statement's predicate is not an object")
    for place in (statement["subject"], predicate.get("configuration"), predicate.get("files")):
        if not isinstance(place, list) or not place or not all(_is_descriptor(item) for item in place):
            raise DossierError("the statement's subject, configuration or files are not lists of digests")
    if RESULT_OF_VERDICT.get(str(predicate.get("verdict"))) != predicate.get("result"):
        raise DossierError("the statement's result is not the one of its verdict")
    for name in ("passedTests", "warnedTests", "failedTests"):
        tests = predicate.get(name)
        if not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
            raise DossierError(f"the statement's {name} is not a list of names")
    if not isinstance(predicate.get("evaluation"), str) or not isinstance(predicate.get("ledger"), dict):
        raise DossierError("the statement does not name its evaluation and ledger")


def _is_descriptor(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and set(item) == {"name", "digest"}
        and isinstance(item["name"], str)
        and isinstance(item["digest"], dict)
        and len(item["digest"]) == 1
        and all(isinstance(v, str) and _HEX.fullmatch(v) for v in item["digest"].values())
    )
