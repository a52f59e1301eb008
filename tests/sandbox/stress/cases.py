"""Synthetic cases of each modality, as DICOM bytes, with known modality values."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
from imagecodecs import jpeg8_decode
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGExtended12Bit

from sandbox.stress.perturb import PerturbedFiles, perturbed_files
from sandbox.stress.registry import find

KEY = b"k" * 32
Files = list[tuple[str, bytes]]
_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "XC": "1.2.840.10008.5.1.4.1.1.77.1.4",
}


def body(rows: int = 96, columns: int = 80, seed: int = 0) -> np.ndarray:
    """A smooth body from 0 to 1 with an edge and texture."""
    down, right = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    inside = (down**2 + (right / 0.85) ** 2 < 0.8).astype(float)
    texture = np.random.default_rng(seed).normal(0, 0.01, (rows, columns))
    return np.clip(inside * (0.55 + 0.25 * np.cos(7 * down) * np.sin(5 * right) + texture), 0, 1)


def dicom_file(modality: str, array: np.ndarray, number: int, **extra: object) -> bytes:
    data = Dataset()
    data.SOPClassUID, data.Modality = UID(_CLASSES[modality]), modality
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    data.SOPInstanceUID = UID(f"1.2.3.4.{number}")
    data.PatientID, data.PatientName = "p-1", "p-1"
    data.PatientSex, data.PatientAge, data.Manufacturer = "F", "055Y", "ACME"
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.StudyID = data.ReferringPhysicianName = ""
    data.SeriesNumber, data.InstanceNumber = 1, number
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.Rows, data.Columns = array.shape[0], array.shape[1]
    data.SamplesPerPixel = 3 if array.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if array.ndim == 3 else "MONOCHROME2"
    if array.ndim == 3:
        data.PlanarConfiguration = 0
    bits = array.dtype.itemsize * 8
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    for keyword, value in extra.items():
        setattr(data, keyword, value)
    data.PixelData = array.tobytes()
    data["PixelData"].VR = "OW" if bits > 8 else "OB"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    buffer = io.BytesIO()
    dcmwrite(buffer, data, enforce_file_format=True)
    return buffer.getvalue()


def case(modality: str, *, slices: int = 0) -> Files:
    """A case of a modality; CT has ``slices`` (12) slices of 1 mm."""
    if modality == "CT":
        files = []
        for number in range(1, (slices or 12) + 1):
            values = -1000 + 1150 * body(seed=number) * (0.7 + 0.3 * np.cos(number))
            stored = np.rint(values + 1024).astype(np.uint16)
            content = dicom_file(
                "CT", stored, number,
                BitsStored=12, HighBit=11, RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU",
                PixelSpacing=["0.8", "0.8"], SliceThickness="1", ImagePositionPatient=[0, 0, float(number)],
                ImageOrientationPatient=[1, 0, 0, 0, 1, 0], KVP="120", WindowCenter="40", WindowWidth="400",
            )  # fmt: skip
            files.append((f"{number:06d}.dcm", content))
        return files
    if modality == "MR":
        stored = np.rint(900 * body()).astype(np.uint16)
        extra = {"PixelSpacing": ["1", "1"], "EchoTime": "30", "RepetitionTime": "500", "WindowCenter": "450"}
        content = dicom_file("MR", stored, 1, BitsStored=12, HighBit=11, WindowWidth="900", **extra)
    elif modality == "CR":
        stored = np.rint(200 + 3500 * body()).astype(np.uint16)
        extra = {"ImagerPixelSpacing": ["0.2", "0.2"], "BodyPartExamined": "CHEST", "ViewPosition": "PA"}
        content = dicom_file(
            "CR", stored, 1, BitsStored=12, HighBit=11, WindowCenter="2048", WindowWidth="4096", **extra
        )
    elif modality == "US":
        grey = np.rint(220 * body(192, 320)).astype(np.uint8)
        content = dicom_file("US", np.repeat(grey[..., None], 3, axis=2), 1)
    elif modality == "PT":
        stored = np.rint(20000 * body()).astype(np.int16)
        content = dicom_file(
            "PT", stored, 1, RescaleSlope="0.37", RescaleIntercept="0", PixelSpacing=["4", "4"]
        )
    else:
        colour = np.stack([220 * body(seed=1), 150 * body(seed=2), 130 * body(seed=3)], axis=2)
        content = dicom_file("XC", np.rint(colour + 20).astype(np.uint8), 1)
    return [("000001.dcm", content)]


def perturbed(
    files: Files, name: str, severity: int, *, seed: int = 7, donor: Files | None = None
) -> PerturbedFiles:
    return perturbed_files(
        files, find(name), severity, case="case-1", seed=seed, key=KEY, donor=donor or files
    )


def pixels(data: Dataset) -> np.ndarray:
    """Stored values as pydicom gives them; of 12-bit JPEG, which it cannot read, by libjpeg-turbo."""
    if data.file_meta.TransferSyntaxUID != JPEGExtended12Bit:
        return np.asarray(data.pixel_array)
    count = int(data.get("NumberOfFrames") or 1)
    frames = [jpeg8_decode(each) for each in generate_frames(data.PixelData, number_of_frames=count)]
    return np.stack(frames) if count > 1 else np.asarray(frames[0])


def values(made: PerturbedFiles | Files) -> list[np.ndarray]:
    """Modality values of each file, read without the product's own code."""
    out = []
    for _, content in made.files if isinstance(made, PerturbedFiles) else made:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(io.BytesIO(content))
            array = pixels(data).astype(np.float64)
        groups = data.get("SharedFunctionalGroupsSequence")
        scale = groups[0].PixelValueTransformationSequence[0] if groups else data
        out.append(array * float(scale.get("RescaleSlope") or 1) + float(scale.get("RescaleIntercept") or 0))
    return out


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Root mean square difference."""
    total = sum(float(((a - b) ** 2).sum()) for a, b in zip(one, other, strict=True))
    return float(np.sqrt(total / sum(a.size for a in one)))
