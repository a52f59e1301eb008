"""Write pixels in each transfer syntax for which a permissively licensed encoder exists.

Native (PS3.5 A.1 to A.3, A.5): pydicom. RLE (annex G): pydicom. JPEG lossless processes 14 and 14 SV1
(ISO 10918-1): gdcm. JPEG baseline and 12-bit extended: libjpeg-turbo, through imagecodecs. JPEG-LS (ISO 14495-1):
CharLS. JPEG 2000 (ISO 15444-1): OpenJPEG. High-throughput JPEG 2000 (ISO 15444-15): OpenJPH, through imagecodecs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid as uids
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.tag import Tag

from sandbox.stress.case import Image, set_stored, stored_range, stored_values
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.undecoded import has, number_of, set_number, set_text

NATIVE = frozenset(
    {
        str(uids.ImplicitVRLittleEndian),
        str(uids.ExplicitVRLittleEndian),
        str(uids.ExplicitVRBigEndian),
        str(uids.DeflatedExplicitVRLittleEndian),
    }
)
_HTJ2K = frozenset({str(uids.HTJ2KLossless), str(uids.HTJ2KLosslessRPCL)})
_LOWEST_RESOLUTION = 64
"""Most rows and columns of the lowest resolution of HTJ2K with RPCL options (PS3.5 10.18)."""
_PIXEL_DATA = Tag("PixelData")
_METHODS = {
    str(uids.JPEGBaseline8Bit): "ISO_10918_1",
    str(uids.JPEGExtended12Bit): "ISO_10918_1",
    str(uids.JPEGLSNearLossless): "ISO_14495_1",
    str(uids.JPEG2000): "ISO_15444_1",
}
IntegerArray = NDArray[Any]


def encode(image: Image, syntax: str, *, quality: float = 0.0) -> None:
    """Encode an image in a transfer syntax and set every attribute that depends on it.

    ``quality`` is for lossy ones: the quality of JPEG (libjpeg's 1 to 100), the largest error of JPEG-LS in grey
    levels, the compression ratio of JPEG 2000.

    Raises:
        NotApplicableError: the image is of a form that the transfer syntax cannot carry.
    """
    array = stored_values(image)
    if syntax in NATIVE:
        native(image, array)
        if syntax == str(uids.ExplicitVRBigEndian) and array.dtype.itemsize > 1:
            # pydicom writes OW as it is given, so the words are swapped here.
            image.dataset.PixelData = array.astype(array.dtype.newbyteorder(">")).tobytes()
        image.syntax = syntax
        return
    dataset = image.dataset
    _describe(image, array)
    frame_encoder = _frame_encoder(image, syntax, quality)
    streams = [frame_encoder(np.ascontiguousarray(frame)) for frame in array]
    uncompressed = array.nbytes
    _put_pixel_data(dataset, encapsulate(streams), array.dtype.itemsize * 8, True)
    image.syntax = syntax
    if syntax in _METHODS:
        dataset.LossyImageCompression = "01"
        ratios, methods = [dataset.get(f"LossyImageCompression{name}") or [] for name in ("Ratio", "Method")]
        ratios, methods = [
            [value] if isinstance(value, str | float) else list(value) for value in (ratios, methods)
        ]
        ratio = f"{max(uncompressed / sum(map(len, streams)), 0.01):.6g}"
        known = len(ratios) == len(methods)
        dataset.LossyImageCompressionRatio = [*(ratios if known else []), ratio]
        dataset.LossyImageCompressionMethod = [*(methods if known else []), _METHODS[syntax]]


def native(image: Image, array: IntegerArray) -> None:
    """Put uncompressed pixels into the dataset, and the attributes that say how they lie there."""
    _describe(image, array)
    content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    _put_pixel_data(image.dataset, content + b"\0" * (len(content) % 2), array.dtype.itemsize * 8, False)
    image.syntax = str(uids.ExplicitVRLittleEndian)


def _describe(image: Image, array: IntegerArray) -> None:
    """Set the attributes that say how pixels lie in the file, as they do uncompressed."""
    dataset = image.dataset
    set_stored(image, array)
    samples = 3 if array.ndim == 4 else 1
    set_number(dataset, "SamplesPerPixel", samples)
    bits = array.dtype.itemsize * 8
    if samples == 3:
        set_text(dataset, "PhotometricInterpretation", "RGB")
        numbers = {
            "PlanarConfiguration": 0,
            "PixelRepresentation": 0,
            "BitsStored": bits,
            "HighBit": bits - 1,
        }
        for keyword, value in numbers.items():
            set_number(dataset, keyword, value)
        for colour in ("Red", "Green", "Blue"):
            for part in ("Descriptor", "Data"):
                dataset.pop(f"{colour}PaletteColorLookupTable{part}", None)
    elif has(dataset, "PlanarConfiguration"):
        del dataset.PlanarConfiguration
    set_number(dataset, "BitsAllocated", bits)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        dataset.pop(keyword, None)


def _put_pixel_data(dataset: Dataset, content: bytes, bits: int, encapsulated: bool) -> None:
    element = DataElement(_PIXEL_DATA, "OW" if bits > 8 and not encapsulated else "OB", content)
    element.is_undefined_length = encapsulated
    dataset[_PIXEL_DATA] = element


def _frame_encoder(image: Image, syntax: str, quality: float) -> Callable[[IntegerArray], bytes]:
    dataset = image.dataset
    colour = image.colour
    low, _ = stored_range(dataset)
    bits = number_of(dataset, "BitsStored")
    if syntax == str(uids.RLELossless):
        encoder = get_encoder(uids.RLELossless)
        return lambda frame: bytes(
            encoder.encode(frame.tobytes(), encoding_plugin="pydicom", **_description(image, frame))
        )
    if syntax in (str(uids.JPEGLossless), str(uids.JPEGLosslessSV1)):
        return lambda frame: _gdcm(frame, syntax, bits, int(dataset.PixelRepresentation), colour)
    if syntax == str(uids.JPEGBaseline8Bit):
        if number_of(dataset, "BitsAllocated") != 8 or low < 0:
            raise NotApplicableError("JPEG baseline holds 8-bit pixels only")
        if colour:
            set_text(dataset, "PhotometricInterpretation", "YBR_FULL_422")
        return lambda frame: _jpeg(frame, int(quality))
    if syntax == str(uids.JPEGExtended12Bit):
        if colour or low < 0 or bits != 12:
            raise NotApplicableError("JPEG Extended is for grey pixels of 12 bits here")
        return lambda frame: _even(imagecodecs.jpeg8_encode(frame, int(quality), bitspersample=12))
    if syntax in (str(uids.JPEGLSLossless), str(uids.JPEGLSNearLossless)):
        import jpeg_ls  # type: ignore[import-untyped]

        if low < 0:
            # CharLS takes the sign bit for the highest grey level, which near-lossless coding would smear.
            assert not quality
            return lambda frame: bytes(
                get_encoder(uids.JPEGLSLossless).encode(frame.tobytes(), **_description(image, frame))
            )
        return lambda frame: bytes(
            jpeg_ls.encode_pixel_data(
                frame.tobytes(),
                rows=frame.shape[0],
                columns=frame.shape[1],
                samples_per_pixel=3 if colour else 1,
                bits_stored=bits,
                lossy_error=int(quality),
                interleave_mode=2 if colour else 0,
            )
        )
    if syntax in (str(uids.JPEG2000Lossless), str(uids.JPEG2000)):
        lossy = syntax == str(uids.JPEG2000)
        if colour:
            set_text(dataset, "PhotometricInterpretation", "YBR_ICT" if lossy else "YBR_RCT")
        ratios = [float(quality)] if lossy else None
        return lambda frame: _jpeg_2000(frame, bits, colour, ratios)
    if syntax in _HTJ2K:
        # The stream is as deep as the array, and the header must say what the stream says.
        set_number(dataset, "BitsStored", number_of(dataset, "BitsAllocated"))
        set_number(dataset, "HighBit", number_of(dataset, "BitsAllocated") - 1)
        if colour:
            set_text(dataset, "PhotometricInterpretation", "YBR_RCT")
        return _htj2k
    raise NotApplicableError("there is no encoder for this transfer syntax")


def _description(image: Image, frame: IntegerArray) -> dict[str, Any]:
    dataset = image.dataset
    return {
        "rows": frame.shape[0],
        "columns": frame.shape[1],
        "samples_per_pixel": 3 if image.colour else 1,
        "number_of_frames": 1,
        "bits_allocated": int(dataset.BitsAllocated),
        "bits_stored": int(dataset.BitsStored),
        "pixel_representation": int(dataset.PixelRepresentation),
        "photometric_interpretation": str(dataset.PhotometricInterpretation),
        "planar_configuration": 0,
    }


def _jpeg_2000(frame: IntegerArray, bits: int, colour: bool, ratios: list[float] | None) -> bytes:
    from openjpeg.utils import encode_array

    try:
        return bytes(
            encode_array(
                frame,
                bits_stored=bits,
                photometric_interpretation=1 if colour else 2,
                use_mct=colour,
                compression_ratios=ratios,
            )
        )
    except RuntimeError as exc:
        # Six wavelet levels need some 32 rows and columns.
        raise NotApplicableError("the JPEG 2000 encoder does not take this image (too small?)") from exc


def _jpeg(frame: IntegerArray, quality: int) -> bytes:
    if frame.ndim == 2:
        return _even(imagecodecs.jpeg8_encode(frame, quality))
    # 4:2:2 is what Photometric Interpretation YBR_FULL_422 promises.
    return _even(
        imagecodecs.jpeg8_encode(frame, quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="422")
    )


def _htj2k(frame: IntegerArray) -> bytes:
    halvings = max(math.ceil(math.log2(max(frame.shape[:2]) / _LOWEST_RESOLUTION)), 5)
    # Progression by resolution and markers of tile lengths: what the RPCL transfer syntax asks for, the other allows.
    return _even(imagecodecs.htj2k_encode(frame, reversible=True, resolutions=halvings, tlm=True))


def _even(stream: bytes | bytearray) -> bytes:
    return bytes(stream) + b"\0" * (len(stream) % 2)


def _gdcm(frame: IntegerArray, syntax: str, bits: int, signed: int, colour: bool) -> bytes:
    import gdcm  # type: ignore[import-untyped]

    # The image must belong to a writer: gdcm counts references, and a bare gdcm.Image ends the process.
    writer = gdcm.ImageWriter()
    picture = writer.GetImage()
    # gdcm does not take an odd number of bytes; a second frame of the same pixels makes it even.
    copies = 1 + frame.nbytes % 2
    picture.SetNumberOfDimensions(1 + copies)
    picture.SetDimensions((frame.shape[1], frame.shape[0], copies))
    kind = gdcm.PhotometricInterpretation.RGB if colour else gdcm.PhotometricInterpretation.MONOCHROME2
    picture.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    picture.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.ImplicitVRLittleEndian))
    samples = 3 if colour else 1
    picture.SetPixelFormat(gdcm.PixelFormat(samples, frame.dtype.itemsize * 8, bits, bits - 1, signed))
    if colour:
        picture.SetPlanarConfiguration(0)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes() * copies)
    picture.SetDataElement(element)
    converter = gdcm.ImageChangeTransferSyntax()
    converter.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    converter.SetInput(picture)
    fragments = None
    if converter.Change():
        output = converter.GetOutput()
        fragments = output.GetDataElement().GetSequenceOfFragments()
    if fragments is None or fragments.GetNumberOfFragments() != copies:
        raise NotApplicableError("the JPEG lossless encoder does not take this image")
    stream = fragments.GetFragment(0).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
    return bytes(stream)
