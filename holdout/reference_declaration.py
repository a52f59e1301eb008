"""What a reference standard declares (reference.yaml): its table, its labels, and how truth was established."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from holdout.boxes import read_boxes
from holdout.keyed_table import Key
from holdout.mapping import LABEL_NAME
from holdout.reference_forms import Absent, KeyObjectsForm, Reading, ReportForm, VolumeForm, kind_mistake
from holdout.reference_objects import LabelReading
from holdout.volume_lesions import NUMBERS, LesionKind, read_row

DETAILS = ("method", "readers", "date")
FROM_OBJECTS = ("objects", "resampled")
"""Further details of truth that was read from objects."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelColumn(_Model):
    """A label. With ``positive`` and ``negative`` it is binary (1, 0); without, the text itself is the label.

    ``values`` closes the list of texts, for classes and grades; ``number`` asks for a finite number, for
    measurements. With ``mask`` the texts are mask files below the declaration's folder
    (:mod:`holdout.reference_masks`), with ``boxes`` lesions in the image (:mod:`holdout.boxes`), in one row of the
    case or several. With ``lesions`` there are lesions in a volume (:mod:`holdout.volume_lesions`), a row for each, its
    numbers in ``columns``; ``absent`` says what it means that no row is about a case. ``unlabelled`` texts, and the
    empty cell, mean that there is no truth for this case. With ``read`` the truth stands in an object, which ``column``
    may name.
    """

    column: str | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    number: bool = False
    mask: bool = False
    boxes: bool = False
    lesions: LesionKind | None = None
    columns: tuple[str, ...] = ()
    absent: Absent = "unlabelled"
    read: Reading | None = None

    @model_validator(mode="after")
    def _from_somewhere(self) -> Self:
        if self.read is None:
            mistake = next(self._table_mistakes(), None)
            if mistake:
                raise ValueError(mistake)
            return self
        mistake = next(self._reading_mistakes(self.read), None)
        if mistake:
            raise ValueError(mistake)
        return self

    def _table_mistakes(self) -> Iterator[str]:
        if self.lesions is None:
            if self.columns or self.absent != "unlabelled":
                yield "columns and absent belong to lesions"
            if self.column is None:
                yield "give a column of the table, or say with read in which objects the truth stands"
        elif self.column is not None or self.unlabelled:
            yield "lesions have columns, one for each of their numbers, and no column or unlabelled texts"
        elif len(self.columns) != NUMBERS[self.lesions]:
            yield (
                f"lesions of {self.lesions} need {NUMBERS[self.lesions]} columns, or say with read in which objects "
                "the truth stands"
            )

    def _reading_mistakes(self, reading: Reading) -> Iterator[str]:
        if self.columns or self.absent != "unlabelled":
            yield "columns are for a table; absent belongs to read"
        text = not (self.mask or self.boxes or self.lesions or self.number)
        kind = kind_mistake(
            reading, mask=self.mask, boxes=self.boxes, lesions=self.lesions, number=self.number, text=text
        )
        if kind:
            yield kind
        if isinstance(reading, KeyObjectsForm) and (self.positive or self.values):
            yield "key_objects say yes or no: declare no kind of label"
        if isinstance(reading, ReportForm) and reading.evaluation is not None:
            meant = {*self.positive, *self.negative, *self.values, *self.unlabelled}
            strange = sorted(set(reading.answers) - meant)
            if strange:
                yield f"read.answers: {strange} mean nothing to this label"
        if self.column is not None and self.unlabelled and not isinstance(reading, ReportForm):
            yield "the column names files: leave the cell empty where there is none, and say with absent what it means"
        if isinstance(reading, VolumeForm) and self.column is None:
            yield f"a {reading.form} file references no image: name it in a column of the table"

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if bool(self.positive) != bool(self.negative):
            raise ValueError("give both positive and negative values, or neither")
        kinds = (self.binary, self.values, self.number, self.mask, self.boxes, self.lesions)
        if sum(map(bool, kinds)) > 1:
            raise ValueError(
                "a label is binary, has values, is a number, a mask, boxes, or lesions: give one of these"
            )
        named = [*self.values, *self.positive, *self.negative, *self.unlabelled]
        twice = [text for text, count in Counter(named).items() if count > 1]
        if twice:
            raise ValueError(f"{twice} cannot mean two things")
        return self

    @property
    def binary(self) -> bool:
        """Whether the label has the values 1 and 0."""
        return bool(self.positive) or isinstance(self.read, KeyObjectsForm)

    @property
    def expected(self) -> str:
        """What is wrong with a text that has no declared meaning, in words."""
        if self.number:
            return "not a number"
        if self.boxes:
            return "not boxes of four numbers each, nor none"
        if self.lesions is not None:
            return f"not the {NUMBERS[self.lesions]} numbers of a lesion in mm, nor none"
        return "none of the declared values" if self.values else "neither positive nor negative"

    def said(self, cells: Mapping[str, str]) -> str | None:
        """What a row of the table says, by column: the meaning of its text, its lesion, or the name of an object.

        Raises:
            ValueError: it has no declared meaning.
        """
        if self.lesions is not None and self.read is None:
            return read_row([cells[column] for column in self.columns], self.lesions) or None
        text = "" if self.column is None else cells[self.column]
        return self.meaning(text) if self.read is None else text or None

    def meaning(self, text: str) -> str | None:
        """Value of a text: '1' or '0' (binary) or the text itself; None where unlabelled.

        Raises:
            ValueError: the text has no declared meaning.
        """
        if not text or text in self.unlabelled:
            return None
        if self.values and text not in self.values:
            raise ValueError(text)
        if self.number and not math.isfinite(float(text)):
            raise ValueError(text)
        if self.boxes:
            read_boxes(text)
        if not self.binary:
            return text
        if text in self.positive:
            return "1"
        if text in self.negative:
            return "0"
        raise ValueError(text)


