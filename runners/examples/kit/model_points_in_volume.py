"""The model. Replace ``load`` and ``predict``; the rest of the container can stay as it is."""

import numpy as np
import pydicom

ANSWER = {"findings": {"points": [], "scores": []}}
"""The form of an answer; ``output`` in PROCTOR_TASK says how many findings there may be, and the range of scores."""


def load():
    """Load whatever takes long: weights, libraries. Called once."""
    return ANSWER


def predict(model, paths):
    """Return the findings in the series of these DICOM files: x, y and z of each in mm, and its score.

    Where boxes_in_volume are asked for, ``boxes`` has six numbers in place of ``points``: the lowest x, y and z, then
    the highest. State kept from one case to the next would make answers depend on the order of cases, which
    ``proctor kit check`` reports.
    """
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    # One finding in the middle of whatever is shown: put your model here.
    middle = slices[len(slices) // 2]
    point = in_patient(middle, (middle.Rows - 1) / 2, (middle.Columns - 1) / 2)
    return {"findings": {"points": point, "scores": [0.5]}}


def in_patient(image, row, column):
    """Place in the patient (LPS, mm) of an element of a slice, 0, 0 being its first (DICOM PS3.3 C.7.6.2.1.1)."""
    # The synthetic radiographs of the check have no place in a patient.
    origin = np.array(image.get("ImagePositionPatient") or [0, 0, 0], dtype=float)
    along, down = np.reshape(image.get("ImageOrientationPatient") or [1, 0, 0, 0, 1, 0], (2, 3)).astype(float)
    between_rows, between_columns = map(float, image.get("PixelSpacing") or [1, 1])
    return (origin + column * between_columns * along + row * between_rows * down).tolist()
