"""Build the container's view of one DICOM file: a new file from the allow-list, nothing else carried over.

New preamble (zeros), new file meta, keyed UIDs, a pseudonym for name and ID, dates empty, descriptions
absent, the de-identification codes (PS3.15 annex E, CID 7050) written, pixel data copied without decoding.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pydicom

from holdout import pixel_copy, pydicom_reader
from holdout.byte_order import ByteOrderError, as_little_endian
from holdout.dicom_writer import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from holdout.elements import (
    DEFLATED,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    DataSet,
    OddDataSetError,
    walk_data_set,
    walk_file,
    walk_meta,
)
from holdout.pixel_element import native_length
from holdout.uids import keyed_uid
from holdout.view_attributes import (
    DESCRIPTORS,
    DEVICE_IDENTITY,
    ENCAPSULATED_SYNTAXES,
    IMAGE,
    NAMEABLE,
    PATIENT_CHARACTERISTICS,
    SEQUENCES,
    STAGED_SOP_CLASSES,
    STAGED_TRANSFER_SYNTAXES,
    Branch,
    Rule,
    required_empty,
)
from holdout.view_values import Vocabulary, element, passed, sequence

SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
STUDY, SERIES, FRAME_OF_REFERENCE = 0x0020000D, 0x0020000E, 0x00200052
INSTANCE_NUMBER = 0x00200013
PIXEL_DATA = 0x7FE00010
PIXEL_REPRESENTATION = 0x00280103
LARGEST_INFLATED = 400_000_000
METHOD = "Proctor allow-list view"
_SIGNED_LIKE_PIXELS = frozenset({0x00280120, 0x00280121})
_IMAGE_BY_TAG = {rule.tag: rule for rule in IMAGE}
_IDENTITY_TAGS = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, FRAME_OF_REFERENCE, INSTANCE_NUMBER})
_NUMBERS = {
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "samples_per_pixel": 0x00280002,
}


class ViewError(ValueError):
    """The view of a file cannot be built; ``code`` is from the closed set of staging failures."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPlan:
    """What every view of a run shows beside image, pixels and geometry.

    ``attributes`` are keywords of acquisition attributes that the protocol names; ``vocabulary`` the values
    that its texts may have.
    """

    attributes: tuple[str, ...] = ()
    vocabulary: Vocabulary = field(default_factory=dict)
    drop_notes: bool = True

    def rules(self) -> dict[int, Rule]:
        """Every top-level attribute that may pass, by tag."""
        return _IMAGE_BY_TAG | {NAMEABLE[keyword].tag: NAMEABLE[keyword] for keyword in self.attributes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source file, walked: raw values of what may pass, and where its pixel data are."""

    content: bytes
    dataset: DataSet
    syntax: str
    header_end: int

    def text(self, tag: int) -> str:
        """Value of a UID or number in text form; '' when absent."""
        raw = self.dataset.values.get(tag, ("", b""))[1]
        return raw.decode("ascii", "replace").strip(" \0")


def read_source(content: bytes, rules: Mapping[int, Rule]) -> Source:
    """Walk a source file.

    Raises:
        ViewError: not DICOM, or of a class or encoding that cannot be shown.
    """
    wanted = rules.keys() | _IDENTITY_TAGS
    try:
        dataset = walk_file(content, wanted)
        if dataset.big_endian:
            content = _little_endian(content, dataset)
            dataset = walk_file(content, wanted)
    except OddDataSetError:
        content, dataset = _read_odd(content, wanted)
    if SOP_CLASS not in dataset.values:
        raise ViewError("not_dicom")
    # Old files have no file meta information; how they are encoded was then seen, not said.
    syntax = dataset.meta.get(0x00020010) or (IMPLICIT_LITTLE if dataset.implicit else EXPLICIT_LITTLE)
    if dataset.big_endian or syntax not in STAGED_TRANSFER_SYNTAXES:
        raise ViewError("transfer_syntax_unsupported")
    if dataset.pixel is None:
        raise ViewError("no_pixel_data")
    if dataset.pixel.tag != PIXEL_DATA:
        raise ViewError("transfer_syntax_unsupported")
    source = Source(content=content, dataset=dataset, syntax=syntax, header_end=dataset.pixel.start)
    if source.text(SOP_CLASS) not in STAGED_SOP_CLASSES:
        raise ViewError("sop_class_unsupported")
    return source


def _little_endian(content: bytes, dataset: DataSet) -> bytes:
    """Turn a big endian file around, so that everything else meets one byte order only."""
    raw = dataset.values.get(_NUMBERS["bits_allocated"], ("US", b""))[1]
    try:
        if dataset.pixel is None:
            raise ViewError("no_pixel_data")
        return as_little_endian(
            content, walk_meta(content)[1], dataset.pixel, bits_allocated=int.from_bytes(raw, "big")
        )
    except ByteOrderError as exc:
        raise ViewError("transfer_syntax_unsupported") from exc


def _read_odd(content: bytes, wanted: Any) -> tuple[bytes, DataSet]:
    """Read what the quick walk does not take responsibility for: deflated files, and oddities by pydicom."""
    try:
        meta, start = walk_meta(content)
        if meta.get(0x00020010) == DEFLATED:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            inflated = inflater.decompress(content[start:], LARGEST_INFLATED)
            if inflater.unconsumed_tail:
                raise ViewError("too_large")
            values, pixel = walk_data_set(inflated, 0, wanted, implicit=False, big_endian=False)
            return inflated, DataSet(meta=meta, values=values, pixel=pixel, big_endian=False, implicit=False)
    except (OddDataSetError, zlib.error):
        pass
    try:
        return content, pydicom_reader.read_file(io.BytesIO(content), wanted)
    except ViewError:
        raise
    except Exception as exc:
        # Broken files make pydicom raise almost anything.
        raise ViewError("not_dicom") from exc


def build(
    source: Source, plan: ViewPlan, *, rules: Mapping[int, Rule], case_key: bytes, pseudonym: str, number: int
) -> bytes:
    """Build the bytes of the staged file; ``number`` is its Instance Number within the case.

    UIDs are HMACs under ``case_key``: consistent within the case, not across cases.

    Raises:
        ViewError: pixel data that do not fit the header.
    """
    values = source.dataset.values
    sop_class = source.text(SOP_CLASS)
    instance = keyed_uid(case_key, "instance", source.text(SOP_INSTANCE))
    written: dict[int, bytes] = {tag: element(tag, vr, b"") for tag, vr in required_empty(sop_class)}
    numbers: dict[int, bytes] = {}
    signed = values.get(PIXEL_REPRESENTATION, ("", b""))[1] == b"\1\0"
    for tag, rule in rules.items():
        given = values.get(tag)
        if given is None:
            continue
        value = passed(rule, given[1], given[0], plan.vocabulary)
        if value is None:
            continue
        vr = "SS" if tag in _SIGNED_LIKE_PIXELS and signed else rule.vr
        written[tag] = element(tag, vr, value)
        numbers[tag] = value
    written |= _identity(source, case_key, pseudonym, number, sop_class, instance)
    written |= _handling(plan)
    written |= _sequences(source)
    syntax = source.syntax if source.syntax in ENCAPSULATED_SYNTAXES else EXPLICIT_LITTLE
    pixels = _pixels(source, numbers, plan)
    return b"".join(
        (
            bytes(128),
            b"DICM",
            file_meta(sop_class, instance, syntax),
            *(written[tag] for tag in sorted(written)),
            pixels,
        )
    )


def _identity(
    source: Source, case_key: bytes, pseudonym: str, number: int, sop_class: str, instance: str
) -> dict[int, bytes]:
    def uid(tag: int, kind: str) -> bytes:
        return element(tag, "UI", keyed_uid(case_key, kind, source.text(tag)).encode("ascii"))

    name = pseudonym.encode("ascii")
    written = {
        SOP_CLASS: element(SOP_CLASS, "UI", sop_class.encode("ascii")),
        SOP_INSTANCE: element(SOP_INSTANCE, "UI", instance.encode("ascii")),
        0x00100010: element(0x00100010, "PN", name),
        0x00100020: element(0x00100020, "LO", name),
        STUDY: uid(STUDY, "study"),
        SERIES: uid(SERIES, "series"),
        INSTANCE_NUMBER: element(INSTANCE_NUMBER, "IS", str(number).encode("ascii")),
    }
    if source.text(FRAME_OF_REFERENCE):
        written[FRAME_OF_REFERENCE] = uid(FRAME_OF_REFERENCE, "frame of reference")
    return written


def _code(value: str, meaning: str) -> bytes:
    return (
        element(0x00080100, "SH", value.encode("ascii"))
        + element(0x00080102, "SH", b"DCM")
        + element(0x00080104, "LO", meaning.encode("ascii"))
    )


def _handling(plan: ViewPlan) -> dict[int, bytes]:
    """De-identification as it was done, in the standard's own codes (CID 7050)."""
    codes = [_code("113100", "Basic Application Confidentiality Profile")]
    named = set(plan.attributes)
    if named & PATIENT_CHARACTERISTICS:
        codes.append(_code("113108", "Retain Patient Characteristics Option"))
    if named & DEVICE_IDENTITY:
        codes.append(_code("113109", "Retain Device Identity Option"))
    if named & DESCRIPTORS:
        codes.append(_code("113105", "Clean Descriptors Option"))
    return {
        0x00120062: element(0x00120062, "CS", b"YES"),
        0x00120063: element(0x00120063, "LO", METHOD.encode("ascii")),
        0x00120064: sequence(0x00120064, codes),
        0x00280303: element(0x00280303, "CS", b"REMOVED"),
    }


def file_meta(sop_class: str, instance: str, syntax: str) -> bytes:
    """Write the file meta information (PS3.10 section 7.1) of an object."""
    body = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", sop_class.encode("ascii"))
        + element(0x00020003, "UI", instance.encode("ascii"))
        + element(0x00020010, "UI", syntax.encode("ascii"))
        + element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii"))
        + element(0x00020013, "SH", IMPLEMENTATION_VERSION.encode("ascii"))
    )
    return element(0x00020000, "UL", struct.pack("<I", len(body))) + body


