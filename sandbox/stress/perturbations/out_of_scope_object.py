"""Objects that are not the images asked for: another modality, a localiser, a report, a broken or an empty file."""

from __future__ import annotations

import copy

import numpy as np
from pydicom import uid as uids
from pydicom.dataset import Dataset

from sandbox.stress.case import Image, OpenCase, set_stored
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.filters import resized
from sandbox.stress.perturbation import Severity
from sandbox.stress.phantoms import hand_opacity, head_units
from sandbox.stress.scope import out_of_scope
from sandbox.stress.volume import volumes

_KEPT = (
    *("SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "Manufacturer", "StudyID"),
    *("ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "InstanceNumber"),
)
_SIDE = 512
_EXPLICIT = str(uids.ExplicitVRLittleEndian)


def _bare(image: Image) -> Dataset:
    dataset = Dataset()
    for keyword in _KEPT:
        if keyword in image.dataset:
            dataset[keyword] = copy.deepcopy(image.dataset[keyword])
    dataset.InstanceNumber = 1
    if "Manufacturer" not in dataset:
        dataset.Manufacturer = ""
    return dataset


def other_modality(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Send a CT slice of a head phantom, or a radiograph of a hand where CT is asked for."""
    first = case.images[0]
    dataset = _bare(first)
    if first.modality == "CT":
        dataset.SOPClassUID, dataset.Modality = uids.ComputedRadiographyImageStorage, "CR"
        dataset.BodyPartExamined, dataset.ViewPosition, dataset.PatientOrientation = "HAND", "PA", ""
        dataset.Laterality = "L"
        dataset.ImagerPixelSpacing = ["0.4", "0.4"]
        stored = np.rint(hand_opacity((_SIDE, _SIDE)) * 3800 + 100).astype(np.uint16)
        bits, signed = 12, 0
    else:
        dataset.SOPClassUID, dataset.Modality = uids.CTImageStorage, "CT"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.BodyPartExamined, dataset.PatientPosition = "HEAD", "HFS"
        dataset.FrameOfReferenceUID = f"{dataset.SOPInstanceUID}"
        dataset.PositionReferenceIndicator, dataset.AcquisitionNumber, dataset.KVP = "", "1", "120"
        dataset.PixelSpacing, dataset.SliceThickness = ["0.45", "0.45"], "5"
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-115, -115, 0], [1, 0, 0, 0, 1, 0]
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "0", "HU"
        dataset.WindowCenter, dataset.WindowWidth = "40", "80"
        grain = numbers.normal(0, 4, (_SIDE, _SIDE))
        stored = np.rint(head_units((_SIDE, _SIDE)) + grain).astype(np.int16)
        bits, signed = 16, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = signed
    image = Image(dataset=dataset, name=first.name, syntax=_EXPLICIT)
    set_stored(image, stored[None])
    case.images = [image]


def localiser(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Send the projection of the volume from the front instead of the slices."""
    (volume, *others) = list(volumes(case))
    if others or volume.colour or len(volume.values) < 8 or len(case.images) < 8:
        raise NotApplicableError("it is for a series of eight slices or more")
    first = volume.images[-1]
    dataset = copy.deepcopy(first.dataset)
    # Rows run from the head down; the last slice along the normal is the topmost.
    seen = volume.values.mean(axis=1)[::-1][None]
    gap = (volume.slice_spacing or 1.0) / volume.needs_spacing()[1]
    seen = resized(seen, max(round(seen.shape[1] * gap), 8), seen.shape[2])[0]
    slope, intercept = float(volume.slopes[0]), float(volume.intercepts[0])
    stored = np.rint((seen - intercept) / slope).astype(first.stored.dtype)  # type: ignore[union-attr]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.PixelSpacing = [f"{volume.needs_spacing()[1]:.8g}"] * 2
    image = Image(dataset=dataset, name=case.images[0].name, syntax=_EXPLICIT)
    set_stored(image, stored[None])
    case.images = [image]


def document(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Send a report as Encapsulated PDF."""
    dataset = _bare(case.images[0])
    dataset.SOPClassUID, dataset.Modality, dataset.SeriesNumber = uids.EncapsulatedPDFStorage, "DOC", 1
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "YES"
    dataset.ContentDate = dataset.ContentTime = dataset.AcquisitionDateTime = ""
    dataset.DocumentTitle, dataset.ConceptNameCodeSequence = "Report", []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = _pdf("Report. No image here.")
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    case.images = [Image(dataset=dataset, name=case.images[0].name, syntax=_EXPLICIT)]


def _pdf(text: str) -> bytes:
    """Make a PDF of one page with one line (ISO 32000-1)."""
    stream = f"BT /F1 18 Tf 72 720 Td ({text}) Tj ET".encode("ascii")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(bodies, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, table)
    return bytes(out)


def cut(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Cut every file after ``share`` percent of its bytes, as after a broken transfer."""
    for image in case.images:
        image.finish = _Head(float(share) / 100)


def empty(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
    """Send files of no bytes."""
    for image in case.images:
        image.finish = _Head(0.0)


class _Head:
    """The first part of a file."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, content: bytes) -> bytes:
        return content[: int(len(content) * self._share)]


PERTURBATIONS = (
    out_of_scope(
        "other_modality",
        ("other",),
        "Another modality: CT of a head phantom, or a radiograph of a hand where CT is asked for.",
        "Shepp and Logan, The Fourier reconstruction of a head section, IEEE TNS 1974",
        other_modality,
    ),
    out_of_scope(
        "localiser",
        ("localiser",),
        "The localiser in place of the slices.",
        "PS3.3 C.8.2.1.1.1 Image Type LOCALIZER",
        localiser,
        modalities=frozenset({"CT", "MR"}),
    ),
    out_of_scope(
        "encapsulated_pdf",
        ("PDF",),
        "A report in place of the image.",
        "PS3.3 A.45.1 Encapsulated PDF",
        document,
    ),
    out_of_scope(
        "truncated_file",
        (90.0, 70.0, 50.0, 30.0, 10.0),
        "Files end too early, as after a broken transfer.",
        "PS3.5 7.1 (a value is as long as it says)",
        cut,
        unit="% of the bytes",
    ),
    out_of_scope("zero_byte", ("empty",), "Files without a byte.", "PS3.10 7.1 (preamble and prefix)", empty),
)
