"""A container that answers where in the patient, in mm, bright elements hang together, with their brightness.

As a worker it reads DICOM slices; as a Grand Challenge algorithm one MetaImage, and writes the platform's "Multiple
points". The contract is the first argument.
"""

import json
import sys
from pathlib import Path

import numpy as np


def objects(mask):
    """Indices of the elements of each object, across faces."""
    left = {tuple(place) for place in np.argwhere(mask).tolist()}
    while left:
        found, border = [], [left.pop()]
        while border:
            place = border.pop()
            found.append(place)
            for axis in range(3):
                for step in (-1, 1):
                    near = tuple(at + step * (axis == own) for own, at in enumerate(place))
                    if near in left:
                        left.remove(near)
                        border.append(near)
        yield np.array(found)


def findings(values, place):
    """(point, score) of each object of stored values of at least 1,000; ``place`` gives mm of (slice, row, column)."""
    for own in objects(values >= 1000):
        point = np.mean([place(*each) for each in own], axis=0)
        yield point.tolist(), float(values[tuple(own.T)].max()) / 4000


def of_slices(images):
    def place(number, row, column):
        image = images[number]
        along, down = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        between_rows, between_columns = map(float, image.PixelSpacing)
        start = np.array(image.ImagePositionPatient, dtype=float)
        return start + column * between_columns * along + row * between_rows * down

    return list(findings(np.stack([image.pixel_array for image in images]), place))


def worker():
    import pydicom

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        images = [pydicom.dcmread(Path(question["directory"]) / name) for name in question["files"]]
        said = {"refused": "not_supported"}
        if all("ImagePositionPatient" in image for image in images):
            found = of_slices(images)
            points = [axis for point, _ in found for axis in point]
            said = {"answer": {"findings": {"points": points, "scores": [score for _, score in found]}}}
        print(json.dumps({"case": question["case"], **said}), flush=True)


def grand_challenge():
    import mha

    (path,) = Path("/input/images/chest-ct").iterdir()
    header, values = mha.read(path)
    found = []
    if values.ndim == 3:
        offset, spacing = (np.array(header[name].split(), float) for name in ("Offset", "ElementSpacing"))
        # Directions of columns, rows and slices, one after another.
        axes = np.reshape(header["TransformMatrix"].split(), (3, 3)).astype(float)

        def place(number, row, column):
            return offset + (np.array([column, row, number]) * spacing) @ axes

        # What the scanner stored, without the rescale that the host applied.
        found = list(findings(values.astype(int) + 1024, place))
    points = [{"name": "nodule", "point": point, "probability": score} for point, score in found]
    answer = {"type": "Multiple points", "version": {"major": 1, "minor": 0}, "points": points}
    Path("/output/nodules.json").write_text(json.dumps(answer))


{"worker": worker, "grand-challenge": grand_challenge}[sys.argv[1]]()