def _pixels(source: Source, values: Mapping[int, bytes], plan: ViewPlan) -> bytes:
    pixel = source.dataset.pixel
    assert pixel is not None
    numbers: dict[str, int | None] = {
        name: int.from_bytes(values[tag], "little") if tag in values else None
        for name, tag in _NUMBERS.items()
    }
    frames = int(values.get(0x00280008, b"1"))
    numbers["number_of_frames"] = frames
    if None in numbers.values() or frames < 1:
        raise ViewError("pixel_data_inconsistent")
    try:
        if source.syntax in ENCAPSULATED_SYNTAXES:
            if pixel.length is not None:
                raise ViewError("pixel_data_inconsistent")
            return pixel_copy.encapsulated(source.content, pixel.start, frames, drop_notes=plan.drop_notes)
        photometric = values.get(0x00280004, b"").decode("ascii")
        expected = native_length(numbers, photometric)
        if pixel.length is None or not expected or not photometric:
            raise ViewError("pixel_data_inconsistent")
        bits = numbers["bits_allocated"] or 0
        return pixel_copy.native(source.content, pixel.start, pixel.length, expected, bits)
    except pixel_copy.PixelCopyError as exc:
        raise ViewError(str(exc)) from exc


def _sequences(source: Source) -> dict[int, bytes]:
    """Rebuild the allowed sequences that the source has."""
    header = source.content[: source.header_end]
    here = [tag for tag in SEQUENCES if header.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF)) >= 0]
    if not here:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _rebuilt(source, here)


