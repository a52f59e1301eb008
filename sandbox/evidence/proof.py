"""Offline proofs that one entry is in the log (c2sp.org/tlog-proof): what a vendor or regulator keeps.

The optional ``extra`` line is refused: it is not authenticated, and this project has no use for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdout.merkle import HASH_SIZE, ProofError, leaf_hash, verify_inclusion
from sandbox.errors import NoteError
from sandbox.evidence.checkpoint import Checkpoint, open_checkpoint
from sandbox.evidence.encoding import decode_base64, encode_base64, parse_decimal
from sandbox.evidence.keys import VerifierKey
from sandbox.evidence.note import MAX_NOTE

HEADER = "c2sp.org/tlog-proof@v1"
MAX_STEPS = 63
MAX_PROOF = MAX_NOTE + 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """Parsed proof, not yet verified: entry ``index``, audit ``path`` leaf to root, signed ``checkpoint``."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


def encode_proof(index: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Return the proof's bytes; ``checkpoint`` is the signed note, verbatim."""
    lines = [HEADER, f"index {index}", *(encode_base64(step) for step in path), "", ""]
    return "\n".join(lines).encode("ascii") + checkpoint


def parse_proof(data: bytes) -> TlogProof:
    """Split a proof into its parts.

    Raises:
        NoteError: the bytes are not exactly a proof without extra data.
    """
    if len(data) > MAX_PROOF:
        raise NoteError(f"a proof of {len(data)} bytes is longer than the {MAX_PROOF} that are read")
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii", errors="strict").split("\n")
    except UnicodeDecodeError:
        raise NoteError("the proof's lines are not ASCII") from None
    if not blank or lines[0] != HEADER:
        raise NoteError(f"the proof does not begin with {HEADER}")
    if len(lines) < 2 or not lines[1].startswith("index "):
        raise NoteError("the proof's second line does not name the entry's index")
    if len(lines) - 2 > MAX_STEPS:
        raise NoteError(f"the proof has more than {MAX_STEPS} steps")
    index = parse_decimal(lines[1].removeprefix("index "), what="the proof's index")
    path = tuple(decode_base64(line, what="a step of the proof", size=HASH_SIZE) for line in lines[2:])
    return TlogProof(index=index, path=path, checkpoint=checkpoint)


def verify_proof(entry: bytes, data: bytes, verifier: VerifierKey) -> tuple[TlogProof, Checkpoint]:
    """Check that ``entry`` is in the log whose head ``verifier`` signed.

    Returns:
        The parsed proof (its index is now proven) and the verified checkpoint.

    Raises:
        NoteError: malformed, a signature does not hold, or the entry is not at that index of that log.
    """
    proof = parse_proof(data)
    checkpoint = open_checkpoint(proof.checkpoint, verifier)
    try:
        verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root)
    except ProofError as error:
        raise NoteError(f"the proof for entry {proof.index} does not hold: {error}") from error
    return proof, checkpoint
