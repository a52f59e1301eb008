"""The reference standard at rest: each case's truth encrypted by itself, and committed to by itself.

Keys. From the reference key (32 bytes or more) three keys are derived by HKDF-SHA256 (RFC 5869): for
encryption, for nonces and for salts.

Seal. ``reference.sealed`` is a header line and one line a case, both canonical JSON. A case's truth is padded
to one length for all, so that the length tells nothing, and encrypted with ChaCha20-Poly1305 (RFC 8439). The
associated data are the canonical JSON of [name, version, root, case_id]: a line moved to another case,
hold-out or version does not open. Nonces are HMAC-SHA256 over associated data and plain text, so equal input
gives equal bytes, and a nonce repeats only for the same message.

Commitments. ``commitments.jsonl`` has SHA-256(salt || truth) for each case, under the manifest's root; the
salt is HMAC-SHA256(salt key, case_id). Who holds the reference key can still not change a label unseen, and a
single case can be opened to an auditor without the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdout.canonical import canonical_record
from holdout.errors import SealError

FORMAT = "proctor-sealed-reference/1"
SHORTEST_KEY = 32
BLOCK = 64

Truth = Mapping[str, str | None]
"""Columns of one case: labels (None: unlabelled), ``method``, ``readers``, ``date``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a seal is bound to: it opens for this hold-out, version and root only."""

    name: str
    version: str
    root: str

    def associated_data(self, case_id: str) -> bytes:
        """Associated data of one case."""
        return rfc8785.dumps([self.name, self.version, self.root, case_id])


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a sealed reference standard held; ``broken`` names cases whose seal does not open."""

    truths: dict[str, dict[str, str | None]]
    broken: tuple[str, ...]


def commitments(truths: Mapping[str, Truth], key: bytes) -> bytes:
    """Bytes of ``commitments.jsonl``: one line a case, sorted."""
    salt_key = _derive(key, b"salts")
    lines = []
    for case_id in sorted(truths):
        value = _commit(salt_key, case_id, truths[case_id])
        lines.append(canonical_record({"case_id": case_id, "commitment": value}) + b"\n")
    return b"".join(lines)


def broken_commitments(content: bytes, truths: Mapping[str, Truth], key: bytes) -> list[str]:
    """Cases whose truth is not the one committed to, cases committed to without truth, and the reverse.

    Raises:
        SealError: the commitments are not readable.
    """
    committed = read_commitments(content)
    salt_key = _derive(key, b"salts")
    return sorted(
        case_id
        for case_id in committed.keys() | truths.keys()
        if case_id not in truths
        or not hmac.compare_digest(committed.get(case_id, ""), _commit(salt_key, case_id, truths[case_id]))
    )


def read_commitments(content: bytes) -> dict[str, str]:
    """Read the commitment of each case.

    Raises:
        SealError: the bytes are not commitments.
    """
    try:
        rows = [json.loads(line) for line in content.splitlines()]
        return {str(row["case_id"]): str(row["commitment"]) for row in rows}
    except (ValueError, KeyError, TypeError) as exc:
        raise SealError("the commitments to the reference standard are not readable: altered") from exc