def _rebuilt(source: Source, here: list[int]) -> dict[int, bytes]:
    header = source.content[: source.header_end]
    try:
        if source.syntax == DEFLATED:
            dataset = pydicom.filereader.read_dataset(io.BytesIO(header), False, True, specific_tags=here)
        else:
            dataset = pydicom.dcmread(
                io.BytesIO(source.content), stop_before_pixels=True, force=True, specific_tags=list(here)
            )
        implicit = source.syntax == IMPLICIT_LITTLE
        return {
            tag: sequence(tag, [_item(item, SEQUENCES[tag], implicit) for item in dataset[tag].value])
            for tag in here
            if tag in dataset and dataset[tag].VR == "SQ" and dataset[tag].value
        }
    except Exception as exc:
        # Broken sequences make pydicom raise almost anything.
        raise ViewError("value_refused") from exc


def _item(dataset: Any, allowed: Branch, implicit: bool) -> bytes:
    parts: list[bytes] = []
    for tag in sorted(allowed):
        if tag not in dataset:
            continue
        rule = allowed[tag]
        if not isinstance(rule, Rule):
            nested = dataset[tag]
            if nested.VR == "SQ":
                parts.append(sequence(tag, [_item(item, rule, implicit) for item in nested.value]))
            continue
        given = dataset.get_item(tag)
        raw = given.value if isinstance(given.value, bytes) else None
        if raw is None:
            continue
        value = passed(rule, raw, "" if implicit or not given.VR else str(given.VR), {})
        if value is not None:
            parts.append(element(tag, rule.vr, value))
    return b"".join(parts)
