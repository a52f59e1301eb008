"""Ed25519 keys that sign evidence, and their public form: the C2SP verifier key ``name+keyid+base64``.

Sources: c2sp.org/signed-note (key id, signature type 0x01), RFC 8032. The key's name is the log's origin; one
key never serves two logs. The private key lies in a PKCS #8 PEM file that only its owner can read.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sandbox.errors import EvidenceError, NoteError
from sandbox.evidence.encoding import decode_base64, encode_base64

ED25519 = b"\x01"
KEY_SIZE = 32
SIGNATURE_SIZE = 64
MAX_NAME = 200
_VERIFIER = re.compile(r"(?P<name>[^+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]+)")


class KeyFileError(EvidenceError):
    """A key file is missing, readable by others, or not an Ed25519 key."""


def check_name(name: str) -> str:
    """``name`` if it can name a key: not empty, printable, without spaces and plus (c2sp.org/signed-note).

    Raises:
        NoteError: it cannot.
    """
    if (
        not name
        or len(name) > MAX_NAME
        or "+" in name
        or any(c.isspace() or not c.isprintable() for c in name)
    ):
        raise NoteError("a key name must be 1 to 200 printable characters without spaces and plus signs")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """Public half of a signing key: ``name`` and the 32 bytes of RFC 8032."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that hint at the key; never proof of it (c2sp.org/signed-note)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The verifier key as one line: ``name+keyid+base64(0x01 || key)``."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(ED25519 + self.public)}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the verifier key's line, in groups a person can read out over the telephone."""
        digits = hashlib.sha256(self.text.encode()).hexdigest()
        return " ".join(digits[i : i + 8] for i in range(0, 64, 8))

    def holds(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` over ``message`` was made by this key."""
        if len(signature) != SIGNATURE_SIZE:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """Private key with the name it signs under; never shown by ``repr``."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return VerifierKey(name=self.name, public=public)

    def sign(self, message: bytes) -> bytes:
        """Signature of 64 bytes; the same message always gives the same bytes (RFC 8032)."""
        return self.private.sign(message)


def parse_verifier(text: str) -> VerifierKey:
    """Read a verifier key's line.

    Raises:
        NoteError: not exactly ``name+keyid+base64``, another signature type, or the key id does not fit.
    """
    match = _VERIFIER.fullmatch(text)
    if not match:
        raise NoteError("a verifier key must have the form name+8 hexadecimal digits+base64")
    name = check_name(match["name"])
    material = decode_base64(match["key"], what="the verifier key")
    if len(material) != 1 + KEY_SIZE or material[:1] != ED25519:
        raise NoteError("the verifier key is not an Ed25519 key (signature type 0x01)")
    key = VerifierKey(name=name, public=material[1:])
    if key.key_id.hex() != match["id"]:
        raise NoteError("the verifier key's id does not belong to its name and key: a character was changed")
    return key


def generate_signing_key(path: Path, name: str) -> SigningKey:
    """Make a key, write it to ``path`` (new file, mode 0600, flushed to disk), and return it.

    Raises:
        KeyFileError: the file exists already or cannot be written; an existing key is never replaced.
    """
    key = SigningKey(name=check_name(name), private=Ed25519PrivateKey.generate())
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"the signing key {path} cannot be written: {error.strerror}") from error
    return key


def load_signing_key(path: Path, name: str) -> SigningKey:
    """Read the key at ``path``; ``name`` is the name it signs under.

    Raises:
        KeyFileError: missing, not a regular file, readable by others, or not an Ed25519 key in PEM.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077:
                raise KeyFileError(
                    f"{path} must be a file that only its owner can read; run: chmod 600 {path}"
                )
            pem = file.read(16_384)
    except OSError as error:
        raise KeyFileError(f"the signing key {path} cannot be read: {error.strerror}") from error
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} does not hold an unencrypted private key in PEM form") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key of another kind than Ed25519")
    return SigningKey(name=check_name(name), private=private)
