"""The declaration of how a folder of images with a metadata table becomes DICOM (MAPPING.yaml).

A value comes from a column of the table (``age: age`` or ``sex: {column: sex, values: {male: M}}``) or is
the same for all rows (``body_part: {value: CHEST}``). What is not mapped is absent from the DICOM files; it
is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from holdout.errors import MappingError
from holdout.yamlfile import Where, mistakes_error, read_yaml, validate

ObjectKind = Literal["CR", "DX", "VL"]
"""CR: Computed Radiography; DX: Digital X-Ray, for presentation; VL: VL Photographic Image."""

LABEL_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Model):
    """Where one value comes from: a column (optionally translated by ``values``), or a constant ``value``.

    With ``values``, a cell that is not listed counts as unknown; without, the cell's text is taken as it is.
    ``unknown`` lists further texts that mean "not known".
    """

    column: str | None = None
    value: str | None = None
    values: dict[str, str] | None = None
    unknown: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        if self.value is not None and (self.values or self.unknown):
            raise ValueError("a constant value takes neither 'values' nor 'unknown'")
        return self

    def read(self, row: Mapping[str, str]) -> str | None:
        """Read the value from one row of the table; None where it is not known."""
        if self.column is None:
            return self.value
        text = row[self.column].strip()
        if not text or text in self.unknown:
            return None
        return text if self.values is None else self.values.get(text)


def _short_form(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


Value = Annotated[Source, BeforeValidator(_short_form)]


class StudyDate(_Model):
    """A date column (``format`` as in strptime), or days counted from ``base`` (an offset column)."""

    column: str
    format: str | None = None
    base: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")

    @model_validator(mode="after")
    def _one_reading(self) -> Self:
        if (self.format is None) == (self.base is None):
            raise ValueError("give either a format (the column holds dates) or a base (it holds days)")
        return self


class PixelSpacing(_Model):
    """Millimetres between rows and between columns; scaled when the image was resized from the original."""

    row: Value
    column: Value
    original_rows: str | None = None
    original_columns: str | None = None

    @model_validator(mode="after")
    def _both_sizes(self) -> Self:
        if (self.original_rows is None) != (self.original_columns is None):
            raise ValueError("give both original_rows and original_columns, or neither")
        return self


class Label(_Model):
    """A binary label: which texts of ``column`` mean positive and which negative."""

    column: str
    positive: tuple[str, ...] = Field(default=("1",), min_length=1)
    negative: tuple[str, ...] = Field(default=("0",), min_length=1)

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        both = set(self.positive) & set(self.negative)
        if both:
            raise ValueError(f"{sorted(both)} cannot mean positive and negative at once")
        return self


class MaskColumn(_Model):
    """A mask: ``column`` names its file, relative to the image folder; an empty cell means that there is none."""

    column: str


class Truth(_Model):
    """How the reference standard was established."""

    method: Value
    readers: Value | None = None
    date: Value | None = None


class ImageMapping(_Model):
    """MAPPING.yaml: an image folder with a metadata table, as DICOM."""

    proctor: Literal["mapping/1"]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    title: str = Field(min_length=1, max_length=200)
    licence: str = Field(default="", max_length=500)
    table: str
    object: ObjectKind
    file: str
    patient: str
    study: str | None = None
    """Column that tells the studies of one patient apart; without it every image is a study of its own."""
    study_date: StudyDate | None = None
    study_description: Value | None = None
    age: Value | None = None
    """Age in years."""
    sex: Value | None = None
    view: Value | None = None
    body_part: Value | None = None
    laterality: Value | None = None
    institution: Value | None = None
    manufacturer: Value | None = None
    model: Value | None = None
    pixel_spacing: PixelSpacing | None = None
    labels: dict[Annotated[str, Field(pattern=LABEL_NAME)], Label] = Field(min_length=1)
    masks: dict[Annotated[str, Field(pattern=LABEL_NAME)], MaskColumn] = Field(default_factory=dict)
    """Mask files of the images, copied beside the DICOM as part of the reference standard."""
    truth: Truth
    site: dict[Annotated[str, Field(pattern=LABEL_NAME)], Value] = Field(default_factory=dict)
    """Further columns for strata, kept in site.csv beside the DICOM, never inside it."""
    partition: Value | None = None
    """The source's own split; kept as the site column ``partition``."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.object == "DX" and self.pixel_spacing is None:
            raise ValueError("a DX image must state pixel_spacing (Imager Pixel Spacing is type 1); use CR")
        if self.partition is not None and "partition" in self.site:
            raise ValueError("'partition' stands both by itself and among the site columns")
        if set(self.masks) & set(self.labels):
            raise ValueError("a label and a mask have the same name")
        return self


def load_mapping(path: Path) -> ImageMapping:
    """Read MAPPING.yaml.

    Raises:
        MappingError: the file is not a valid mapping; each problem with its line.
    """
    return validate(read_yaml(path, MappingError, as_text=True), ImageMapping, MappingError)


def check_columns(path: Path, columns: set[str]) -> None:
    """Check that every column which MAPPING.yaml names stands in the table.

    Raises:
        MappingError: columns are missing; each with the line that names it.
    """
    document = read_yaml(path, MappingError, as_text=True)
    mapping = validate(document, ImageMapping, MappingError)
    has = ", ".join(sorted(columns))
    problems = [
        (location, f"the table {mapping.table} has no column {column!r}; it has {has}.")
        for location, column in named_columns(mapping)
        if column not in columns
    ]
    if problems:
        raise mistakes_error(document, problems, MappingError)


def named_columns(mapping: ImageMapping) -> Iterator[tuple[Where, str]]:
    """Every column that the mapping names, with its place in the document."""
    yield ("file",), mapping.file
    yield ("patient",), mapping.patient
    if mapping.study is not None:
        yield ("study",), mapping.study
    yield from _columns_within(mapping, ())


def _columns_within(part: Any, location: Where) -> Iterator[tuple[Where, str]]:
    if isinstance(part, BaseModel):
        for field in type(part).model_fields:
            value = getattr(part, field)
            if isinstance(value, str) and (
                (field == "column" and isinstance(part, Source | StudyDate | Label | MaskColumn))
                or field.startswith("original_")
            ):
                yield (*location, field), value
            else:
                yield from _columns_within(value, (*location, field))
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _columns_within(value, (*location, key))
