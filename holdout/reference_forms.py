"""Forms in which a reference standard comes beside tables, as a declaration (reference.yaml) names them.

``read`` of a label says in which kind of object its truth stands and which part of the object is meant::

    labels:
      tumour:  {mask: true,   read: {form: segmentation, segment: {label: Tumour}, on_mismatch: resample}}
      organ:   {mask: true,   read: {form: structure_set, roi: {name: Liver}}}
      lung:    {mask: true,   read: {form: nifti, value: 2}, column: file}
      nodules: {boxes: true,  read: {form: report, finding: "SCT:27925004"}}
      volume:  {number: true, read: {form: report, measurement: "SCT:118565006", unit: mm3}}
      grade:   {values: [low, high], read: {form: report, evaluation: "99LOCAL:GRADE",
                answers: {low: ["99LOCAL:G1"], high: ["99LOCAL:G2", "99LOCAL:G3"]}}}
      arrows:  {boxes: true,  read: {form: presentation_state, layer: FINDINGS}}
      nodes:   {lesions: spheres, read: {form: segmentation, segment: {label: Node}}}
      flagged: {read: {form: key_objects, title: "DCM:113000", absent: negative}}

With ``column`` the table names the object of each case, below the declaration's folder or else below the ingested
folder. Without, it is the object of the ingested folder that references the case's images or, when it references
none that is there, shares their Frame of Reference. Codes are written SCHEME:VALUE.

``absent`` says what it means that there is no such object, or that the object has no such part: ``unlabelled`` (no
truth; an object without the declared part is a mistake) or ``negative`` (nothing inside, no finding, not referenced).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from holdout.volume_lesions import LesionKind

Absent = Literal["unlabelled", "negative"]
OnMismatch = Literal["refuse", "resample"]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,16}:\S{1,64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    absent: Absent = "unlabelled"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in self.model_dump().values()) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self


class Segment(_Part):
    """Which segments of a segmentation: the one of a number, or all of a label or of a coded property type."""

    number: Annotated[int, Field(ge=1, le=65_535)] | None = None
    label: Name | None = None
    property: Code | None = None


class Roi(_Part):
    """Which region of a structure set: the one of a number, or all of a name."""

    number: int | None = None
    name: Name | None = None


class SegmentationForm(_Form):
    """A DICOM Segmentation, binary, fractional or label map (PS3.3 A.51, C.8.20).

    Without ``segment`` the object must have one only. A fractional one needs ``fraction``, the type that it must state,
    and ``threshold``: elements of at least this fraction are inside.
    """

    form: Literal["segmentation"]
    segment: Segment | None = None
    fraction: Literal["probability", "occupancy"] | None = None
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    on_mismatch: OnMismatch = "refuse"

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.fraction is None) != (self.threshold is None):
            raise ValueError("fraction and threshold go together")
        return self


class VolumeForm(_Form):
    """A NIfTI or MetaImage (.mha) file that a column names.

    Inside is what equals ``value``, or is at least ``threshold``; without these all but 0, when that is one value.
    """

    form: Literal["nifti", "metaimage"]
    value: int | None = None
    threshold: float | None = None
    on_mismatch: OnMismatch = "refuse"

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.value is not None and self.threshold is not None:
            raise ValueError("give a value or a threshold")
        return self


class StructureSetForm(_Form):
    """An RT Structure Set (PS3.3 A.19, C.8.8.6): closed contours as a mask, or points as findings.

    ``inner`` says what a closed contour inside of another is: a ``hole``, as most systems mean it (contours of one
    plane are combined by exclusive or), or part of the ``union``. Contours of the exclusive-or type make holes always.
    """

    form: Literal["structure_set"]
    roi: Roi
    inner: Literal["hole", "union"] = "hole"
    on_mismatch: OnMismatch = "refuse"


class PresentationForm(_Form):
    """Graphic annotations of a Softcopy Presentation State (PS3.3 C.10.5), of one graphic layer or of all."""

    form: Literal["presentation_state"]
    layer: Name | None = None


class ReportForm(_Form):
    """A structured report with measurement groups (PS3.16 TID 1500).

    Groups can be narrowed to those of one ``finding``. Their regions are the findings of the case; a ``measurement`` is
    their one number of that concept, in ``unit`` (UCUM); an ``evaluation`` their one answer to that concept, as
    ``answers`` names its codes.
    """

    form: Literal["report"]
    finding: Code | None = None
    measurement: Code | None = None
    unit: Name | None = None
    evaluation: Code | None = None
    answers: dict[Name, tuple[Code, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.measurement is not None and self.evaluation is not None:
            raise ValueError("a label is a measurement or an evaluation")
        if (self.measurement is None) != (self.unit is None):
            raise ValueError("measurement and unit go together: a number without its unit means nothing")
        if (self.evaluation is None) != (not self.answers):
            raise ValueError("evaluation and answers go together")
        return self


class KeyObjectsForm(_Form):
    """Key Object Selection Documents (PS3.16 TID 2010): positive is a case that one of ``title`` references."""

    form: Literal["key_objects"]
    title: Code


Reading = Annotated[
    SegmentationForm | VolumeForm | StructureSetForm | PresentationForm | ReportForm | KeyObjectsForm,
    Field(discriminator="form"),
]

SOP_CLASSES: dict[str, frozenset[str]] = {
    "segmentation": frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}),
    "structure_set": frozenset({"1.2.840.10008.5.1.4.1.1.481.3"}),
    "presentation_state": frozenset(f"1.2.840.10008.5.1.4.1.1.11.{kind}" for kind in (1, 2, 3)),
    "report": frozenset(f"1.2.840.10008.5.1.4.1.1.88.{kind}" for kind in (11, 22, 33, 34)),
    "key_objects": frozenset({"1.2.840.10008.5.1.4.1.1.88.59"}),
}
"""Objects by form, as PS3.4 B.5 and its UIDs in PS3.6 name them."""
_OUTLINES = "{} holds outlines: declare mask: true or boxes: true{}"


def kind_mistake(
    reading: Reading, *, mask: bool, boxes: bool, lesions: LesionKind | None, number: bool, text: bool
) -> str:
    """Why a label of this kind cannot be read from such an object; '' when it can."""
    if isinstance(reading, SegmentationForm | VolumeForm):
        return "" if mask or lesions else f"{reading.form} holds masks: declare mask: true, or lesions"
    if isinstance(reading, StructureSetForm):
        return "" if mask or boxes or lesions else _OUTLINES.format(reading.form, ", or lesions")
    if isinstance(reading, PresentationForm):
        return "" if mask or boxes else _OUTLINES.format(reading.form, "")
    if isinstance(reading, KeyObjectsForm):
        return "" if text else "key_objects say yes or no: declare no kind of label"
    if reading.measurement is not None:
        return "" if number else "a measurement is a number: declare number: true"
    if reading.evaluation is not None:
        return "" if text else "an evaluation is a text: declare positive and negative, or values"
    if lesions in ("spheres", "boxes"):
        return "a report tells the places of lesions, not their extent in a volume: declare lesions: points"
    return (
        ""
        if boxes or lesions
        else "a report without measurement or evaluation holds findings: declare boxes: true, or lesions: points"
    )
