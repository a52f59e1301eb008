"""Single frames as one multi-frame object, and the reverse."""

from __future__ import annotations

import copy
import logging

import numpy as np
from pydicom import uid as uids
from pydicom.dataset import Dataset, FileMetaDataset

from holdout.uids import content_uid
from sandbox.stress.case import Image, OpenCase, set_stored, stored_values
from sandbox.stress.encoders import native
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Perturbation, Severity
from sandbox.stress.volume import in_spatial_order

_SINGLE = {
    str(uids.EnhancedCTImageStorage): uids.CTImageStorage,
    str(uids.EnhancedMRImageStorage): uids.MRImageStorage,
    str(uids.LegacyConvertedEnhancedCTImageStorage): uids.CTImageStorage,
    str(uids.LegacyConvertedEnhancedMRImageStorage): uids.MRImageStorage,
    str(uids.UltrasoundMultiFrameImageStorage): uids.UltrasoundImageStorage,
    str(uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage): uids.SecondaryCaptureImageStorage,
    str(uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage): uids.SecondaryCaptureImageStorage,
    str(uids.MultiFrameTrueColorSecondaryCaptureImageStorage): uids.SecondaryCaptureImageStorage,
}
_MULTI_ONLY = (
    *("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("DimensionOrganizationSequence", "DimensionIndexSequence", "DimensionOrganizationType"),
    *("FrameIncrementPointer", "FrameTime", "FrameTimeVector", "RecommendedDisplayFrameRate", "CineRate"),
)


def join(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Put the slices of a CT, MR or PET series into one legacy converted enhanced object."""
    from highdicom import legacy

    classes = {
        "CT": legacy.LegacyConvertedEnhancedCTImage,
        "MR": legacy.LegacyConvertedEnhancedMRImage,
        "PT": legacy.LegacyConvertedEnhancedPETImage,
    }
    modality = case.images[0].modality
    if (
        len(case.images) < 2
        or modality not in classes
        or any("NumberOfFrames" in i.dataset for i in case.images)
    ):
        raise NotApplicableError("it is for series of CT, MR or PET with one slice a file")
    datasets = []
    for image in in_spatial_order(case.images):
        native(image, stored_values(image))
        image.dataset.file_meta = FileMetaDataset()
        image.dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
        datasets.append(image.dataset)
    first = datasets[0]
    logging.getLogger("highdicom").setLevel(logging.ERROR)
    try:
        joined = classes[modality](
            datasets,
            series_instance_uid=str(first.SeriesInstanceUID),
            series_number=int(first.get("SeriesNumber") or 1),
            sop_instance_uid=str(first.SOPInstanceUID),
            instance_number=1,
        )
    except (ValueError, KeyError, AttributeError, TypeError, IndexError) as exc:
        raise NotApplicableError("the headers lack what an enhanced object needs") from exc
    plain = Dataset()
    plain.update(joined)
    # The clock and the library's name would make files differ from run to run.
    for keyword in ("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime"):
        if keyword in plain:
            plain[keyword].value = ""
    plain.pop("ContributingEquipmentSequence", None)
    organisation = content_uid("dimension organization", str(first.SOPInstanceUID))
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in plain.get(sequence) or ():
            item.DimensionOrganizationUID = organisation
    for series in plain.get("ReferencedSeriesSequence") or ():
        # The library goes through a set here, whose order differs from process to process.
        instances = series.get("ReferencedInstanceSequence") or []
        series.ReferencedInstanceSequence = sorted(
            instances, key=lambda item: str(item.ReferencedSOPInstanceUID)
        )
    case.images = [Image(dataset=plain, name=case.images[0].name, syntax=str(uids.ExplicitVRLittleEndian))]


def split(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Write every frame of a multi-frame object as a file of its own."""
    parts: list[Image] = []
    for image in case.images:
        frames = int(image.dataset.get("NumberOfFrames") or 1)
        target = _SINGLE.get(str(image.dataset.get("SOPClassUID")))
        if frames < 2 or target is None:
            raise NotApplicableError("it is for multi-frame objects that have a single-frame sibling")
        stored = stored_values(image)
        shared = image.dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
        each = image.dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()] * frames
        pixels = image.dataset.pop("PixelData")
        bare = copy.deepcopy(image.dataset)
        for keyword in _MULTI_ONLY:
            bare.pop(keyword, None)
        for number in range(frames):
            dataset = copy.deepcopy(bare)
            for groups in (shared[0], each[number]):
                _lift(groups, dataset)
            dataset.SOPClassUID = target
            dataset.InstanceNumber = len(parts) + 1
            dataset.PixelData = b""
            part = Image(dataset=dataset, name=f"{len(parts) + 1:06d}.dcm", syntax=image.syntax)
            part.stored = stored[number : number + 1]
            set_stored(part, part.stored)
            parts.append(part)
        image.dataset[pixels.tag] = pixels
    case.images = parts


def _lift(groups: Dataset, dataset: Dataset) -> None:
    """Attributes of functional groups where single-frame objects have them."""
    for macro in groups:
        if (
            macro.VR == "SQ"
            and macro.value
            and macro.keyword not in ("FrameContentSequence", "MRImageFrameTypeSequence")
        ):
            for element in macro.value[0]:
                if element.VR != "SQ":
                    dataset[element.tag] = copy.deepcopy(element)


def reverse_frames(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Store the frames in the reverse order; each keeps its position."""
    for image in case.images:
        each = image.dataset.get("PerFrameFunctionalGroupsSequence")
        if not each or len(each) < 2 or "PlanePositionSequence" not in each[0]:
            raise NotApplicableError("it is for multi-frame objects whose frames have positions")
        set_stored(image, stored_values(image)[::-1].copy())
        image.dataset.PerFrameFunctionalGroupsSequence = list(reversed(each))


_FAMILY = "DICOM slices and pixels"
JOINED = Perturbation(
    name="as_multi_frame",
    family=_FAMILY,
    modalities=frozenset({"CT", "MR", "PT"}),
    expectation="must not change",
    kind="encoding",
    unit="",
    severities=("multi-frame",),
    sentence="The slices of a series in one multi-frame object.",
    source="PS3.3 A.70 to A.72 Legacy Converted Enhanced CT, MR and PET",
    function=join,
)
SPLIT = Perturbation(
    name="as_single_frames",
    family=_FAMILY,
    expectation="must not change",
    kind="encoding",
    unit="",
    severities=("single frames",),
    sentence="Every frame of a multi-frame object as a file of its own.",
    source="PS3.3 C.7.6.16 Multi-frame Functional Groups",
    function=split,
)
REVERSED = Perturbation(
    name="frame_order",
    family=_FAMILY,
    expectation="must not change",
    kind="encoding",
    unit="",
    severities=("reversed",),
    sentence="Frames in the reverse order; positions still tell where each lies.",
    source="PS3.3 C.7.6.16.2.3 Plane Position (Patient)",
    function=reverse_frames,
)
