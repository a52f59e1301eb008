"""What the test asks the model about, a small image, and what an answer must look like."""

import math

from model import ANSWER
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ROWS, COLUMNS = 12, 16


def write_sample(path):
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
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
    if "mask" in answer:
        shape, runs = answer["mask"]["shape"], answer["mask"]["runs"]
        assert shape == [ROWS, COLUMNS], shape
        assert sum(runs) == math.prod(shape), runs
        assert all(run > 0 for run in runs[1:]), runs
    else:
        boxes, scores = answer["findings"]["boxes"], answer["findings"]["scores"]
        assert len(boxes) == 4 * len(scores), answer
        for left, top, right, bottom in zip(*[iter(boxes)] * 4, strict=True):
            assert 0 <= left < right <= COLUMNS, answer
            assert 0 <= top < bottom <= ROWS, answer
