from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.errors import NoteError
from sandbox.evidence.keys import KeyFileError, generate_signing_key, load_signing_key, parse_verifier


def test_a_key_is_written_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    made = generate_signing_key(tmp_path / "k.pem", "proctor/a")
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    read = load_signing_key(tmp_path / "k.pem", "proctor/a")
    assert read.verifier == made.verifier == parse_verifier(made.verifier.text)
    assert made.verifier.holds(b"m", read.sign(b"m"))
    assert "private" not in repr(made)


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    generate_signing_key(tmp_path / "k.pem", "proctor/a")
    before = (tmp_path / "k.pem").read_bytes()
    with pytest.raises(KeyFileError):
        generate_signing_key(tmp_path / "k.pem", "proctor/a")
    assert (tmp_path / "k.pem").read_bytes() == before


def test_bad_key_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    generate_signing_key(path, "proctor/a")
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_signing_key(path, "proctor/a")
    path.chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(KeyFileError):
        load_signing_key(tmp_path / "link", "proctor/a")
    with pytest.raises(KeyFileError):
        load_signing_key(tmp_path / "absent", "proctor/a")
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(KeyFileError):
        load_signing_key(path, "proctor/a")
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(KeyFileError, match="another kind"):
        load_signing_key(path, "proctor/a")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\u202eb", "x" * 201])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NoteError):
        generate_signing_key(tmp_path / "k.pem", name)
    assert not (tmp_path / "k.pem").exists()


def test_the_fingerprint_covers_name_and_key(tmp_path: Path) -> None:
    first = generate_signing_key(tmp_path / "a.pem", "proctor/a").verifier
    second = generate_signing_key(tmp_path / "b.pem", "proctor/a").verifier
    assert first.fingerprint != second.fingerprint
    assert len(first.fingerprint.replace(" ", "")) == 64
