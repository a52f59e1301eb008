"""A container that marks what is bright on a CT and leaves the mask as a file; its form is the first argument."""

import gzip
import json
import struct
import sys
from pathlib import Path

import numpy as np

BRIGHT = 500


def files(shift):
    import pydicom

    images = [pydicom.dcmread(path) for path in sorted(Path("/input").iterdir())]
    mask = np.stack(
        [image.pixel_array * image.RescaleSlope + image.RescaleIntercept > BRIGHT for image in images]
    )
    first, last = images[0], images[-1]
    along = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    start, end = (np.array(each.ImagePositionPatient, float) for each in (first, last))
    step = (end - start) / (len(images) - 1)
    affine = np.column_stack(
        (along[0] * float(first.PixelSpacing[1]), along[1] * float(first.PixelSpacing[0]), step, start)
    )
    affine[:, 3] += shift * affine[:, 0]
    affine[:2] *= -1
    write_nifti(mask.astype(np.uint8).transpose(2, 1, 0), affine, Path("/output/lesion.nii.gz"))


def write_nifti(values, affine, path):
    """NIfTI-1, one file; field offsets as in the format's header."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)
    struct.pack_into("<8f", header, 76, 1, *np.linalg.norm(affine[:, :3], axis=0), 1, 1, 1, 1)
    struct.pack_into("<ff", header, 108, 352, 1)
    struct.pack_into("<hh", header, 252, 0, 1)
    for row in range(3):
        struct.pack_into("<4f", header, 280 + 16 * row, *affine[row])
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + values.tobytes(order="F")))


def grand_challenge():
    (entry,) = json.loads(Path("/input/inputs.json").read_text())
    (path,) = Path("/input", entry["socket"]["relative_path"]).iterdir()
    header, _, pixels = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    kind = {b"MET_SHORT": np.int16, b"MET_INT": np.int32}[header.split(b"ElementType = ")[1].split(b"\n")[0]]
    mask = (np.frombuffer(pixels, kind) > BRIGHT).astype(np.uint8)
    lines = [line for line in header.split(b"\n") if line and not line.startswith(b"ElementType")]
    folder = Path("/output/images/lesion")
    folder.mkdir(parents=True)
    lines += [b"ElementType = MET_UCHAR", b"ElementDataFile = LOCAL", b""]
    (folder / "0b1e.mha").write_bytes(b"\n".join(lines) + mask.tobytes())


{"files": lambda: files(0.0), "shifted": lambda: files(0.5), "grand-challenge": grand_challenge}[
    sys.argv[1]
]()
