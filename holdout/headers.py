"""One file to one index row: hash of all bytes, sample of the pixel data value, attributes, and what is wrong.

Runs in a bounded child process. The quick walk (``elements``) reads what is plain, pydicom what is odd; both
give the same raw values. Pixels are hashed where they lie and never decoded.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from holdout import normalise, pixel_element
from holdout.attribute_values import attribute_values
from holdout.attributes import ATTRIBUTES, FILE_COLUMNS, WANTED_TAGS, Kind
from holdout.elements import (
    DEFLATED,
    JPIP_DEFLATED,
    Buffer,
    DataSet,
    OddDataSetError,
    declared_encoding,
    ends_inside_element,
    has_prefix,
    walk_data_set,
    walk_file,
    walk_meta,
)
from holdout.functional_groups import FUNCTIONAL_GROUPS, lift_measures
from holdout.listing import Found
from holdout.pixel_value import PixelValue, bytes_at, digest
from holdout.written_values import written

STATUSES = (
    "ok",
    "empty",
    "not_dicom",
    "truncated",
    "unreadable",
    "incomplete",
    "inconsistent",
    "directory",
    "link",
    "not_a_file",
    "timeout",
    "memory",
    "crash",
)
"""The closed set of row states; every one but 'ok' has a sentence in ``defect``."""

Row = tuple[object, ...]
"""Values of one row in the order of ``attributes.row_columns()``."""

READ_AT_ONCE = 8 << 20
_WANTED_TAGS = WANTED_TAGS.union(FUNCTIONAL_GROUPS)
_INTEGERS = tuple(attribute.column for attribute in ATTRIBUTES if attribute.kind is Kind.INTEGER)
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_UID_CHARACTERS = frozenset("0123456789.")
# The IODs fix the modality of these classes (PS3.3 A.3, A.4, A.2, A.21, A.5).
_MODALITY_OF_CLASS = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Bounds for reading one foreign file: address space, wall-clock seconds, bytes after inflating."""

    memory_bytes: int = 2 << 30
    seconds_per_file: float = 120.0
    inflated_bytes: int = 256 << 20


