"""Checkpoints (c2sp.org/tlog-checkpoint): the signed head of a log, as origin, size and root.

Extension lines are refused: monitors cannot audit them, and this project writes none.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdout.merkle import HASH_SIZE
from sandbox.errors import NoteError
from sandbox.evidence.encoding import decode_base64, encode_base64, parse_decimal
from sandbox.evidence.keys import SigningKey, VerifierKey, check_name
from sandbox.evidence.note import parse_note, sign_note, verify_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Head of the log ``origin``: number of entries and Merkle root (32 bytes, RFC 6962) over them."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> bytes:
        """The note text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n".encode()


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Return the signed note of ``checkpoint``; the same checkpoint and key always give the same bytes.

    Raises:
        NoteError: the key is that of another log, or the values cannot stand in a checkpoint.
    """
    if key.name != checkpoint.origin:
        raise NoteError("a log signs only with the key of its own name")
    if parse_body(checkpoint.body) != checkpoint:
        raise NoteError("the checkpoint cannot be written")
    return sign_note(checkpoint.body, [key])


def parse_body(body: bytes) -> Checkpoint:
    """Read a checkpoint's note text.

    Raises:
        NoteError: anything but exactly three lines: origin, size, root.
    """
    try:
        lines = body.decode("utf-8", errors="strict").split("\n")
    except UnicodeDecodeError:
        raise NoteError("the checkpoint is not UTF-8") from None
    if len(lines) != 4 or lines[3]:
        raise NoteError("a checkpoint must have exactly three lines: origin, size and root")
    size = parse_decimal(lines[1], what="the checkpoint's size")
    root = decode_base64(lines[2], what="the checkpoint's root", size=HASH_SIZE)
    return Checkpoint(origin=check_name(lines[0]), size=size, root=root)


def open_checkpoint(data: bytes, verifier: VerifierKey) -> Checkpoint:
    """Verify a signed checkpoint and return what was signed.

    Raises:
        NoteError: malformed, not signed by ``verifier``, or the head of another log than the key's.
    """
    note = parse_note(data)
    verify_note(note, [verifier])
    checkpoint = parse_body(note.text)
    if checkpoint.origin != verifier.name:
        raise NoteError("the checkpoint's origin is not the name of the key that signed it")
    return checkpoint
