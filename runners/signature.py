"""A vendor's signature over an image's digest: who vouches for exactly this image.

Two forms are accepted, by public keys in PEM, ECDSA P-256 with SHA-256 or Ed25519; the signature is base64 text.

* **A signature over the digest.** What is signed is the text ``sha256:<64 hex digits>`` (with or without a newline at
  its end) of the image's configuration, which ``proctor kit check`` prints, or of its manifest:
  ``cosign sign-blob --key KEY digest.txt``, or ``openssl dgst -sha256 -sign KEY digest.txt | base64``.
* **Cosign's own signature of an image.** What is signed is a payload, a JSON document of type ``cosign container image
  signature`` whose ``critical.image.docker-manifest-digest`` names the manifest. It comes as the lines that ``cosign
  download signature IMAGE`` prints, or as the two files of ``cosign sign --output-payload --output-signature``. The
  archive must hold that very manifest, as OCI archives do (``skopeo copy docker://IMAGE oci-archive:FILE``); the
  manifest names the configuration, and the configuration the layers.

Neither asks a transparency log, for there is no network here: the institution's list of keys is what is trusted.

Source: sigstore/cosign, SIGNATURE_SPEC.md (simple signing).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from runners.refusals import ArchiveRefused, RefusalReason

SIGNATURE_BYTES = 64 << 10
_COSIGN = "cosign container image signature"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFiles:
    """What a vendor handed in beside the image; ``payload`` is what cosign signed, where it is a file of its own."""

    signature: bytes | None = None
    payload: bytes | None = None


def signer(digest: str, manifests: Sequence[str], files: SignatureFiles, keys: Sequence[str]) -> str:
    """Find which of ``keys`` (PEM) signed the image; returns its fingerprint.

    Args:
        digest: of the image's configuration.
        manifests: digests of the manifests in the archive that lead to that configuration.

    Raises:
        ArchiveRefused: SIGNATURE_MISSING, SIGNATURE_INVALID or SIGNATURE_MANIFEST.
    """
    if files.signature is None:
        raise ArchiveRefused(RefusalReason.SIGNATURE_MISSING)
    reason = RefusalReason.SIGNATURE_INVALID
    for signature, payload in _signatures(files):
        for pem in keys:
            key = load_key(pem)
            if payload is None:
                texts = [text + end for text in (digest, *manifests) for end in ("", "\n")]
                if any(_verifies(key, signature, text.encode()) for text in texts):
                    return fingerprint(key)
            elif _verifies(key, signature, payload):
                # Only what a known key signed is read.
                if _signed_manifest(payload) in manifests:
                    return fingerprint(key)
                reason = RefusalReason.SIGNATURE_MANIFEST
    raise ArchiveRefused(reason)


def _signatures(files: SignatureFiles) -> list[tuple[bytes, bytes | None]]:
    """Read (signature, payload) of every signature that was handed in."""
    text = files.signature or b""
    try:
        if max(len(text), len(files.payload or b"")) > SIGNATURE_BYTES:
            raise ValueError
        if not text.lstrip().startswith(b"{"):
            return [(_decoded(text), files.payload)]
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [
            (_decoded(line["Base64Signature"].encode()), _decoded(line["Payload"].encode())) for line in lines
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArchiveRefused(RefusalReason.SIGNATURE_INVALID) from None


def _decoded(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()), validate=True)


def _signed_manifest(payload: bytes) -> str:
    """Name the manifest that a payload speaks of; the empty text when it is of another kind."""
    try:
        critical = json.loads(payload)["critical"]
        return str(critical["image"]["docker-manifest-digest"]) if critical["type"] == _COSIGN else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
