import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdout import manifest
from holdout.errors import VerificationError
from holdout.hashing import hash_file, hash_files

entries = st.lists(
    st.builds(
        manifest.Entry,
        path=st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=12),
        role=st.sampled_from(["image", "cases", "flow"]),
        size=st.integers(0, 2**50),
        sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    ),
    max_size=9,
    unique_by=lambda entry: entry.path,
)


@given(entries)
def test_round_trip(given_entries: list[manifest.Entry]) -> None:
    content = manifest.encode(given_entries)
    assert manifest.decode(content) == manifest.ordered(given_entries)
    assert manifest.root(given_entries) == manifest.root(reversed(given_entries))


@given(entries.filter(bool), st.data())
def test_no_other_bytes_give_the_same_root(given_entries: list[manifest.Entry], data: st.DataObject) -> None:
    content = bytearray(manifest.encode(given_entries))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    try:
        changed = manifest.decode(bytes(content))
    except VerificationError:
        return
    assert manifest.root(changed) != manifest.root(given_entries)


def test_the_documented_leaf_format() -> None:
    entry = manifest.Entry(path="source/a.dcm", role="image", size=3, sha256="00" * 32)
    line = b'{"path":"source/a.dcm","role":"image","sha256":"' + b"00" * 32 + b'","size":3}'
    assert manifest.encode([entry]) == line + b"\n"
    # RFC 9162 section 2.1.1: the root over one entry is its leaf hash.
    assert manifest.root([entry]) == hashlib.sha256(b"\0" + line).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        b"{}\n",
        b"[]\n",
        b'{"path":"a"}\n',
        b'{"path":"a","role":"image","sha256":"","size":1}',
        b'{"path":"a","role":"other","sha256":"","size":1}\n',
        b'{"path":"a","role":"image","sha256":"","size":1.0}\n',
        b'{"path":"a", "role":"image","sha256":"","size":1}\n',
        b'{"path":"b","role":"image","sha256":"","size":1}\n{"path":"a","role":"image","sha256":"","size":1}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_only_one_form_is_read(content: bytes) -> None:
    with pytest.raises(VerificationError):
        manifest.decode(content)


def test_hashing_says_what_is_no_file(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    for number in range(150):
        (folder / f"{number}").write_bytes(bytes([number]) * (number * 20_000 % 1_500_000))
    names = [str(number) for number in range(150)]
    for digest in hash_files(folder, names, threads=3):
        content = (folder / digest.path).read_bytes()
        assert (digest.size, digest.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    (folder / "link").symlink_to("1")
    assert hash_file(folder, "link").problem == "not_regular"
    assert hash_file(folder, "absent").problem == "missing"
    (folder / "sub").mkdir()
    assert hash_file(folder, "sub").problem == "not_regular"
