"""RPM's databases: files that rpm and Berkeley DB wrote themselves, and ndb built from its published layout."""

import lzma
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.packages import NotReadError, Package, read_packages
from runners.rpm_databases import DamagedDatabaseError, rpm_packages

DATA = Path(__file__).parent / "data" / "rpm"
ONE, TWO = ("sample-one", "1.2.3-4.el9"), ("sample-two", "2:1.2.3-4.el9")


def stored(name):
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def header(name, version="1", release="2"):
    index, store = b"", b""
    for tag, value in ((1000, name), (1001, version), (1002, release)):
        index += struct.pack(">IIII", tag, 6, len(store), 1)
        store += value.encode() + b"\0"
    return struct.pack(">II", 3, len(store)) + index + store


def ndb(blobs, pages=1, gap=3):
    """Build a file as rpmpkg.c lays it out: header, slot pages, blobs in blocks of 16 bytes with a tail each."""
    slots, body = [], b""
    for number, blob in enumerate(blobs, start=1):
        block = (pages * 4096 + len(body)) // 16
        whole = struct.pack("<4sIII", b"BlbS", number, 0, len(blob)) + blob
        whole += bytes(-len(whole) % 16) + struct.pack("<IIII", 0, len(blob), 0, 0)
        body += whole
        slots += [struct.pack("<4sIII", b"Slot", number, block, len(whole) // 16)]
        slots += [struct.pack("<4sIII", b"Slot", 0, 0, 0)] * gap
    free = struct.pack("<4sIII", b"Slot", 0, 0, 0)
    table = b"".join(slots)
    table += free * ((pages * 4096 - 32 - len(table)) // 16)
    return struct.pack("<4sIII", b"RpmP", 0, 7, pages) + bytes(16) + table + body


def test_databases_that_rpm_and_berkeley_db_wrote():
    assert sorted(rpm_packages(stored("rpmdb.sqlite"))) == [ONE, TWO]
    assert sorted(rpm_packages(stored("Packages"))) == [ONE, ONE, TWO]


def test_berkeley_db_of_the_other_byte_order_is_told_by_its_magic():
    content = bytearray(stored("Packages"))
    content[12:16] = content[12:16][::-1]
    with pytest.raises(DamagedDatabaseError):
        rpm_packages(bytes(content))


@pytest.mark.parametrize("pages", [1, 2])
def test_ndb(pages):
    names = [f"package-{number}" for number in range(20)]
    content = ndb([header(name) for name in names] + [header("gpg-pubkey")], pages)
    assert rpm_packages(content) == [(name, "1-2") for name in names]


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/rpm/rpmdb.sqlite",
        "usr/lib/sysimage/rpm/rpmdb.sqlite",
        "var/lib/rpm/Packages",
        "usr/lib/sysimage/rpm/Packages.db",
    ],
)
def test_every_place_is_read_by_its_content(path):
    assert read_packages(path, ndb([header("bash")])) == (Package(kind="rpm", name="bash", version="1-2"),)
    for damaged in (b"", b"RpmP", b"x" * 5000, b"SQLite format 3\0" + bytes(5000), ndb([b"x"])[:5000]):
        with pytest.raises(NotReadError):
            read_packages(path, damaged)


def test_an_overflow_chain_that_runs_in_a_circle_ends():
    content = bytearray(stored("Packages"))
    size = 4096
    pages = [start for start in range(size, len(content), size) if content[start + 25] == 7]
    for start in pages:
        content[start + 16 : start + 20] = struct.pack("<I", start // size)
    with pytest.raises(DamagedDatabaseError):
        rpm_packages(bytes(content))


@settings(max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["rpmdb.sqlite", "Packages", "ndb"]))
def test_damage_is_a_list_or_a_refusal_and_nothing_else(data, kind):
    content = bytearray(ndb([header("bash"), header("zlib")]) if kind == "ndb" else stored(kind))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        found = rpm_packages(bytes(content[:cut]))
    except DamagedDatabaseError:
        return
    assert all(len(item) == 2 for item in found)