class Detail(_Model):
    """Where a detail of the truth comes from: a column, or one value for all."""

    column: str | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        return self


def _short_form(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


class ReferenceDeclaration(_Model):
    """reference.yaml."""

    proctor: Literal["reference/1"]
    title: str = ""
    table: str | None = None
    key: Key | None = None
    labels: dict[Annotated[str, Field(pattern=LABEL_NAME)], LabelColumn] = Field(min_length=1)
    method: Annotated[Detail, BeforeValidator(_short_form)]
    readers: Annotated[Detail, BeforeValidator(_short_form)] | None = None
    date: Annotated[Detail, BeforeValidator(_short_form)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that are read beside its key."""
        details = (getattr(self, name) for name in DETAILS)
        found = [column for label in self.labels.values() for column in (label.column, *label.columns)]
        found += [detail.column for detail in details if detail is not None]
        return tuple(column for column in found if column is not None)

    @property
    def readings(self) -> tuple[LabelReading, ...]:
        """Labels that stand in objects."""
        return tuple(
            LabelReading(
                name=name,
                reading=label.read,
                mask=label.mask,
                boxes=label.boxes,
                lesions=label.lesions,
                named=label.column is not None,
            )
            for name, label in self.labels.items()
            if label.read is not None
        )

    @model_validator(mode="after")
    def _table_or_none(self) -> Self:
        if (self.table is None) != (self.key is None):
            raise ValueError("table and key go together")
        if self.table is None and self.columns:
            raise ValueError(f"there is no table to have the columns {', '.join(self.columns)}")
        return self

    @model_validator(mode="after")
    def _no_clash(self) -> Self:
        clash = {"case_id", *DETAILS, *FROM_OBJECTS} & set(self.labels)
        if clash:
            raise ValueError(f"{sorted(clash)} cannot be the name of a label")
        return self
