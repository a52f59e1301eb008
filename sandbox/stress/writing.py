"""Write one image as a DICOM file (PS3.10): what nobody touched is copied as it stood, the rest is encoded.

pydicom encodes every element anew and checks the whole file; in a file of 40 elements that costs more than
most perturbations do.
"""

from __future__ import annotations

import io
import struct
import warnings

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_data_element
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from holdout.dicom_writer import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from holdout.view import file_meta
from sandbox.stress.case import Image
from sandbox.stress.undecoded import text_of

_UNDEFINED = 0xFFFFFFFF
_END_OF_SEQUENCE = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_OTHERWISE_ENCODED = frozenset(
    str(syntax) for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def written(image: Image) -> bytes:
    """Give the bytes of the file in the image's transfer syntax."""
    dataset = image.dataset
    sop_class = text_of(dataset, "SOPClassUID") or _SECONDARY_CAPTURE
    instance = text_of(dataset, "SOPInstanceUID") or "2.25.1"
    syntax = image.encode_as or image.syntax
    if syntax not in _OTHERWISE_ENCODED and _as_it_was_read(dataset):
        content = b"".join((bytes(128), b"DICM", file_meta(sop_class, instance, syntax), *_elements(dataset)))
    else:
        content = _encoded(dataset, sop_class, instance, syntax)
    return image.finish(content) if image.finish is not None else content


def _as_it_was_read(dataset: Dataset) -> bool:
    """Whether elements that nobody touched can be copied: same encoding, same character set."""
    given = dataset.get("SpecificCharacterSet")
    characters = convert_encodings(given) if given else default_encoding
    return dataset.original_encoding == (False, True) and dataset.original_character_set == characters


def _elements(dataset: Dataset) -> list[bytes]:
    parts: list[bytes] = []
    characters = dataset.get("SpecificCharacterSet", default_encoding)
    for tag in sorted(dataset.keys()):
        # Group lengths are retired (PS3.5 section 7.2), and wrong once an element changed.
        if tag.group < 8 or tag.element == 0:
            continue
        found = dataset.get_item(tag)
        if isinstance(found, RawDataElement):
            parts += _copied(tag, found.VR or "UN", found.value or b"", found.length == _UNDEFINED)
        elif found.VR in ("OB", "OW") and isinstance(found.value, bytes):
            parts += _copied(tag, found.VR, found.value, found.is_undefined_length)
        else:
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = True, False
            write_data_element(buffer, found, characters)
            parts.append(buffer.getvalue())
    return parts


def _copied(tag: int, vr: str, value: bytes, undefined: bool) -> tuple[bytes, ...]:
    if undefined:
        return _head(tag, vr, _UNDEFINED), value, _END_OF_SEQUENCE
    return _head(tag, vr, len(value)), value


def _head(tag: int, vr: str, length: int) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
    return head + (struct.pack("<HI", 0, length) if vr in _LONG_VRS else struct.pack("<H", length))


def _encoded(dataset: Dataset, sop_class: str, instance: str, syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(instance)
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
