"""Reading a DICOM image into numpy, the same way at training and in the container."""

import functools
import io

import numpy as np
import pydicom
import pydicom.encaps
from PIL import Image


class Picture:
    """Pixels as stored (``raw``: rows x columns, or rows x columns x 3 RGB), and the header."""

    def __init__(self, path):
        self.header = pydicom.dcmread(path)
        self.photometric = str(self.header.get("PhotometricInterpretation", "MONOCHROME2"))
        if self.header.file_meta.TransferSyntaxUID.is_compressed:
            self.raw = _decoded(self.header)
        else:
            if hasattr(self.header, "pixel_array_options"):
                # From version 3 on, the library converts colours unasked.
                self.header.pixel_array_options(raw=True)
            self.raw = self.header.pixel_array
            if self.photometric.startswith("YBR_FULL"):
                self.raw = np.asarray(Image.fromarray(self.raw, "YCbCr").convert("RGB"))

    @property
    def grey(self):
        """Brightness as a viewer shows it, as float: inverted where MONOCHROME1 says so."""
        pixels = self.raw.astype(np.float32)
        if pixels.ndim == 3:
            return pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        return pixels.max() - pixels if self.photometric == "MONOCHROME1" else pixels


def resized(pixels, side):
    """``pixels`` (two dimensions) averaged down, or up, to ``side`` x ``side``."""
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(pixels, np.float32)).resize((side, side), Image.BOX)
    )


def blurred(pixels, sigma):
    """Gaussian blur with mirrored borders."""
    rows, columns = pixels.shape
    return _blur_matrix(rows, sigma) @ pixels @ _blur_matrix(columns, sigma).T


@functools.cache
def _blur_matrix(size, sigma):
    """The blur of one axis as a matrix: for small images, multiplying is the fastest way."""
    radius = max(1, round(3 * sigma))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix = np.zeros((size, size), np.float32)
    for row in range(size):
        mirrored = np.abs(row + offsets) % (2 * size - 2)
        np.add.at(matrix[row], np.minimum(mirrored, 2 * size - 2 - mirrored), kernel / kernel.sum())
    return matrix


def _decoded(header):
    """Let Pillow decode the first frame, which gives RGB whatever the colour space of the JPEG."""
    frames = getattr(pydicom.encaps, "generate_frames", None)
    if frames is not None:
        frame = next(frames(header.PixelData, number_of_frames=1))
    else:
        frame = next(pydicom.encaps.generate_pixel_data_frame(header.PixelData, 1))
    image = Image.open(io.BytesIO(frame))
    colour = int(header.get("SamplesPerPixel", 1)) == 3
    return np.asarray(image.convert("RGB" if colour else "L"))
