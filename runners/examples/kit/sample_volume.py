"""What the test asks the model about, a small slice in a patient, and what an answer must look like."""

from model import ANSWER
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ROWS, COLUMNS = 12, 16
LOW, HIGH = (-50.0, 20.0, 7.0), (-50.0 + 0.7 * (COLUMNS - 1), 20.0 + 0.8 * (ROWS - 1), 7.0)
"""Centres of the first and of the last pixel, in mm."""


def write_sample(path):
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    image.ImagePositionPatient, image.ImageOrientationPatient = list(LOW), [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [0.8, 0.7], 2.5
    image.Rows, image.Columns, image.SamplesPerPixel = ROWS, COLUMNS, 1
    image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(range(ROWS * COLUMNS))
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True)


def check(answer):
    assert answer.keys() == ANSWER.keys(), answer
    points, scores = answer["findings"]["points"], answer["findings"]["scores"]
    assert len(points) == 3 * len(scores), answer
    for point in zip(*[iter(points)] * 3, strict=True):
        assert all(low <= at <= high for low, at, high in zip(LOW, point, HIGH, strict=True)), answer
