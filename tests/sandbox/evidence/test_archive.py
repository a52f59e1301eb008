from __future__ import annotations

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import DossierError
from sandbox.evidence.archive import MAX_MEMBERS, read_archive, write_archive

TIME = "2026-02-03T10:06:08Z"
MEMBERS = {"b.txt": b"two", "a.json": b"{}", "ledger/entries/000001.json": b"x" * 70_000, "empty": b""}


def test_any_unzip_reads_it() -> None:
    data = write_archive(MEMBERS, TIME)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == MEMBERS
        assert {info.date_time for info in archive.infolist()} == {(2026, 2, 3, 10, 6, 8)}
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_same_members_same_bytes_in_any_order() -> None:
    assert write_archive(MEMBERS, TIME) == write_archive(dict(reversed(MEMBERS.items())), TIME)
    assert read_archive(write_archive(MEMBERS, TIME)) == (MEMBERS, TIME)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,4})?", fullmatch=True), st.binary(max_size=50), min_size=1
    )
)
def test_members_come_back(members: dict[str, bytes]) -> None:
    assert read_archive(write_archive(members, TIME))[0] == members


def test_every_flipped_bit_outside_the_data_and_every_cut_is_refused() -> None:
    data = write_archive({"a.json": b"{}", "b.txt": b"two"}, TIME)
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises(DossierError):
                read_archive(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        with pytest.raises(DossierError):
            read_archive(data[:at])
    for extra in (b"x", b"PK\x05\x06" + bytes(18), data):
        with pytest.raises(DossierError):
            read_archive(data + extra)
        with pytest.raises(DossierError):
            read_archive(extra + data)


BAD_NAMES = [
    "../x",
    "/x",
    "a/../b",
    "a//b",
    "a\\b",
    "C:x",
    "",
    ".",
    "a/",
    "a\x00b",
    "a\nb",
    ".hidden",
    "a/.b",
    "ä",
]


@pytest.mark.parametrize("name", [*BAD_NAMES, "x" * 81, "a/b/c/d/e", "con.", "a b"])
def test_bad_names_are_neither_written_nor_read(name: str) -> None:
    with pytest.raises(DossierError):
        write_archive({name: b""}, TIME)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name or "placeholder"), b"x")
    with pytest.raises(DossierError):
        read_archive(out.getvalue())


def test_a_compressed_bomb_is_refused_without_inflating() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", b"0" * 50_000_000)
    with pytest.raises(DossierError):
        read_archive(out.getvalue())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_doubled_names_and_other_zip_features_are_refused() -> None:
    def made(*names: str, comment: bytes = b"", extra: bytes = b"", encrypted: bool = False) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in names:
                info = zipfile.ZipInfo(name, (2026, 2, 3, 10, 6, 8))
                info.extra = extra
                info.flag_bits = 1 if encrypted else 0
                archive.writestr(info, b"x")
            archive.comment = comment
        return out.getvalue()

    for data in (
        made("a.txt", "a.txt"),
        made("a.txt", comment=b"hello"),
        made("a.txt", extra=b"\x99\x99\x00\x00"),
        made("a.txt", encrypted=True),
        made("b.txt", "a.txt"),
        made(),
        b"",
        b"PK\x03\x04",
        b"not a zip",
    ):
        with pytest.raises(DossierError):
            read_archive(data)


def test_sizes_that_lie_are_refused() -> None:
    data = bytearray(write_archive({"a.txt": b"x" * 100}, TIME))
    for size in (0, 99, 101, 2**31, 2**32 - 1):
        struct.pack_into("<I", data, 18, size)
        with pytest.raises(DossierError):
            read_archive(bytes(data))


def test_too_many_members_are_refused() -> None:
    with pytest.raises(DossierError):
        write_archive({f"f{i}": b"" for i in range(MAX_MEMBERS + 1)}, TIME)


@pytest.mark.parametrize("time", ["1979-12-31T00:00:00Z", "yesterday", "2026-13-01T00:00:00Z"])
def test_times_that_a_zip_cannot_carry(time: str) -> None:
    with pytest.raises(DossierError):
        write_archive({"a": b""}, time)


@given(st.binary(max_size=400))
def test_the_reader_raises_nothing_but_dossier_errors(data: bytes) -> None:
    with pytest.raises(DossierError):
        read_archive(b"PK\x03\x04" + data)
