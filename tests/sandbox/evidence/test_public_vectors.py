"""Known answers of others: the CT reference tree, transparency-dev's proofs, and Go's signed note."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdout.merkle import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from sandbox.errors import NoteError
from sandbox.evidence.keys import SigningKey, parse_verifier
from sandbox.evidence.note import parse_note, sign_note, verify_note
from tests.sandbox.evidence.tree_of_leaves import consistency_proof, inclusion_proof

# Leaves and roots of the tree of 1 to 8 leaves in Certificate Transparency's reference test
# (merkletree/merkle_tree_test of the CT code; the same data in transparency-dev/merkle, testonly).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]

# golang.org/x/mod/sumdb/note, note_test.go
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_TEXT = (
    b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
PETER_NOTE = (
    PETER_TEXT
    + (
        "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6K"
        "E6RyyBwJnAM=\n"
    ).encode()
)


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_of_the_ct_reference_tree(size: int) -> None:
    assert root(HASHES[:size]).hex() == ROOTS[size - 1]


def test_empty_tree() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_consistency_1_to_8_of_transparency_dev() -> None:
    # transparency-dev/merkle, testdata/consistency/1/happy-path.json
    path = [
        base64.b64decode(step)
        for step in (
            "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=",
            "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
            "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=",
        )
    ]
    assert consistency_proof(HASHES, 1) == path
    verify_consistency(1, 8, bytes.fromhex(ROOTS[0]), bytes.fromhex(ROOTS[7]), path)


@pytest.mark.parametrize("size", range(1, 9))
def test_every_changed_bit_or_place_of_an_inclusion_proof_is_refused(size: int) -> None:
    top = bytes.fromhex(ROOTS[size - 1])
    for index in range(size):
        path = inclusion_proof(HASHES[:size], index)
        verify_inclusion(HASHES[index], index, size, path, top)
        forged = [(other, size, path) for other in range(size + 3) if other != index]
        forged += [(index, size, path[:i] + path[i + 1 :]) for i in range(len(path))]
        forged += [
            (index, size, [*path, top]),
            (index, size, [top, *path]),
            (-1, size, path),
            (index, 0, path),
        ]
        forged += [
            (index, size, [*path[:i], bytes([path[i][0] ^ 1]) + path[i][1:], *path[i + 1 :]])
            for i in range(len(path))
        ]
        for bad_index, bad_size, bad_path in forged:
            with pytest.raises(ProofError):
                verify_inclusion(HASHES[index], bad_index, bad_size, bad_path, top)


def test_go_note_is_signed_to_the_same_bytes_and_verifies() -> None:
    key = SigningKey(name="PeterNeumann", private=Ed25519PrivateKey.from_private_bytes(PETER_SEED))
    assert key.verifier.text == PETER_KEY
    assert sign_note(PETER_TEXT, [key]) == PETER_NOTE
    assert verify_note(parse_note(PETER_NOTE), [parse_verifier(PETER_KEY)]) == (key.verifier,)


def test_every_mangled_verifier_key_is_refused() -> None:
    mangled = [
        PETER_KEY[i:j]
        for i in range(len(PETER_KEY))
        for j in range(i + 1, len(PETER_KEY) + 1)
        if (i, j) != (0, len(PETER_KEY))
    ]
    mangled += [PETER_KEY[:i] + chr(ord(c) + 1) + PETER_KEY[i + 1 :] for i, c in enumerate(PETER_KEY)]
    # Wrong length and unknown type, each with its key id made to fit (the same two cases as in Go's test).
    mangled += ["PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="]
    mangled += ["PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
    for text in mangled:
        with pytest.raises(NoteError):
            parse_verifier(text)
