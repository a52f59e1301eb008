from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import NoteError
from sandbox.evidence.keys import SigningKey
from sandbox.evidence.ledger import Ledger
from sandbox.evidence.proof import encode_proof, parse_proof, verify_proof


@pytest.fixture
def logged(ledger: Ledger, make_entry: Callable[[int], dict[str, Any]]) -> Ledger:
    ledger.append_all([make_entry(i) for i in range(5)])
    return ledger


def test_every_entry_proves(logged: Ledger) -> None:
    for entry in logged.entries():
        proof, checkpoint = verify_proof(entry.raw, logged.prove(entry.index), logged.verifier)
        assert (proof.index, checkpoint.size) == (entry.index, 5)


def test_every_flipped_bit_and_every_cut_of_a_proof_is_refused(logged: Ledger) -> None:
    entry, data = logged.entries(2, 3)[0].raw, logged.prove(2)
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            with pytest.raises(NoteError):
                verify_proof(entry, data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], logged.verifier)
        with pytest.raises(NoteError):
            verify_proof(entry, data[:at], logged.verifier)


def test_another_entry_another_index_or_another_key_is_refused(logged: Ledger, other_key: SigningKey) -> None:
    entries, data = logged.entries(), logged.prove(2)
    with pytest.raises(NoteError):
        verify_proof(entries[3].raw, data, logged.verifier)
    with pytest.raises(NoteError):
        verify_proof(entries[2].raw, data, other_key.verifier)
    for index in (0, 1, 3, 4, 5, 2**62):
        with pytest.raises(NoteError):
            verify_proof(
                entries[2].raw, data.replace(b"index 2\n", f"index {index}\n".encode()), logged.verifier
            )


def test_malformed_proofs_are_refused(logged: Ledger) -> None:
    data = logged.prove(2)
    step = base64.b64encode(bytes(32))
    for bad in (
        data.replace(b"index 2", b"index 02"),
        data.replace(b"index 2", b"index +2"),
        data.replace(b"index 2", b"index  2"),
        data.replace(b"index 2", b"Index 2"),
        data.replace(b"index 2\n", b""),
        data.replace(b"index 2\n", b"extra AAAA\nindex 2\n"),
        data.replace(b"@v1", b"@v2"),
        data.replace(b"\n", b"\r\n"),
        data.replace(b"index 2\n", b"index 2\n" + (step + b"\n") * 64),
        data.replace(b"index 2\n", b"index 2\n" + base64.b64encode(bytes(31)) + b"\n"),
        b" " + data,
        b"",
        b"x" * 500_000,
    ):
        with pytest.raises(NoteError):
            verify_proof(logged.entries(2, 3)[0].raw, bad, logged.verifier)


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(max_size=50),
)
def test_proofs_come_back_as_written(index: int, path: list[bytes], checkpoint: bytes) -> None:
    proof = parse_proof(encode_proof(index, path, checkpoint))
    assert (proof.index, list(proof.path), proof.checkpoint) == (index, path, checkpoint)


@given(st.binary(max_size=300))
def test_the_proof_parser_raises_nothing_but_note_errors(data: bytes) -> None:
    try:
        proof = parse_proof(b"c2sp.org/tlog-proof@v1\n" + data)
    except NoteError:
        return
    assert encode_proof(proof.index, proof.path, proof.checkpoint) == b"c2sp.org/tlog-proof@v1\n" + data
