"""Marks are found in every spelling that is promised, and nowhere else."""

import base64
import gzip
import io
import json
import os
import zipfile
import zlib
from urllib.parse import quote

import pytest

from sandbox.disclosure.errors import DisclosureError, DisclosureRefusedError
from sandbox.disclosure.sentinels import find_traces, make_marks

MARK = "PRCTR7KQ2WZ9XBNM4HVGTD8C3"


def zipped(data, name="a.txt", method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


SPELLINGS = {
    "plain": lambda mark: mark,
    "lower case": lambda mark: mark.lower(),
    "reversed": lambda mark: mark[::-1],
    "json": lambda mark: json.dumps({"x": mark.decode()}).encode(),
    "base64": base64.b64encode,
    "base64 at offset 1": lambda mark: base64.b64encode(b"x" + mark),
    "base64 at offset 2": lambda mark: base64.b64encode(b"xy" + mark + b"z"),
    "base64 behind letters": lambda mark: b"abc" + base64.b64encode(mark),
    "base64 for URLs": lambda mark: base64.urlsafe_b64encode(b"\xff\xfe" + mark),
    "base64 in lines": lambda mark: base64.encodebytes(b"some words before it, so that lines break " + mark),
    "hex": lambda mark: mark.hex().encode(),
    "hex in capitals": lambda mark: mark.hex().upper().encode(),
    "hex at an odd place": lambda mark: b"a" + mark.hex().encode(),
    "hex with colons": lambda mark: mark.hex(":").encode(),
    "utf-16": lambda mark: mark.decode().encode("utf-16-le"),
    "utf-16 big": lambda mark: b"\x00" + mark.decode().encode("utf-16-be"),
    "percent": lambda mark: "".join(f"%{byte:02X}" for byte in mark).encode(),
    "percent in part": lambda mark: quote(mark.decode() + " é").encode().replace(b"K", b"%4B"),
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "gzip behind text": lambda mark: b"some text " + gzip.compress(mark) + b" more",
    "zip": zipped,
    "zip name": lambda mark: zipped(b"nothing", name=mark.decode()),
    "zip of base64 of gzip": lambda mark: zipped(base64.b64encode(gzip.compress(mark))),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_mark_is_found_in_every_spelling(spelling):
    data = b'{"auroc": "0.85", "note": "' + SPELLINGS[spelling](MARK.encode()) + b'"}'
    found = find_traces(data, ["ANOTHERMARK99", MARK])
    assert {trace.mark for trace in found} == {MARK}


def test_what_holds_no_mark_is_clean():
    marks = make_marks(50)
    for data in (
        b"",
        b"0.85",
        os.urandom(20_000),
        base64.b64encode(os.urandom(5_000)),
        zipped(os.urandom(3_000)),
    ):
        assert find_traces(data, marks) == ()


def test_the_spelling_is_told():
    (trace,) = find_traces(zipped(base64.b64encode(MARK.encode())), [MARK])
    assert trace.spelling == "zip, base64"


def test_marks_differ_and_fit_a_dicom_value():
    marks = make_marks(200)
    assert len(set(marks)) == 200
    assert all(mark.isascii() and mark.isalnum() and mark.isupper() and len(mark) <= 64 for mark in marks)


def test_short_marks_are_refused():
    with pytest.raises(DisclosureError, match="at least 6"):
        find_traces(b"x", ["12"])


def test_an_archive_that_cannot_be_read_is_not_cleared():
    data = bytearray(zipped(b"nothing at all, " * 50))
    data[40] ^= 0xFF
    with pytest.raises(DisclosureRefusedError, match="cannot be read in full"):
        find_traces(bytes(data), [MARK])


def test_an_archive_whose_members_lie_before_its_beginning_is_no_crash():
    data = bytearray(zipped(b"nothing at all, " * 50))
    # The offset of the central directory in its end record (APPNOTE 4.3.16), two bytes too large.
    data[-6:-2] = (int.from_bytes(data[-6:-2], "little") + 2).to_bytes(4, "little")
    with pytest.raises(DisclosureRefusedError, match="cannot be read in full"):
        find_traces(bytes(data), [MARK])
    assert find_traces(base64.b64encode(data), [MARK]) == ()


def test_a_bomb_is_refused_before_it_is_unfolded():
    data = zipped(b"\0" * (300 * 2**20))
    with pytest.raises(DisclosureRefusedError, match="unfolds"):
        find_traces(data, [MARK])