class _DefectError(Exception):
    """The file ends up as a row with this status and sentence, without attributes."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def read_found(folder: str, limits: ReadLimits, found: Found) -> Row:
    """Read one listed file; a link or the like has its row without being opened."""
    if found.status is not None:
        return defect_row(found.path, None, found.status, found.sentence)
    return read_header(folder, found.path, limits)


def read_header(folder: str, path: str, limits: ReadLimits) -> Row:
    """Read one file below ``folder``; never raises for what the file holds."""
    descriptor = -1
    try:
        # No link is followed, and a FIFO does not make the open wait.
        descriptor = os.open(f"{folder}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return defect_row(path, None, "not_a_file", "Not a regular file.")
        if before.st_size == 0:
            return defect_row(path, 0, "empty", "The file has no bytes.", sha256=hashlib.sha256().hexdigest())
        row = _read_open(descriptor, path, before.st_size, limits)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return defect_row(path, after.st_size, "unreadable", "The file changed while it was read.")
        return row
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return defect_row(path, None, "unreadable", f"The file cannot be opened or read: {reason}.")
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def defect_row(path: str, size: int | None, status: str, sentence: str, *, sha256: str | None = None) -> Row:
    """Return the row of a file of which nothing more is known."""
    file_part = (path, size, sha256, status, sentence, None, False, normalise.UNKNOWN, normalise.UNKNOWN)
    return (*file_part, *attribute_values(None)[0])


def pixel_sha256(folder: str, limits: ReadLimits, path: str) -> str | None:
    """SHA-256 (hex) of the pixel data value of a file that ``read_header`` reads; None when it has none whole.

    Raises:
        OSError: the file cannot be opened or read.
        ValueError: it cannot be read as a data set (any more).
    """
    descriptor = os.open(f"{folder}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        with _contents(descriptor, size, limits) as buffer:
            found = _examined(buffer, descriptor, size, limits)
            value = found.pixel_value(buffer, descriptor)
            return None if value is None else value.sha256()
    except _DefectError as error:
        raise ValueError(error.sentence) from error
    finally:
        os.close(descriptor)


@contextmanager
def _contents(descriptor: int, size: int, limits: ReadLimits) -> Iterator[Buffer]:
    if size <= READ_AT_ONCE:
        yield os.pread(descriptor, size, 0)
        return
    # Larger files are mapped, so that pixels are never held; the header of a giant must lie near its start.
    with mmap.mmap(descriptor, min(size, limits.memory_bytes // 2), prot=mmap.PROT_READ) as mapped:
        yield mapped


def _read_open(descriptor: int, path: str, size: int, limits: ReadLimits) -> Row:
    with _contents(descriptor, size, limits) as buffer:
        if isinstance(buffer, bytes) and len(buffer) != size:
            return defect_row(path, size, "unreadable", "The file changed while it was read.")
        return _row(buffer, descriptor, path, size, limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examined:
    """A data set that was read: its attributes, and what its pixel data element was found to be.

    ``data`` are the bytes in which the pixels lie: those of the file, or what a deflated file inflates to.
    """

    data_set: DataSet
    data: Buffer
    odd: OddDataSetError | None
    syntax: str
    attributes: list[object]
    named: dict[str, object]
    finding: pixel_element.PixelFinding | None

    def pixel_value(self, buffer: Buffer, descriptor: int) -> PixelValue | None:
        """Where the pixel data value lies; None when there is none, or its end is missing."""
        if self.data_set.pixel is None or self.finding is None or self.finding.length is None:
            return None
        return PixelValue(
            data=self.data,
            descriptor=descriptor if self.data is buffer else None,
            start=self.data_set.pixel.start,
            length=self.finding.length,
        )


def _examined(buffer: Buffer, descriptor: int, size: int, limits: ReadLimits) -> _Examined:
    data_set, data, odd = _data_set(buffer, descriptor, size, limits)
    syntax = normalise.identifier(data_set.meta.get(0x00020010))
    attributes, named = attribute_values(data_set)
    finding = None
    if data_set.pixel is not None:
        numbers = {name: value if isinstance(value := named[name], int) else None for name in _INTEGERS}
        finding = pixel_element.examine(
            data_set.pixel,
            size if data is buffer else len(data),
            bytes_at(data, descriptor if data is buffer else None),
            transfer_syntax_uid=syntax,
            numbers=numbers,
            photometric_interpretation=str(named["photometric_interpretation"]),
            big_endian=data_set.big_endian,
        )
    return _Examined(
        data_set=data_set,
        data=data,
        odd=odd,
        syntax=syntax,
        attributes=attributes,
        named=named,
        finding=finding,
    )


def _row(buffer: Buffer, descriptor: int, path: str, size: int, limits: ReadLimits) -> Row:
    sha256 = digest(buffer, descriptor, 0, size)
    try:
        found = _examined(buffer, descriptor, size, limits)
    except _DefectError as error:
        return defect_row(path, size, error.status, error.sentence, sha256=sha256)
    defect = _header_defect(found.data_set, found.named, found.odd)
    value = found.pixel_value(buffer, descriptor)
    if value is not None and defect is None:
        defect = _defect_behind(found, value)
    of_pixels = None if found.finding is None else found.finding.defect
    if of_pixels is not None and (defect is None or of_pixels[0] == "truncated"):
        defect = of_pixels
    status, sentence = defect or ("ok", None)
    sample = None if value is None else value.sample()
    preamble = has_prefix(buffer) and any(buffer[:128])
    source_of_age = _age_source(found.named)
    file_part = (path, size, sha256, status, sentence, sample, preamble, found.syntax, source_of_age)
    return (*file_part, *found.attributes)


def _defect_behind(found: _Examined, value: PixelValue) -> tuple[str, str] | None:
    pixel, data_set = found.data_set.pixel, found.data_set
    if pixel is None or pixel.length is None:
        return None
    end = value.start + value.length
    if ends_inside_element(found.data, end, implicit=data_set.implicit, big_endian=data_set.big_endian):
        return "truncated", "The data set ends inside an element behind the pixel data."
    return None


def _age_source(named: dict[str, object]) -> str:
    if named["patient_age_years"] is None:
        return normalise.UNKNOWN
    return "birth_date" if named["age_from_birth_date"] else "attribute"


def _data_set(
    buffer: Buffer, descriptor: int, size: int, limits: ReadLimits
) -> tuple[DataSet, Buffer, OddDataSetError | None]:
    """Read the data set; return it, the bytes in which its pixels lie, and what the quick walk minded."""
    try:
        walked = walk_file(buffer, _WANTED_TAGS)
        lift_measures(walked.values, implicit=walked.implicit, big_endian=walked.big_endian)
        return walked, buffer, None
    except OddDataSetError as error:
        odd = error
    inflated = _inflated(buffer, size, limits)
    # Importing pydicom takes as long as reading a thousand plain files, which never need it.
    from holdout import pydicom_reader

    try:
        if inflated is not None:
            meta, data = inflated
            try:
                values, pixel = walk_data_set(data, 0, _WANTED_TAGS, implicit=False, big_endian=False)
                lift_measures(values, implicit=False, big_endian=False)
            except OddDataSetError as error:
                return pydicom_reader.read_inflated(data, meta, _WANTED_TAGS), data, error
            return (
                DataSet(meta=meta, values=values, pixel=pixel, big_endian=False, implicit=False),
                data,
                None,
            )
        stream: BinaryIO
        with BytesIO(buffer) if isinstance(buffer, bytes) else os.fdopen(os.dup(descriptor), "rb") as stream:
            stream.seek(0)
            data_set = pydicom_reader.read_file(stream, _WANTED_TAGS)
    except MemoryError:
        raise
    except Exception as error:
        # Broken files make pydicom raise almost anything: a row says so, and the ingest goes on.
        if not has_prefix(buffer):
            raise _DefectError("not_dicom", "No DICM prefix, and the bytes are no data set.") from error
        status = "truncated" if odd.past_end or isinstance(error, EOFError) else "unreadable"
        sentence = f"The data set cannot be read: {odd} ({type(error).__name__})."
        raise _DefectError(status, sentence) from error
    if not has_prefix(buffer) and not _is_plausible(data_set):
        raise _DefectError("not_dicom", "No DICM prefix, and the bytes are no data set.")
    return data_set, buffer, odd


def _is_plausible(data_set: DataSet) -> bool:
    """Whether bytes without the DICM prefix are a data set: pydicom reads any bytes when it must."""
    for tag in (0x00080016, 0x00080018, 0x0020000D):
        text = written(data_set.values, tag, big_endian=data_set.big_endian)
        if text and "." in text and set(text) <= _UID_CHARACTERS:
            return True
    # ACR-NEMA files, DICOM's forerunner, have no UIDs but a modality and an image.
    modality = written(data_set.values, 0x00080060, big_endian=data_set.big_endian)
    return normalise.code(modality) != normalise.UNKNOWN and 0x00280010 in data_set.values


def _inflated(buffer: Buffer, size: int, limits: ReadLimits) -> tuple[dict[int, str], bytes] | None:
    """Inflate a deflated data set within its bound; None when the file is not deflated."""
    if not has_prefix(buffer):
        return None
    try:
        meta, start = walk_meta(buffer)
    except OddDataSetError:
        return None
    if meta.get(0x00020010) not in (DEFLATED, JPIP_DEFLATED):
        return None
    if len(buffer) < size:
        raise _DefectError("memory", "A deflated file too large to be inflated within the limit.")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(buffer[start:], limits.inflated_bytes)
    except zlib.error as error:
        raise _DefectError("unreadable", "The deflated data set is damaged.") from error
    if inflater.unconsumed_tail:
        sentence = f"Inflates to more than {limits.inflated_bytes >> 20} MiB."
        raise _DefectError("memory", sentence)
    if not inflater.eof:
        raise _DefectError("truncated", "The deflated data set ends early.")
    return meta, data


def _header_defect(
    data_set: DataSet, named: dict[str, object], odd: OddDataSetError | None
) -> tuple[str, str] | None:
    meta, unknown = data_set.meta, normalise.UNKNOWN
    syntax = meta.get(0x00020010, "")
    if odd is not None and odd.past_end:
        return "truncated", f"The data set {odd}."
    if meta.get(0x00020002) == _MEDIA_DIRECTORY:
        return "directory", "A DICOMDIR: a list of files, not an instance."
    if not syntax:
        return "incomplete", "No Transfer Syntax UID; how the data set is encoded can only be guessed."
    for column, name in (("sop_class_uid", "SOP Class UID"), ("sop_instance_uid", "SOP Instance UID")):
        if named[column] == unknown:
            return "incomplete", f"No {name} in the data set."
    if data_set.pixel is None and named["bits_allocated"] is not None:
        return "incomplete", "An image without pixel data."
    encoding = (data_set.implicit, data_set.big_endian)
    if odd is not None and encoding != declared_encoding(syntax):
        return "inconsistent", "The data set is not encoded as its transfer syntax says."
    if odd is not None and odd.unknown_vr:
        return "inconsistent", "An element has an unknown VR; what follows it is read by guess."
    for tag, column, name in (
        (0x00020002, "sop_class_uid", "SOP Class UID"),
        (0x00020003, "sop_instance_uid", "SOP Instance UID"),
    ):
        if tag in meta and normalise.identifier(meta[tag]) != named[column]:
            return "inconsistent", f"{name} differs between file meta information and data set."
    modality = _MODALITY_OF_CLASS.get(str(named["sop_class_uid"]))
    if modality is not None and named["modality"] not in (modality, unknown):
        return "inconsistent", f"The SOP class is for modality {modality}, but Modality says otherwise."
    return None


assert len(FILE_COLUMNS) == 9, "the file part of a row is written out in this module"
