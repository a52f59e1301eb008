"""The reader of record for everything odd: pydicom, giving the same raw values as the quick walk."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from io import BytesIO
from typing import Any, BinaryIO

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from holdout.elements import (
    PIXEL_MEASURES,
    PIXEL_TAGS,
    UNDEFINED,
    DataSet,
    PixelElement,
    Values,
)
from holdout.functional_groups import FUNCTIONAL_GROUPS, MEASURES

_META = {0x00020002: "MediaStorageSOPClassUID", 0x00020003: "MediaStorageSOPInstanceUID"}
_META[0x00020010] = "TransferSyntaxUID"


def read_file(stream: BinaryIO, wanted: Collection[int]) -> DataSet:
    """Read the header of a file with pydicom, by force.

    Raises:
        Exception: whatever pydicom raises; broken files make it raise almost anything.
    """
    with warnings.catch_warnings():
        # What pydicom warns of is found again by the checks, or does not matter to the index.
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=sorted(wanted))
        meta = {
            tag: text
            for tag, keyword in _META.items()
            if (text := _joined(dataset.file_meta.get(keyword)).rstrip(" \0"))
        }
        values = _raw_values(dataset, wanted)
    implicit, little = dataset.original_encoding
    big_endian = not (True if little is None else little)
    really_implicit = _really_implicit(dataset, bool(implicit))
    pixel = _pixel_element(stream, implicit=really_implicit, big_endian=big_endian)
    return DataSet(meta=meta, values=values, pixel=pixel, big_endian=big_endian, implicit=really_implicit)


def read_inflated(data: bytes, meta: dict[int, str], wanted: Collection[int]) -> DataSet:
    """Read an inflated data set (explicit VR little endian) that the quick walk found odd."""
    stream = BytesIO(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.filereader.read_dataset(
            stream, False, True, stop_when=lambda tag, *_: tag in PIXEL_TAGS, specific_tags=sorted(wanted)
        )
        values = _raw_values(dataset, wanted)
    pixel = _pixel_element(stream, implicit=False, big_endian=False)
    return DataSet(meta=meta, values=values, pixel=pixel, big_endian=False, implicit=False)


def _raw_values(dataset: Dataset, wanted: Collection[int]) -> Values:
    values: Values = {}
    for tag in wanted:
        _keep(values, dataset, tag)
    groups = [tag for tag in FUNCTIONAL_GROUPS if tag in wanted and tag in dataset]
    for tag in groups:
        values.pop(tag, None)
        try:
            measures = dataset[tag].value[0][PIXEL_MEASURES].value[0]
        except MemoryError:
            raise
        except Exception:  # noqa: S112
            # Broken sequences make pydicom raise almost anything; without groups the row is still sound.
            continue
        for measure in MEASURES - values.keys():
            _keep(values, measures, measure)
    return values


def _keep(values: Values, dataset: Dataset, tag: int) -> None:
    """Put the raw value of an element, when it is there and no sequence, into ``values``."""
    if tag not in dataset:
        return
    element: Any = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        values[tag] = (element.VR or "", element.value if isinstance(element.value, bytes) else b"")
    elif isinstance(element, DataElement) and not isinstance(element.value, Sequence):
        # pydicom has converted the character set already, to know how to read the rest.
        values[tag] = (str(element.VR), _joined(element.value).encode("utf-8", "replace"))


def _joined(value: Any) -> str:
    parts = value if isinstance(value, list | MultiValue) else [value]
    return "\\".join("" if part is None else str(part) for part in parts)


def _really_implicit(dataset: Dataset, declared: bool) -> bool:
    for element in dataset.values():
        if isinstance(element, RawDataElement):
            return bool(element.is_implicit_VR)
    return declared


def _pixel_element(stream: BinaryIO, *, implicit: bool, big_endian: bool) -> PixelElement | None:
    """Parse the element header at which pydicom stopped."""
    found: list[PixelElement] = []

    def stop(tag: int, _: str | None, length: int) -> bool:
        if tag in PIXEL_TAGS:
            found.append(
                PixelElement(
                    tag=int(tag), start=stream.tell(), length=None if length == UNDEFINED else length
                )
            )
        return True

    try:
        list(data_element_generator(stream, implicit, not big_endian, stop_when=stop))
    except MemoryError:
        raise
    except Exception:
        # Broken elements make pydicom raise almost anything; then there is no pixel data element to be found.
        return None
    return found[0] if found else None
