"""Checking a dossier offline: on any machine with Python and ``cryptography``, without workspace or engine.

Each check says in a sentence what was found. The bytes are read once; what a check hands on is what it
verified. Nothing in a dossier is trusted before the institution's key vouches for it, and without a key from
elsewhere the result says loudly that the dossier vouches for itself.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from holdout.merkle import ProofError
from sandbox.errors import DossierError, ProctorError
from sandbox.evidence.archive import MAX_ARCHIVE, read_archive
from sandbox.evidence.dossier_checks import CHECKS, ENTRY, Evidence
from sandbox.evidence.keys import VerifierKey, parse_verifier

REQUIRED = (
    "README.txt",
    "holdout.json",
    "ledger/checkpoint",
    "ledger/verifier.txt",
    "manifest-sha256.txt",
    "posture.json",
    "protocol.json",
    "protocol.yaml",
    "report.html",
    "results.json",
    "ro-crate-metadata.json",
    "statement.dsse.json",
)
OPTIONAL = ("policy.json", "stress.json")
_SENTENCE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its name, whether it held, and what was found; ``warning``: held, but mind the sentence."""

    name: str
    held: bool
    sentence: str
    warning: bool = False


def verify_dossier(path: Path, trusted_key: str | None) -> list[Check]:
    """Check the dossier at ``path``; never raises for a bad one.

    Args:
        path: the zip file; read once, size-capped.
        trusted_key: the institution's verifier key (``name+id+base64``) as known from elsewhere, or None.

    Returns:
        The checks in order; the dossier holds when all of them held.
    """
    try:
        data = _read(path)
    except (OSError, DossierError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return [Check(name="file", held=False, sentence=f"{path} cannot be read: {reason}.")]
    return verify_bytes(data, trusted_key=trusted_key)


def verify_bytes(data: bytes, trusted_key: str | None) -> list[Check]:
    """Check a dossier's bytes; see :func:`verify_dossier`."""
    checks: list[Check] = []
    try:
        files, _ = read_archive(data)
        _check_names(files)
    except ProctorError as error:
        return [Check(name="file", held=False, sentence=_sentence(error))]
    checks.append(Check(name="file", held=True, sentence=f"{len(files)} files, none hidden, doubled or cut."))
    try:
        verifier, key_check = _key(files, trusted_key)
    except ProctorError as error:
        return [*checks, Check(name="key", held=False, sentence=_sentence(error))]
    checks.append(key_check)
    if not key_check.held:
        return checks
    evidence = Evidence(files=files, verifier=verifier)
    for name, check in CHECKS:
        try:
            checks.append(Check(name=name, held=True, sentence=check(evidence)))
        except (
            ProctorError,
            ProofError,
            LookupError,
            TypeError,
            ValueError,
            ArithmeticError,
            AttributeError,
        ) as error:
            known = isinstance(error, ProctorError | ProofError)
            sentence = _sentence(error) if known else "What this check needs is missing or malformed."
            checks.append(Check(name=name, held=False, sentence=sentence))
    return checks


def _read(path: Path) -> bytes:
    # Opened without waiting: a FIFO in place of the file must not hang the check.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise DossierError("it is not a regular file")
        if facts.st_size > MAX_ARCHIVE:
            raise DossierError(f"it is larger than the {MAX_ARCHIVE} bytes that a dossier may have")
        return file.read(MAX_ARCHIVE + 1)


def _check_names(files: dict[str, bytes]) -> None:
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise DossierError(f"the dossier has no {missing[0]}")
    expected = {*REQUIRED, *OPTIONAL}
    for name in files:
        if match := ENTRY.fullmatch(name):
            expected |= {name, f"ledger/proofs/{match[1]}.tlog-proof"}
    unknown = set(files) - expected
    if unknown:
        raise DossierError(f"the dossier holds {len(unknown)} files that do not belong into one")
    lone = [name for name in expected - set(files) if name not in OPTIONAL]
    if lone:
        raise DossierError(f"the dossier has no {min(lone)}")


def _key(files: dict[str, bytes], trusted_key: str | None) -> tuple[VerifierKey, Check]:
    try:
        own = parse_verifier(files["ledger/verifier.txt"].decode("utf-8").removesuffix("\n"))
    except UnicodeDecodeError:
        raise DossierError("the dossier's verifier key is not text") from None
    if trusted_key is None:
        sentence = (
            "NO KEY WAS GIVEN. The key was taken from the dossier itself: this shows that the dossier is "
            "whole, NOT who made it. Compare this fingerprint with the institution by another way, or give "
            "--key: "
            f"{own.fingerprint} ({own.name})."
        )
        return own, Check(name="key", held=True, warning=True, sentence=sentence)
    trusted = parse_verifier(trusted_key.strip())
    if own != trusted:
        sentence = f"The dossier was made with another key than the given one; it names {own.fingerprint}."
        return trusted, Check(name="key", held=False, sentence=sentence)
    return trusted, Check(name="key", held=True, sentence=f"Made with the given key ({trusted.name}).")


def _sentence(error: Exception) -> str:
    # Names inside a forged dossier may carry terminal control sequences; a sentence never does.
    text = "".join(c if c.isprintable() else "?" for c in str(error))[:_SENTENCE]
    return f"{text[:1].upper()}{text[1:]}."
