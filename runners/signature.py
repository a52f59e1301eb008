"""A vendor's signature over an image's digest: who vouches for exactly this image.

Three forms are accepted, by public keys in PEM, ECDSA P-256 with SHA-256 or Ed25519.

* **A signature over the digest**, as base64 text. What is signed is the text ``sha256:<64 hex digits>`` (with or
  without a newline at its end) of the image's configuration, which ``proctor kit check`` prints, or of its manifest:
  ``cosign sign-blob --key KEY digest.txt``, or ``openssl dgst -sha256 -sign KEY digest.txt | base64``.
* **Cosign's own signature of an image.** What is signed is a payload, a JSON document of type ``cosign container image
  signature`` whose ``critical.image.docker-manifest-digest`` names the manifest. It comes as the lines that ``cosign
  download signature IMAGE`` prints, or as the two files of ``cosign sign --output-payload --output-signature``. The
  archive must hold that very manifest, as OCI archives do (``skopeo copy docker://IMAGE oci-archive:FILE``); the
  manifest names the configuration, and the configuration the layers.

* **A Sigstore bundle**, what cosign writes since version 3 (``cosign sign-blob --bundle``, ``cosign sign``). Either its
  ``messageSignature`` is over the digest's text, or its ``dsseEnvelope`` holds an in-toto statement of type
  ``https://sigstore.dev/cosign/sign/v1`` whose subject is the manifest. Of the key it has only a hint, which is not
  used; Ed25519 over a hash (Ed25519ph) is not accepted.

None asks a transparency log, for there is no network here, and entries or certificates in a bundle are not looked
at: the institution's list of keys is what is trusted.

Sources: sigstore/cosign, SIGNATURE_SPEC.md (simple signing) and BUNDLE_SPEC.md; sigstore/protobuf-specs,
``sigstore_bundle.proto`` 0.3; DSSE 1.0.2, pre-authentication encoding; in-toto statement 1.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from runners.refusals import ArchiveRefused, RefusalReason

SIGNATURE_BYTES = 64 << 10
_COSIGN = "cosign container image signature"
_BUNDLE = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v0\.3)?\+json(;version=0\.[1-3])?")
_STATEMENT = "application/vnd.in-toto+json"
_STATEMENT_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_PREDICATE = "https://sigstore.dev/cosign/sign/v1"

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
    for handed in _signatures(files):
        for pem in keys:
            key = load_key(pem)
            if handed.signed is None:
                texts = [text + end for text in (digest, *manifests) for end in ("", "\n")]
                if any(_verifies(key, handed.signature, text.encode()) for text in texts):
                    return fingerprint(key)
            elif _verifies(key, handed.signature, handed.signed):
                # Only what a known key signed is read.
                if handed.manifest(handed.payload) in manifests:
                    return fingerprint(key)
                reason = RefusalReason.SIGNATURE_MANIFEST
    raise ArchiveRefused(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handed:
    """One signature: over ``signed`` (None: the digest's text), whose ``payload`` names a manifest."""

    signature: bytes
    signed: bytes | None = None
    payload: bytes = b""
    manifest: Callable[[bytes], str] = lambda payload: ""


def _signatures(files: SignatureFiles) -> list[_Handed]:
    """Read every signature that was handed in."""
    text = files.signature or b""
    try:
        if max(len(text), len(files.payload or b"")) > SIGNATURE_BYTES:
            raise ValueError
        if not text.lstrip().startswith(b"{"):
            return [_simple(_decoded(text), files.payload)]
        documents = _documents(text)
        return [
            each
            for document in documents
            for each in (
                _bundled(document)
                if "mediaType" in document
                else [_simple(_decoded(document["Base64Signature"]), _decoded(document["Payload"]))]
            )
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArchiveRefused(RefusalReason.SIGNATURE_INVALID) from None


def _documents(text: bytes) -> list[dict[str, Any]]:
    """Read one JSON object over several lines, or one a line."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _simple(signature: bytes, payload: bytes | None) -> _Handed:
    if payload is None:
        return _Handed(signature=signature)
    return _Handed(signature=signature, signed=payload, payload=payload, manifest=_manifest_of_payload)


def _bundled(bundle: Mapping[str, Any]) -> list[_Handed]:
    if not _BUNDLE.fullmatch(bundle["mediaType"]):
        raise ValueError("another version of the format")
    if "messageSignature" in bundle:
        return [_Handed(signature=_decoded(bundle["messageSignature"]["signature"]))]
    envelope = bundle["dsseEnvelope"]
    kind, payload = str(envelope["payloadType"]).encode(), _decoded(envelope["payload"])
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    manifest = _manifest_of_statement if kind.decode() == _STATEMENT else lambda _: ""
    return [
        _Handed(signature=_decoded(each["sig"]), signed=signed, payload=payload, manifest=manifest)
        for each in envelope["signatures"]
    ]


def _decoded(text: bytes | str) -> bytes:
    return base64.b64decode(
        b"".join((text.encode() if isinstance(text, str) else text).split()), validate=True
    )


def _manifest_of_payload(payload: bytes) -> str:
    """Name the manifest that a payload of simple signing speaks of; the empty text when it is of another kind."""
    try:
        critical = json.loads(payload)["critical"]
        return str(critical["image"]["docker-manifest-digest"]) if critical["type"] == _COSIGN else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _manifest_of_statement(payload: bytes) -> str:
    """Name the one subject of an in-toto statement that says "signed"; the empty text when it says something else."""
    try:
        statement = json.loads(payload)
        (subject,) = statement["subject"]
        says = statement["_type"] in _STATEMENT_TYPES and statement["predicateType"] == _PREDICATE
        return f"sha256:{subject['digest']['sha256']}" if says else ""
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
