"""The indexed attributes: one table that the reader, the index, search and strata all use.

Keywords, tags and value representations follow the DICOM data dictionary (PS3.6, table 6-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a value means, which decides how it is normalised and how it is stored."""

    UID = "uid"
    IDENTIFIER = "identifier"
    CODE = "code"
    TEXT = "text"
    SEX = "sex"
    AGE = "age"
    DATE = "date"
    NUMBER = "number"
    INTEGER = "integer"
    YES_NO = "yes_no"
    LATERALITY = "laterality"
    COMPRESSION = "compression"


NUMERIC = frozenset({Kind.AGE, Kind.NUMBER, Kind.INTEGER})
"""Kinds whose unusable values are null; every other kind has the text ``unknown`` instead."""

WITHOUT_RAW = frozenset({Kind.UID, Kind.IDENTIFIER, Kind.INTEGER})
"""Kinds that normalisation leaves as they are, so that no raw copy is kept beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One column of the index and where its value comes from.

    ``tags`` are tried in order until one has a usable value; ``component`` picks one of several values.
    ``minimum`` (exclusive when ``positive``) and ``maximum`` bound what is believed.
    """

    column: str
    keyword: str
    tags: tuple[int, ...]
    kind: Kind
    stratum: bool = False
    identifying: bool = False
    component: int | None = None
    positive: bool = False
    maximum: float = 1e15

    @property
    def has_raw(self) -> bool:
        """Whether the value as written is kept beside the normalised one."""
        return self.kind not in WITHOUT_RAW

    @property
    def raw_column(self) -> str:
        """Name of the column with the value as written."""
        return f"{self.column}_raw"


def _uid(column: str, keyword: str, tag: int) -> Attribute:
    return Attribute(column=column, keyword=keyword, tags=(tag,), kind=Kind.UID, identifying=True)


def _code(column: str, keyword: str, tag: int, *, stratum: bool = True) -> Attribute:
    return Attribute(column=column, keyword=keyword, tags=(tag,), kind=Kind.CODE, stratum=stratum)


def _text(column: str, keyword: str, tag: int, *, stratum: bool = True) -> Attribute:
    return Attribute(column=column, keyword=keyword, tags=(tag,), kind=Kind.TEXT, stratum=stratum)


def _number(
    column: str,
    keyword: str,
    tag: int,
    *,
    maximum: float,
    component: int | None = None,
    positive: bool = True,
) -> Attribute:
    return Attribute(
        column=column,
        keyword=keyword,
        tags=(tag,),
        kind=Kind.NUMBER,
        stratum=True,
        component=component,
        positive=positive,
        maximum=maximum,
    )


def _integer(column: str, keyword: str, tag: int, *, stratum: bool = False) -> Attribute:
    return Attribute(column=column, keyword=keyword, tags=(tag,), kind=Kind.INTEGER, stratum=stratum)


