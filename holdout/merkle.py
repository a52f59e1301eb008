"""Merkle tree of RFC 6962 / RFC 9162 section 2.1: roots, and what inclusion and consistency proofs show.

One implementation serves the hold-out's manifest and the ledger. It does no input or output.

Hashing (RFC 9162 section 2.1.1)::

    MTH({})     = SHA-256()
    leaf hash   = SHA-256(0x00 || entry)
    node hash   = SHA-256(0x01 || left || right)

The two prefixes keep a leaf from being passed off as a node (second-preimage attack).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256().digest()


class ProofError(ValueError):
    """A proof does not show what it claims; the message says which check failed."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash one log entry or manifest line as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an interior node from its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root of the tree over ``leaf_hashes``, in one pass and O(log n) memory."""
    # Complete subtrees waiting for a right sibling, largest first, as (leaf count, hash).
    stack: list[tuple[int, bytes]] = []
    for leaf in leaf_hashes:
        size, top = 1, leaf
        while stack and stack[-1][0] == size:
            top = node_hash(stack.pop()[1], top)
            size *= 2
        stack.append((size, top))
    if not stack:
        return EMPTY_ROOT
    result = stack.pop()[1]
    while stack:
        result = node_hash(stack.pop()[1], result)
    return result


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> None:
    """Check that ``leaf`` is entry ``index`` of the tree with ``size`` leaves (RFC 9162 section 2.1.3.2).

    Raises:
        ProofError: the proof is malformed or leads to another root.
    """
    # Shipped verifiers have accepted "index 5 in a tree of 4": the bound is checked before anything else.
    if index < 0 or index >= size:
        raise ProofError(f"index {index} lies outside a tree of {size} leaves")
    if any(len(step) != HASH_SIZE for step in path):
        raise ProofError("a step of the inclusion proof is not 32 bytes long")
    node, last, top = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise ProofError("the inclusion proof is longer than the tree is high")
        if node & 1 or node == last:
            top = node_hash(step, top)
            while not node & 1 and node != 0:
                node >>= 1
                last >>= 1
        else:
            top = node_hash(top, step)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the inclusion proof is shorter than the tree is high")
    if top != expected_root:
        raise ProofError("the inclusion proof leads to another root: the entry is not in this log")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that a log only grew between two checkpoints (RFC 9162 section 2.1.4.2).

    Raises:
        ProofError: history was rewritten, or the proof is malformed.
    """
    if old_size < 0 or old_size > new_size:
        raise ProofError(f"a log cannot shrink from {old_size} to {new_size} entries")
    if any(len(step) != HASH_SIZE for step in path):
        raise ProofError("a step of the consistency proof is not 32 bytes long")
    if old_size == new_size:
        if path:
            raise ProofError("equal sizes need an empty consistency proof")
        if old_root != new_root:
            raise ProofError("two roots of one size: the log was rewritten")
        return
    if old_size == 0:
        if path:
            raise ProofError("an empty log needs an empty consistency proof")
        if old_root != EMPTY_ROOT:
            raise ProofError("the root of the empty log is wrong")
        return
    steps = list(path)
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    if node:
        if not steps:
            raise ProofError("the consistency proof is empty")
        old = new = steps.pop(0)
    else:
        old = new = old_root
    for step in steps:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if node & 1 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not node & 1 and node != 0:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, step)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    if old != old_root or new != new_root:
        raise ProofError("the consistency proof does not join the two checkpoints: history was rewritten")
