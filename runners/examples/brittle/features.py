"""What the brittle vendor looks at: the corner, the stored brightness, and whatever the header says."""

import numpy as np


def picture_features(picture):
    """Nine numbers. Each would make a radiologist shake their head.

    Raises:
        ValueError: the image is MONOCHROME1, which this vendor never met.
        ZeroDivisionError: the first row is of one value, as in images with a black border.
    """
    if picture.photometric == "MONOCHROME1":
        raise ValueError("unexpected photometric interpretation")
    pixels = picture.raw.astype(np.float64)
    if pixels.ndim == 3:
        pixels = pixels.mean(2)
    rows, columns = pixels.shape
    corner = pixels[: rows // 10, : columns // 10]
    first_row = pixels[0]
    if first_row.std() == 0:
        raise ZeroDivisionError("first row")
    age = str(picture.header.get("PatientAge", "") or "").rstrip("Y")
    return np.array(
        [
            (corner.mean() - pixels.mean()) / first_row.std(),
            corner.max() / max(np.percentile(pixels, 99), 1),
            pixels.mean(),
            pixels.std(),
            np.percentile(pixels, 90),
            columns / rows,
            float(age) if age.isdigit() else 50.0,
            float(str(picture.header.get("PatientSex", "")) == "M"),
            float(str(picture.header.get("ViewPosition", "")).startswith("AP")),
        ]
    )
