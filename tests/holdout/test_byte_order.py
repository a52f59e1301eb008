"""Big endian files are staged as little endian, and what pydicom shows of either is the same."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from holdout.byte_order import ByteOrderError, as_little_endian
from holdout.elements import PixelElement, walk_file, walk_meta
from holdout.view import ViewError
from tests.holdout import zoo
from tests.holdout.view_files import base_file, lenient, view


def big_endian(array: np.ndarray[Any, Any], vr: str, *, undefined: bool = False) -> bytes:
    """A file whose pixel data have this VR, with values of every width, on top and nested."""
    with lenient():
        dataset = pydicom.dcmread(BytesIO(base_file()))
        dataset.Rows, dataset.Columns = array.shape[:2]
        dataset.BitsAllocated = dataset.BitsStored = array.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.SamplesPerPixel = 1
        item, inner = Dataset(), Dataset()
        for place in (dataset, item, inner):
            place.add(DataElement(0x00091002, "UL", 0x01020304))
            place.add(DataElement(0x00091003, "FD", [1.5, -2.25]))
            place.add(DataElement(0x00091004, "AT", [0x00100020, 0x00081030]))
            place.add(DataElement(0x00091005, "SS", -2))
            place.add(DataElement(0x00091006, "UV", 2**40 + 1))
            place.add(DataElement(0x00091007, "LO", "text"))
            place.is_undefined_length_sequence_item = undefined
        item.add(DataElement(0x00091008, "SQ", Sequence([inner, Dataset()])))
        dataset.add(DataElement(0x00091008, "SQ", Sequence([item])))
        for place in (dataset, item):
            place[0x00091008].is_undefined_length = undefined
        value = array.astype(array.dtype.newbyteorder(">")).tobytes()
        if vr == "OW" and array.itemsize == 1:
            # Two samples share a word, whose more significant byte comes first (PS3.5, annex D.1).
            value = np.frombuffer(value, "<u2").byteswap().tobytes()
        dataset.add(DataElement(0x7FE00010, vr, value))
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False)
    return buffer.getvalue()


def turned(content: bytes) -> bytes:
    walked = walk_file(content, {0x00280100})
    assert walked.pixel is not None
    bits = int.from_bytes(walked.values[0x00280100][1], "big")
    return as_little_endian(content, walk_meta(content)[1], walked.pixel, bits)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    ("kind", "vr"), [("u1", "OB"), ("u1", "OW"), ("u2", "OW"), ("i2", "OW"), ("u4", "OW")]
)
def test_every_value_and_every_pixel_is_the_same(kind: str, vr: str, undefined: bool) -> None:
    array = np.random.default_rng(1).integers(0, 100, (6, 7)).astype(kind)
    array[0, 0] = 255 if kind == "u1" else 256
    content = big_endian(array, vr, undefined=undefined)
    little = pydicom.dcmread(BytesIO(turned(content)))
    assert little.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(little.pixel_array, array)
    del little.PixelData
    big = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
    assert len(big) > 40
    assert little == big
    assert little[0x00091008].value[0][0x00091008].value[0][0x00091006].value == 2**40 + 1


def test_big_endian_is_staged_like_the_same_file_in_little_endian() -> None:
    array = np.arange(42, dtype=np.uint16).reshape(6, 7)
    content = big_endian(array, "OW")
    staged = view(content)
    assert staged == view(turned(content))
    assert pydicom.dcmread(BytesIO(staged)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(pydicom.dcmread(BytesIO(staged)).pixel_array, array)


def test_what_does_not_fit_is_refused() -> None:
    content = big_endian(np.zeros((6, 7), np.uint16), "OW")
    # The nested text claims to be longer than the rest of the header.
    spoiled = content[::-1].replace(b"LO\x00\x04"[::-1], b"LO\xff\xf0"[::-1], 2)[::-1]
    assert spoiled != content
    with pytest.raises(ViewError, match="transfer_syntax_unsupported"):
        view(spoiled)
    with pytest.raises(ByteOrderError):
        as_little_endian(content, 0, PixelElement(tag=0x7FE00010, start=200, length=None), 16)


@zoo.needs_zoo
def test_real_big_endian_images_keep_their_pixels() -> None:
    outcomes: Counter[str] = Counter()
    for entry in zoo.manifest():
        if entry["kind"] != "real" or entry["transfer_syntax_uid"] != ExplicitVRBigEndian:
            continue
        content = (zoo.ZOO / entry["file"]).read_bytes()
        try:
            staged = view(content)
        except ViewError as error:
            outcomes[error.code] += 1
            continue
        with lenient():
            before, after = pydicom.dcmread(BytesIO(content)), pydicom.dcmread(BytesIO(staged))
            assert np.array_equal(before.pixel_array, after.pixel_array), entry["file"]
        outcomes["staged"] += 1
    # A DICOMDIR is no image; segmentations and the like are not staged in any transfer syntax.
    assert set(outcomes) <= {"staged", "sop_class_unsupported", "no_pixel_data", "not_dicom"}
    assert outcomes["staged"] >= 5, outcomes
