"""Signatures of images: over the digest, and cosign's own; each by OpenSSL as well, which shares no code with us."""

import base64
import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from runners.admission import read_archive
from runners.errors import AdmissionRefused
from runners.signature import SignatureFiles, load_key
from tests.runners.oci_archives import PASSWD, RULES, config_of, descriptor, oci, sha, tar

CURVE, EDWARDS = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def sign(key, message):
    return key.sign(message) if key is EDWARDS else key.sign(message, ec.ECDSA(hashes.SHA256()))


ASKS = replace(RULES, signature_keys=(pem(EDWARDS), pem(CURVE)))
LAYERS = [tar(PASSWD)]


@pytest.fixture
def archive(tmp_path):
    return oci(tmp_path / "image.tar", LAYERS, squeeze="gzip")


def payload(digest, kind="cosign container image signature"):
    """What cosign signs (SIGNATURE_SPEC.md), with its key order and without white space."""
    reference = {"docker-reference": "registry.example/vendor/model"}
    critical = {"identity": reference, "image": {"docker-manifest-digest": digest}, "type": kind}
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def downloaded(key, content):
    """A line of `cosign download signature`."""
    signature, text = (base64.b64encode(item).decode() for item in (sign(key, content), content))
    return json.dumps(
        {"Base64Signature": signature, "Payload": text, "Cert": None, "Chain": None, "Bundle": None}
    ).encode()


def refusal(path, signature=None, payload=None):
    with pytest.raises(AdmissionRefused) as caught:
        read_archive(path, ASKS, signed=SignatureFiles(signature=signature, payload=payload))
    return caught.value.code


def signed_by(path, signature, payload=None):
    return read_archive(path, ASKS, signed=SignatureFiles(signature=signature, payload=payload)).signed_by


def test_signature_over_the_digest(archive):
    admitted = read_archive(archive, RULES)
    assert admitted.signed_by is None
    found = {
        signed_by(archive, base64.b64encode(sign(key, text.encode())) + b"\n")
        for key in (CURVE, EDWARDS)
        for text in (admitted.digest, f"{admitted.digest}\n", *admitted.manifest_digests)
    }
    assert len(found) == 2
    assert refusal(archive) == "signature_missing"
    stranger = base64.b64encode(ed25519.Ed25519PrivateKey.generate().sign(admitted.digest.encode()))
    other_image = base64.b64encode(sign(EDWARDS, b"sha256:" + b"0" * 64))
    for wrong in (
        b"",
        b"!",
        b"A" * 80_000,
        stranger,
        other_image,
        b"\xff",
        b"{",
        b"{}",
        b'{"Payload": 3}',
        b"{" * 9999,
    ):
        assert refusal(archive, wrong) == "signature_invalid"


@pytest.mark.parametrize("key", [CURVE, EDWARDS], ids=["ecdsa", "ed25519"])
def test_cosign_s_own_signature(archive, key):
    (manifest,) = read_archive(archive, RULES).manifest_digests
    content = payload(manifest)
    expected = signed_by(archive, base64.b64encode(sign(key, content)), content)
    assert expected.startswith("sha256:")
    # Of several signatures of an image, one that is known here is enough.
    stranger = downloaded(ec.generate_private_key(ec.SECP256R1()), content)
    assert signed_by(archive, stranger + b"\n" + downloaded(key, content)) == expected


def test_a_payload_that_speaks_of_something_else(archive):
    admitted = read_archive(archive, RULES)
    (manifest,) = admitted.manifest_digests
    for content in (
        payload("sha256:" + "0" * 64),
        payload(admitted.digest),
        payload(manifest, "other"),
        b"{}",
        b"[" * 9999,
    ):
        assert refusal(archive, downloaded(CURVE, content)) == "signature_manifest"
    changed = payload(manifest).replace(b"vendor/model", b"vendor/other")
    assert refusal(archive, base64.b64encode(sign(CURVE, payload(manifest))), changed) == "signature_invalid"
    # A signature over the payload does not sign the digest, nor the other way round.
    assert refusal(archive, base64.b64encode(sign(CURVE, payload(manifest)))) == "signature_invalid"
    digest_signed = base64.b64encode(sign(CURVE, admitted.digest.encode()))
    assert refusal(archive, digest_signed, payload(manifest)) == "signature_invalid"


def test_an_index_vouches_for_the_manifests_it_lists(tmp_path):
    path = oci(tmp_path / "nested.tar", LAYERS, nested=True)
    index, manifest = read_archive(path, RULES).manifest_digests
    for digest in (index, manifest):
        assert signed_by(path, downloaded(CURVE, payload(digest)))


