from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sandbox.canonical import canonical_json
from sandbox.errors import EvidenceError
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.statement import PAYLOAD_TYPE, bare, descriptor, open_statement, pae, sign_statement

DIGEST = "sha256:" + "ab" * 32


def statement(**changes: Any) -> dict[str, Any]:
    predicate = {
        "result": "PASSED",
        "configuration": [descriptor("protocol", DIGEST)],
        "passedTests": ["a"],
        "warnedTests": [],
        "failedTests": [],
        "evaluation": "e-0123456789abcdef",
        "verdict": "met",
        "files": [descriptor("results.json", DIGEST)],
        "ledger": {"origin": "proctor/a", "size": 1, "root": "ab" * 32},
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [descriptor("acme", DIGEST)],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {**predicate, **changes.pop("predicate", {})},
        **changes,
    }


def test_pae_of_the_dsse_specification_and_lengths_in_bytes() -> None:
    # DSSE protocol.md, test vector.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected
    # The reference implementation counts characters here.
    assert pae("é", "ü".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xbc"


def test_a_statement_comes_back(key: SigningKey) -> None:
    assert open_statement(sign_statement(statement(), key), key.verifier) == statement()


def test_signing_twice_gives_the_same_bytes(key: SigningKey) -> None:
    assert sign_statement(statement(), key) == sign_statement(statement(), key)


def test_every_flipped_bit_is_refused(key: SigningKey) -> None:
    data = sign_statement(statement(), key)
    for at in range(len(data)):
        for bit in (0x01, 0x20):
            with pytest.raises(EvidenceError):
                open_statement(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], key.verifier)


def test_another_key_or_another_payload_type_is_refused(key: SigningKey, other_key: SigningKey) -> None:
    data = sign_statement(statement(), key)
    with pytest.raises(EvidenceError):
        open_statement(data, other_key.verifier)
    envelope = json.loads(data)
    envelope["payloadType"] = "text/plain"
    with pytest.raises(EvidenceError):
        open_statement(canonical_json(envelope), key.verifier)


def test_signatures_added_reordered_or_removed_are_refused(key: SigningKey, other_key: SigningKey) -> None:
    envelope = json.loads(sign_statement(statement(), key))
    other = json.loads(sign_statement(statement(), other_key))["signatures"][0]
    first = envelope["signatures"][0]
    for signatures in (
        [],
        [first, first],
        [other, first],
        [other],
        [{"sig": first["sig"]}],
        [first["sig"]],
        {},
    ):
        with pytest.raises(EvidenceError):
            open_statement(canonical_json({**envelope, "signatures": signatures}), key.verifier)
    with pytest.raises(EvidenceError):
        open_statement(canonical_json({**envelope, "note": 1}), key.verifier)


BAD = {
    "other statement type": statement(_type="https://in-toto.io/Statement/v0.1"),
    "other predicate type": statement(predicateType="https://slsa.dev/provenance/v1"),
    "no subject": statement(subject=[]),
    "subject without digest": statement(subject=[{"name": "x", "digest": {}}]),
    "short digest": statement(subject=[{"name": "x", "digest": {"sha256": "ab"}}]),
    "extra member": statement(comment="x"),
    "result against the verdict": statement(predicate={"verdict": "not_met"}),
    "unknown verdict": statement(predicate={"verdict": "great", "result": "PASSED"}),
    "tests that are not names": statement(predicate={"passedTests": [1]}),
    "no files": statement(predicate={"files": []}),
    "predicate is a list": statement() | {"predicate": []},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_well_signed_but_malformed_statements_are_refused(key: SigningKey, bad: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError):
        open_statement(sign_statement(bad, key), key.verifier)


def test_a_payload_that_is_not_canonical_is_refused_though_signed(key: SigningKey) -> None:
    payload = json.dumps(statement(), indent=1).encode()
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": key.verifier.key_id.hex(),
                "sig": base64.b64encode(key.sign(pae(PAYLOAD_TYPE, payload))).decode(),
            }
        ],
    }
    with pytest.raises(EvidenceError, match="canonical"):
        open_statement(canonical_json(envelope), key.verifier)


@pytest.mark.parametrize("digest", ["", "sha256:", "sha512:" + "ab" * 32, "AB" * 32, "ab" * 31])
def test_only_sha256_in_lower_case(digest: str) -> None:
    with pytest.raises(EvidenceError):
        bare(digest)
