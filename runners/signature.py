"""A vendor's signature over an image's digest: who vouches for exactly this image.

What is signed is the text ``sha256:<64 hex digits>`` (with or without a newline at its end), so that the usual tools
make it: ``cosign sign-blob --key KEY digest.txt``, or ``openssl dgst -sha256 -sign KEY digest.txt | base64``. Keys
are public keys in PEM, ECDSA P-256 with SHA-256 or Ed25519; the signature is base64 text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from runners.refusals import ArchiveRefused, RefusalReason

SIGNATURE_BYTES = 16 << 10

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def load_key(pem: str) -> PublicKey:
    """Read a public key.

    Raises:
        ValueError: it is none, or of a kind that is not accepted.
    """
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key in PEM") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("neither an ECDSA P-256 nor an Ed25519 key")


def fingerprint(key: PublicKey) -> str:
    """Name a key: the SHA-256 of its SubjectPublicKeyInfo in DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def signer(digest: str, signature: bytes | None, keys: Sequence[str]) -> str:
    """Find which of ``keys`` (PEM) signed ``digest``; returns its fingerprint.

    Raises:
        ArchiveRefused: SIGNATURE_MISSING or SIGNATURE_INVALID.
    """
    if signature is None:
        raise ArchiveRefused(RefusalReason.SIGNATURE_MISSING)
    try:
        if len(signature) > SIGNATURE_BYTES:
            raise ValueError
        raw = base64.b64decode(b"".join(signature.split()), validate=True)
    except (ValueError, binascii.Error):
        raise ArchiveRefused(RefusalReason.SIGNATURE_INVALID) from None
    for pem in keys:
        key = load_key(pem)
        if any(_verifies(key, raw, text.encode()) for text in (digest, f"{digest}\n")):
            return fingerprint(key)
    raise ArchiveRefused(RefusalReason.SIGNATURE_INVALID)


def _verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