ATTRIBUTES: tuple[Attribute, ...] = (
    _uid("sop_class_uid", "SOPClassUID", 0x00080016),
    _uid("sop_instance_uid", "SOPInstanceUID", 0x00080018),
    _uid("study_instance_uid", "StudyInstanceUID", 0x0020000D),
    _uid("series_instance_uid", "SeriesInstanceUID", 0x0020000E),
    _uid("frame_of_reference_uid", "FrameOfReferenceUID", 0x00200052),
    Attribute(
        column="patient_id",
        keyword="PatientID",
        tags=(0x00100020,),
        kind=Kind.IDENTIFIER,
        identifying=True,
    ),
    Attribute(
        column="accession_number",
        keyword="AccessionNumber",
        tags=(0x00080050,),
        kind=Kind.IDENTIFIER,
        identifying=True,
    ),
    Attribute(
        column="study_date",
        keyword="StudyDate",
        tags=(0x00080020,),
        kind=Kind.DATE,
        stratum=True,
        identifying=True,
    ),
    Attribute(
        column="patient_birth_date",
        keyword="PatientBirthDate",
        tags=(0x00100030,),
        kind=Kind.DATE,
        identifying=True,
    ),
    Attribute(column="patient_sex", keyword="PatientSex", tags=(0x00100040,), kind=Kind.SEX, stratum=True),
    Attribute(
        column="patient_age_years", keyword="PatientAge", tags=(0x00101010,), kind=Kind.AGE, stratum=True
    ),
    _code("modality", "Modality", 0x00080060),
    _code("body_part_examined", "BodyPartExamined", 0x00180015),
    _code("view_position", "ViewPosition", 0x00185101),
    _code("patient_position", "PatientPosition", 0x00185100),
    Attribute(
        column="laterality",
        keyword="Laterality",
        # Image Laterality (0020,0062) is what mammography and the DX IODs fill instead of Laterality.
        tags=(0x00200060, 0x00200062),
        kind=Kind.LATERALITY,
        stratum=True,
    ),
    _text("manufacturer", "Manufacturer", 0x00080070),
    _text("manufacturer_model_name", "ManufacturerModelName", 0x00081090),
    _text("software_versions", "SoftwareVersions", 0x00181020),
    _text("institution_name", "InstitutionName", 0x00080080),
    _text("station_name", "StationName", 0x00081010),
    _text("study_description", "StudyDescription", 0x00081030),
    _text("series_description", "SeriesDescription", 0x0008103E),
    _text("protocol_name", "ProtocolName", 0x00181030),
    _text("convolution_kernel", "ConvolutionKernel", 0x00181210),
    _text("contrast_bolus_agent", "ContrastBolusAgent", 0x00180010),
    _number("magnetic_field_strength", "MagneticFieldStrength", 0x00180087, maximum=30),
    _number("kvp", "KVP", 0x00180060, maximum=1000),
    _number("exposure", "Exposure", 0x00181152, maximum=1e6),
    _number("slice_thickness", "SliceThickness", 0x00180050, maximum=1000),
    _number("pixel_spacing_row", "PixelSpacing", 0x00280030, maximum=1000, component=0),
    _number("pixel_spacing_column", "PixelSpacing", 0x00280030, maximum=1000, component=1),
    _number("imager_pixel_spacing_row", "ImagerPixelSpacing", 0x00181164, maximum=1000, component=0),
    _number("imager_pixel_spacing_column", "ImagerPixelSpacing", 0x00181164, maximum=1000, component=1),
    _integer("rows", "Rows", 0x00280010, stratum=True),
    _integer("columns", "Columns", 0x00280011, stratum=True),
    _integer("number_of_frames", "NumberOfFrames", 0x00280008, stratum=True),
    _integer("bits_allocated", "BitsAllocated", 0x00280100),
    _integer("bits_stored", "BitsStored", 0x00280101, stratum=True),
    _integer("samples_per_pixel", "SamplesPerPixel", 0x00280002),
    _integer("pixel_representation", "PixelRepresentation", 0x00280103),
    _code("photometric_interpretation", "PhotometricInterpretation", 0x00280004),
    Attribute(
        column="lossy_image_compression",
        keyword="LossyImageCompression",
        tags=(0x00282110,),
        kind=Kind.COMPRESSION,
        stratum=True,
    ),
    Attribute(
        column="burned_in_annotation",
        keyword="BurnedInAnnotation",
        tags=(0x00280301,),
        kind=Kind.YES_NO,
        stratum=True,
    ),
)

SPECIFIC_CHARACTER_SET = 0x00080005

WANTED_TAGS: frozenset[int] = frozenset(
    {SPECIFIC_CHARACTER_SET, *(tag for attribute in ATTRIBUTES for tag in attribute.tags)}
)
"""Every tag whose value the header reader keeps."""

BY_COLUMN: dict[str, Attribute] = {attribute.column: attribute for attribute in ATTRIBUTES}

EXTRA_STRATA: tuple[str, ...] = ("transfer_syntax_uid",)
"""Columns usable as strata that come from the file meta information, not from the data set."""

STRATUM_COLUMNS: tuple[str, ...] = (
    *(attribute.column for attribute in ATTRIBUTES if attribute.stratum),
    *EXTRA_STRATA,
)
"""Index columns by which results may be broken down."""

FILE_COLUMNS: tuple[str, ...] = (
    "path",
    "size",
    "sha256",
    "status",
    "defect",
    "pixel_sample",
    "preamble",
    "transfer_syntax_uid",
    "patient_age_source",
)
"""Columns about the file as a whole, in front of the attributes; for ``pixel_sample`` see ``pixel_value``."""


def row_columns() -> tuple[str, ...]:
    """Return all columns of the index in order: the file's, then each attribute, its raw value behind it."""
    columns = list(FILE_COLUMNS)
    for attribute in ATTRIBUTES:
        columns.append(attribute.column)
        if attribute.has_raw:
            columns.append(attribute.raw_column)
    return tuple(columns)