def test_a_manifest_of_another_configuration_is_not_the_image_s(tmp_path):
    path = tmp_path / "image.tar"
    other = config_of(LAYERS, Entrypoint=["/other"])
    foreign = json.dumps({"config": descriptor(other), "layers": []}).encode()
    config = config_of(LAYERS)
    files = {
        "manifest.json": json.dumps(
            [{"Config": f"blobs/sha256/{sha(config)}", "Layers": [f"blobs/sha256/{sha(LAYERS[0])}"]}]
        ).encode(),
        "index.json": json.dumps({"manifests": [descriptor(foreign), descriptor(b"not held")]}).encode(),
    }
    files |= {f"blobs/sha256/{sha(blob)}": blob for blob in (config, other, foreign, LAYERS[0])}
    path.write_bytes(tar(files))
    assert read_archive(path, RULES).manifest_digests == ()
    assert refusal(path, downloaded(CURVE, payload(f"sha256:{sha(foreign)}"))) == "signature_manifest"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_openssl_signs_what_is_accepted(archive, tmp_path):
    private = tmp_path / "key.pem"
    private.write_bytes(
        CURVE.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    content = payload(read_archive(archive, RULES).manifest_digests[0])
    (tmp_path / "payload.json").write_bytes(content)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", private, tmp_path / "payload.json"],
        capture_output=True,
        check=True,
    )
    assert signed_by(archive, base64.encodebytes(done.stdout), content)


def test_keys_that_are_not_accepted():
    for no_key in (
        "",
        "nonsense",
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP384R1())),
    ):
        with pytest.raises(ValueError, match="key"):
            load_key(no_key)


BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://sigstore.dev/cosign/sign/v1"


def base(content):
    return base64.b64encode(content).decode()


def bundle(media=BUNDLE, **content):
    """What cosign 3 writes for a key: a hint of the key, no log entry (sigstore_bundle.proto)."""
    material = {"publicKey": {"hint": "a2V5"}, "tlogEntries": [], "timestampVerificationData": {}}
    return json.dumps({"mediaType": media, "verificationMaterial": material, **content}, indent=1).encode()


def message(key, text):
    hashed = base(bytes.fromhex(sha(text)))
    found = {"messageDigest": {"algorithm": "SHA2_256", "digest": hashed}, "signature": base(sign(key, text))}
    return bundle(messageSignature=found)


def envelope(key, digest, *, kind="application/vnd.in-toto+json", media=BUNDLE, **changes):
    subject = [{"digest": {"sha256": digest.removeprefix("sha256:")}}]
    statement = {"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, **changes}
    payload = json.dumps(statement).encode()
    # The pre-authentication encoding of DSSE 1.0.2.
    signed = b" ".join(
        (b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload)
    )
    found = {
        "payload": base(payload),
        "payloadType": kind,
        "signatures": [{"sig": base(sign(key, signed)), "keyid": ""}],
    }
    return bundle(media, dsseEnvelope=found)


@pytest.mark.parametrize("key", [CURVE, EDWARDS])
def test_bundle_over_the_digest(archive, key):
    admitted = read_archive(archive, RULES)
    for text in (admitted.digest, *admitted.manifest_digests):
        assert signed_by(archive, message(key, text.encode()))
    assert refusal(archive, message(key, b"sha256:" + b"0" * 64)) == "signature_invalid"
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert refusal(archive, message(stranger, admitted.digest.encode())) == "signature_invalid"


@pytest.mark.parametrize("key", [CURVE, EDWARDS])
def test_bundle_of_a_signed_image(archive, key):
    (manifest, *_) = read_archive(archive, RULES).manifest_digests
    assert signed_by(archive, envelope(key, manifest))
    old = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    assert signed_by(archive, envelope(key, manifest, media=old))
    subject = {"digest": {"sha256": manifest.removeprefix("sha256:")}}
    for wrong in (
        envelope(key, "sha256:" + "0" * 64),
        # Signed, but for something else: a bill of materials is no word that the image is the vendor's.
        envelope(key, manifest, predicateType="https://cyclonedx.org/bom"),
        envelope(key, manifest, _type="https://example.org/Other"),
        envelope(key, manifest, kind="text/plain"),
        envelope(key, manifest, subject=[subject, subject]),
        envelope(key, manifest, subject=[]),
    ):
        assert refusal(archive, wrong) == "signature_manifest"
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert refusal(archive, envelope(stranger, manifest)) == "signature_invalid"
    later = "application/vnd.dev.sigstore.bundle.v0.9+json"
    assert refusal(archive, envelope(key, manifest, media=later)) == "signature_invalid"


def test_damaged_bundles_are_refused(archive):
    manifest = read_archive(archive, RULES).manifest_digests[0]
    whole = json.loads(envelope(CURVE, manifest))
    changed = json.loads(envelope(CURVE, manifest))
    changed["dsseEnvelope"]["payload"] = base(base64.b64decode(changed["dsseEnvelope"]["payload"]) + b" ")
    for broken in (
        changed,
        bundle(),
        {**whole, "mediaType": 3},
        {**whole, "dsseEnvelope": []},
        {**whole, "dsseEnvelope": {**whole["dsseEnvelope"], "signatures": []}},
        {**whole, "dsseEnvelope": {**whole["dsseEnvelope"], "signatures": "x"}},
    ):
        text = broken if isinstance(broken, bytes) else json.dumps(broken).encode()
        assert refusal(archive, text) == "signature_invalid"
