"""Signed notes (c2sp.org/signed-note): text, a blank line, and one signature per line.

Parsing follows the specification to the byte. A note whose text was verified hands on exactly the verified
bytes; nothing is parsed twice.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.errors import NoteError
from sandbox.evidence.encoding import decode_base64, encode_base64
from sandbox.evidence.keys import SigningKey, VerifierKey, check_name

MAX_NOTE = 256 * 1024
MAX_SIGNATURES = 64  # the specification asks for at least 16
_DASH = "— "


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line: who says to have signed (``name``, ``key_id``) and the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A parsed note, not yet verified: ``text`` with its final newline, and the signatures in order."""

    text: bytes
    signatures: tuple[NoteSignature, ...]


def sign_note(text: bytes, keys: Sequence[SigningKey]) -> bytes:
    """Return the note of ``text`` signed by ``keys``.

    Raises:
        NoteError: the text cannot be that of a note, or no key was given.
    """
    lines = []
    for key in keys:
        signature = encode_base64(key.verifier.key_id + key.sign(text))
        lines.append(f"{_DASH}{key.name} {signature}\n".encode())
    note = text + b"\n" + b"".join(lines)
    if parse_note(note).text != text:
        raise NoteError("this text cannot be signed as a note")
    return note


def parse_note(data: bytes) -> Note:
    """Split a note into text and signatures, verifying nothing yet.

    Raises:
        NoteError: the bytes are not exactly a note.
    """
    if len(data) > MAX_NOTE:
        raise NoteError(f"a note of {len(data)} bytes is longer than the {MAX_NOTE} that are read")
    try:
        text = data.decode("utf-8", errors="strict")
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if any(c != "\n" and unicodedata.category(c) == "Cc" for c in text):
        raise NoteError("the note holds a control character")
    split = text.rfind("\n\n")
    if split < 0:
        raise NoteError("the note has no blank line before its signatures")
    body, tail = text[: split + 1], text[split + 2 :]
    if body == "\n" or not tail.endswith("\n"):
        raise NoteError("the note is cut short: its text is empty or its last line does not end")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"the note has more than {MAX_SIGNATURES} signatures")
    return Note(text=body.encode(), signatures=tuple(_parse_signature(line) for line in lines))


def verify_note(note: Note, verifiers: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Check every signature by a known key; unknown keys are ignored, as the specification demands.

    Returns:
        The known keys that signed, each once.

    Raises:
        NoteError: a known key's signature does not hold, or no known key signed.
    """
    known = {(key.name, key.key_id): key for key in verifiers}
    signed: dict[tuple[str, bytes], VerifierKey] = {}
    for line in note.signatures:
        identity = (line.name, line.key_id)
        key = known.get(identity)
        if key is None:
            continue
        if not key.holds(note.text, line.signature):
            raise NoteError(f"the signature by {key.name} does not hold: text or signature was changed")
        signed[identity] = key
    if not signed:
        raise NoteError("no trusted key signed this note")
    return tuple(signed.values())


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise NoteError("a line after the note's text is not a signature")
    name, space, encoded = line[len(_DASH) :].partition(" ")
    if not space:
        raise NoteError("a signature line has no signature")
    blob = decode_base64(encoded, what="a signature line")
    if len(blob) < 5:
        raise NoteError("a signature line is too short to hold a key id and a signature")
    return NoteSignature(name=check_name(name), key_id=blob[:4], signature=blob[4:])
