"""Write one image as DICOM: Computed Radiography, Digital X-Ray for presentation, or VL Photographic.

The attributes are those of the IODs' mandatory modules (PS3.3 A.2 CR, A.26 DX, A.32.4 VL Photographic) with
types 1 and 2 present; what is not known stays empty (type 2) or absent (type 3). Equal input gives equal
bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    VLPhotographicImageStorage,
)

IMPLEMENTATION_CLASS_UID = "2.25.302895514117254417498862391847265409341"
IMPLEMENTATION_VERSION = "PROCTOR_1"

SOP_CLASSES: dict[str, UID] = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "VL": VLPhotographicImageStorage,
}
_MODALITIES = {"CR": "CR", "DX": "DX", "VL": "XC"}
# Rows run to the patient's left and columns to the feet in the customary display of these projections.
_ORIENTATIONS = {"PA": ["L", "F"], "AP": ["L", "F"], "LL": ["P", "F"], "RL": ["A", "F"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class NativePixels:
    """Uncompressed pixels: (rows, columns) uint8/uint16, or (rows, columns, 3) uint8 RGB."""

    array: NDArray[np.uint8] | NDArray[np.uint16]
    bits_stored: int
    lossy_history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegPixels:
    """A baseline 8-bit JPEG stream, carried byte for byte."""

    stream: bytes
    rows: int
    columns: int
    photometric: Literal["MONOCHROME2", "YBR_FULL_422", "YBR_FULL", "RGB"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDescription:
    """What stands in the header beside the pixels. Empty text: not known. Spacing in millimetres."""

    kind: Literal["CR", "DX", "VL"]
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    patient_name: str = ""
    patient_sex: str = ""
    patient_age: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""
    series_number: int = 1
    instance_number: int = 1
    accession_number: str = ""
    body_part: str = ""
    view: str = ""
    laterality: str = ""
    institution: str = ""
    manufacturer: str = ""
    model: str = ""
    software: str = ""
    pixel_spacing: tuple[float, float] | None = None
    window: tuple[float, float] | None = None
    extra: tuple[tuple[str, str], ...] = field(default=())
    """Further attributes as (keyword, value)."""


def age_string(years: float | None) -> str:
    """Format an age in years as a DICOM Age String (VR AS); below two years in months; '' where unknown."""
    if years is None or not 0 <= years < 150:
        return ""
    if years < 2:
        return f"{int(years * 12):03d}M"
    return f"{int(years):03d}Y"


def decimal_string(value: float) -> str:
    """Format a number as a Decimal String (VR DS, at most 16 characters)."""
    return f"{value:.10g}"[:16]


def write_image(description: ImageDescription, pixels: NativePixels | JpegPixels) -> bytes:
    """Build the bytes of one DICOM file (Part 10).

    Raises:
        ValueError: pixels that the object cannot carry.
    """
    dataset = _patient_study_series(description)
    _image(dataset, description)
    if description.kind == "DX":
        _digital_x_ray(dataset, description, pixels)
    lossy = isinstance(pixels, JpegPixels) or pixels.lossy_history
    if lossy or description.kind != "CR":
        dataset.LossyImageCompression = "01" if lossy else "00"
    _pixels(dataset, pixels)
    for keyword, value in description.extra:
        setattr(dataset, keyword, value)
    dataset.file_meta = _file_meta(dataset, pixels)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _file_meta(dataset: Dataset, pixels: NativePixels | JpegPixels) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = JPEGBaseline8Bit if isinstance(pixels, JpegPixels) else ExplicitVRLittleEndian
    # Not the library's: its version would change the bytes of a repeated import.
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    return meta


def _patient_study_series(description: ImageDescription) -> Dataset:
    dataset = Dataset()
    texts = (description.institution, description.manufacturer, description.model, description.patient_id)
    if not all(text.isascii() for text in texts + tuple(value for _, value in description.extra)):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = SOP_CLASSES[description.kind]
    dataset.SOPInstanceUID = UID(description.sop_instance_uid)
    dataset.PatientName = description.patient_name
    dataset.PatientID = description.patient_id[:64]
    dataset.PatientBirthDate = ""
    dataset.PatientSex = description.patient_sex
    if description.patient_age:
        dataset.PatientAge = description.patient_age
    dataset.StudyInstanceUID = UID(description.study_instance_uid)
    dataset.StudyDate = description.study_date
    dataset.StudyTime = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = ""
    dataset.AccessionNumber = description.accession_number
    if description.study_description:
        dataset.StudyDescription = description.study_description[:64]
    dataset.Modality = _MODALITIES[description.kind]
    dataset.SeriesInstanceUID = UID(description.series_instance_uid)
    dataset.SeriesNumber = description.series_number
    if description.series_description:
        dataset.SeriesDescription = description.series_description[:64]
    dataset.Manufacturer = description.manufacturer[:64]
    if description.institution:
        dataset.InstitutionName = description.institution[:64]
    if description.model:
        dataset.ManufacturerModelName = description.model[:64]
    if description.software:
        dataset.SoftwareVersions = description.software[:64]
    return dataset


def _image(dataset: Dataset, description: ImageDescription) -> None:
    dataset.InstanceNumber = description.instance_number
    orientation = _ORIENTATIONS.get(description.view)
    if description.kind == "VL":
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.AcquisitionContextSequence = []
        if description.body_part:
            dataset.BodyPartExamined = description.body_part
        return
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.BodyPartExamined = description.body_part
    dataset.ViewPosition = description.view
    dataset.PatientOrientation = orientation or ""
    if description.laterality in ("L", "R") and description.kind == "CR":
        dataset.Laterality = description.laterality
    if description.pixel_spacing is not None:
        dataset.ImagerPixelSpacing = [decimal_string(value) for value in description.pixel_spacing]
    if description.window is not None:
        dataset.WindowCenter, dataset.WindowWidth = (decimal_string(value) for value in description.window)


def _digital_x_ray(
    dataset: Dataset, description: ImageDescription, pixels: NativePixels | JpegPixels
) -> None:
    if description.pixel_spacing is None:
        raise ValueError("a DX image needs its pixel spacing (Imager Pixel Spacing is type 1)")
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = description.laterality or "U"
    dataset.AnatomicRegionSequence = []
    dataset.DetectorType = ""
    dataset.AcquisitionContextSequence = []
    dataset.PatientOrientation = _ORIENTATIONS.get(description.view, ["L", "F"])
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.BurnedInAnnotation = "NO"
    if description.window is None:
        bits = 8 if isinstance(pixels, JpegPixels) else pixels.bits_stored
        dataset.WindowCenter, dataset.WindowWidth = str(1 << (bits - 1)), str(1 << bits)


def _pixels(dataset: Dataset, pixels: NativePixels | JpegPixels) -> None:
    if isinstance(pixels, JpegPixels):
        samples = 1 if pixels.photometric == "MONOCHROME2" else 3
        dataset.Rows, dataset.Columns = pixels.rows, pixels.columns
        dataset.PhotometricInterpretation = pixels.photometric
        allocated = stored = 8
        ratio = pixels.rows * pixels.columns * samples / len(pixels.stream)
        dataset.LossyImageCompressionRatio = decimal_string(max(round(ratio, 2), 0.01))
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
        dataset.PixelData = encapsulate([pixels.stream])
        dataset["PixelData"].VR = "OB"
    else:
        array = np.ascontiguousarray(pixels.array)
        samples = array.shape[2] if array.ndim == 3 else 1
        if samples not in (1, 3) or (samples == 3 and array.dtype != np.uint8):
            raise ValueError("pixels are neither grayscale nor 8-bit RGB")
        dataset.Rows, dataset.Columns = array.shape[0], array.shape[1]
        dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
        allocated, stored = array.dtype.itemsize * 8, pixels.bits_stored
        content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        dataset.PixelData = content + b"\0" * (len(content) % 2)
        dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    dataset.SamplesPerPixel = samples
    if samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, stored - 1
    dataset.PixelRepresentation = 0
