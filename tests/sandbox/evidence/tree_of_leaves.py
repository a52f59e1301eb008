"""Proofs made from all leaf hashes, as RFC 9162 writes them down: the oracle for proofs made from tiles."""

from __future__ import annotations

from collections.abc import Sequence

from holdout.merkle import root


def _split(size: int) -> int:
    """Largest power of two smaller than ``size`` (RFC 9162 section 2.1.1, k)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Audit path of leaf ``index`` in the tree over ``leaf_hashes`` (RFC 9162 section 2.1.3.1).

    Raises:
        IndexError: ``index`` is not in the tree.
    """
    if not 0 <= index < len(leaf_hashes):
        raise IndexError(f"leaf {index} is not in a tree of {len(leaf_hashes)} leaves")
    path: list[bytes] = []
    start, end = 0, len(leaf_hashes)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(root(leaf_hashes[middle:end]))
            end = middle
        else:
            path.append(root(leaf_hashes[start:middle]))
            start = middle
    path.reverse()
    return path


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Proof that the tree of the first ``old_size`` leaves is a prefix of this one (RFC 9162 section 2.1.4.1).

    Empty for ``old_size`` 0 and for equal sizes.

    Raises:
        IndexError: ``old_size`` exceeds the tree.
    """
    size = len(leaf_hashes)
    if not 0 <= old_size <= size:
        raise IndexError(f"a tree of {size} leaves has no prefix of {old_size}")
    if old_size in (0, size):
        return []
    path: list[bytes] = []
    start, end, whole = 0, size, True
    while old_size - start != end - start:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(root(leaf_hashes[middle:end]))
            end = middle
        else:
            path.append(root(leaf_hashes[start:middle]))
            start = middle
            whole = False
    if not whole:
        path.append(root(leaf_hashes[start:end]))
    path.reverse()
    return path