def seal(truths: Mapping[str, Truth], key: bytes, binding: Binding) -> bytes:
    """Bytes of ``reference.sealed``.

    Raises:
        SealError: the key is too short.
    """
    cipher, nonce_key = ChaCha20Poly1305(_derive(key, b"encryption")), _derive(key, b"nonces")
    plain = {case_id: canonical_record(truth) for case_id, truth in truths.items()}
    longest = max((len(text) for text in plain.values()), default=0) + 1
    length = -(-longest // BLOCK) * BLOCK
    lines = [rfc8785.dumps({"format": FORMAT, "cases": len(truths), "length": length})]
    for case_id in sorted(plain):
        # ISO/IEC 7816-4 padding: one byte 0x80, then zeros.
        padded = (plain[case_id] + b"\x80").ljust(length, b"\0")
        data = binding.associated_data(case_id)
        framed = len(data).to_bytes(8, "big") + data + padded
        nonce = hmac.digest(nonce_key, framed, "sha256")[:12]
        sealed = base64.b64encode(nonce + cipher.encrypt(nonce, padded, data)).decode("ascii")
        lines.append(canonical_record({"case_id": case_id, "sealed": sealed}))
    return b"".join(line + b"\n" for line in lines)


def unseal(content: bytes, key: bytes, binding: Binding) -> Opened:
    """Open ``reference.sealed``, in memory, naming the cases whose seal is broken.

    Raises:
        SealError: no case opens (wrong key, or another hold-out's), or the file's structure is damaged.
    """
    cipher = ChaCha20Poly1305(_derive(key, b"encryption"))
    header, rows = _read(content)
    truths: dict[str, dict[str, str | None]] = {}
    broken: list[str] = []
    for case_id, sealed in rows:
        if case_id in truths or case_id in broken:
            broken.append(case_id)
            continue
        try:
            # validate: a byte outside the alphabet would otherwise be skipped, and the damage unseen.
            raw = base64.b64decode(sealed, validate=True)
            if base64.b64encode(raw).decode("ascii") != sealed:
                raise ValueError("not the one encoding of these bytes")
            padded = cipher.decrypt(raw[:12], raw[12:], binding.associated_data(case_id))
            truths[case_id] = json.loads(padded.rstrip(b"\0")[:-1])
        except (InvalidTag, ValueError, binascii.Error):
            broken.append(case_id)
    if rows and not truths:
        raise SealError(
            "the reference standard does not open: wrong key, or it belongs to another hold-out or version"
        )
    if header["cases"] != len(rows):
        raise SealError(
            f"the sealed reference standard has {len(rows)} cases, its header says {header['cases']}: altered"
        )
    return Opened(truths=truths, broken=tuple(sorted(set(broken))))


def _read(content: bytes) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    lines = content.split(b"\n")
    try:
        if lines.pop() != b"" or not lines:
            raise ValueError("cut")
        parsed = [json.loads(line) for line in lines]
        # Only the canonical form is accepted, so that no byte can change without being noticed.
        if any(
            not isinstance(value, dict) or canonical_record(value) != line
            for value, line in zip(parsed, lines, strict=True)
        ):
            raise ValueError("not canonical")
        header = parsed[0]
        if set(header) != {"format", "cases", "length"} or header["format"] != FORMAT:
            raise ValueError("header")
        rows = [(str(row["case_id"]), str(row["sealed"])) for row in parsed[1:]]
        if [case_id for case_id, _ in rows] != sorted(case_id for case_id, _ in rows):
            raise ValueError("order")
    except (ValueError, KeyError, TypeError, RecursionError, rfc8785.CanonicalizationError) as exc:
        raise SealError("the sealed reference standard is not readable: it was altered") from exc
    return header, rows


def _commit(salt_key: bytes, case_id: str, truth: Truth) -> str:
    salt = hmac.digest(salt_key, case_id.encode("utf-8"), "sha256")
    return hashlib.sha256(salt + canonical_record(truth)).hexdigest()


def _derive(key: bytes, purpose: bytes) -> bytes:
    if len(key) < SHORTEST_KEY:
        raise SealError(f"the reference key has {len(key)} bytes; at least {SHORTEST_KEY} are needed")
    return HKDF(
        algorithm=SHA256(), length=32, salt=None, info=b"proctor reference standard " + purpose
    ).derive(key)


def new_truths(rows: Iterable[tuple[str, Truth]]) -> dict[str, Truth]:
    """Collect truths by case.

    Raises:
        SealError: a case stands twice.
    """
    result: dict[str, Truth] = {}
    for case_id, truth in rows:
        if case_id in result:
            raise SealError(f"case {case_id} stands twice in the reference standard")
        result[case_id] = truth
    return result
