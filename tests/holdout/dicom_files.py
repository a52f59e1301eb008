"""Small valid DICOM files for tests, with attributes to spoil."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def change(dataset: Dataset, attributes: Mapping[str, Any]) -> None:
    """Set attributes by keyword; None takes one out."""
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)


def dicom_file(
    path: Path, syntax: str = ExplicitVRLittleEndian, *, rows: int = 4, columns: int = 6, **attributes: Any
) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    dataset.PatientID = "P1"
    dataset.Modality = "OT"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(number % 251 for number in range(2 * rows * columns))
    dataset["PixelData"].VR = "OW"
    change(dataset, attributes)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.preamble = bytes(128)
        meta.FileMetaInformationVersion = b"\0\1"
        meta.ImplementationClassUID = "1.2.3.4"
        pydicom.dcmwrite(path, dataset)
    return path
