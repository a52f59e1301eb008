"""JPEG headers (ITU-T T.81): what an image file is, read from its marker segments without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


class JpegError(ValueError):
    """The bytes are not one complete JPEG image; the message says where it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """The frame header of a JPEG image."""

    process: int
    """The SOF marker's low byte: 0xC0 is baseline."""
    precision: int
    rows: int
    columns: int
    components: int
    subsampled: bool
    adobe_transform: int | None

    @property
    def baseline(self) -> bool:
        """Whether DICOM's JPEG Baseline (Process 1) transfer syntax can carry the stream as it is."""
        return self.process == 0xC0 and self.precision == 8 and self.components in (1, 3)


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker segments before the first scan, as (marker, start, end) with the marker's own bytes inside.

    Raises:
        JpegError: no JPEG, or a segment runs past the end.
    """
    if content[:2] != b"\xff\xd8":
        raise JpegError("not a JPEG image: no start-of-image marker")
    position = 2
    while True:
        start = position
        if position + 2 > len(content) or content[position] != 0xFF:
            raise JpegError(f"no marker at byte {position}")
        while position < len(content) and content[position] == 0xFF:
            position += 1
        if position >= len(content):
            raise JpegError("the file ends inside a marker")
        marker = content[position]
        position += 1
        if marker == EOI:
            raise JpegError("the image ends before its first scan")
        if marker in _STANDALONE:
            yield marker, start, position
            continue
        length = int.from_bytes(content[position : position + 2], "big")
        if length < 2 or position + length > len(content):
            raise JpegError(f"the segment at byte {start} runs past the end of the file")
        position += length
        yield marker, start, position
        if marker == SOS:
            return


def read_header(content: bytes) -> JpegHeader:
    """Read the frame header and check that the stream has its end.

    Raises:
        JpegError: not one complete JPEG image.
    """
    adobe: int | None = None
    header: JpegHeader | None = None
    for marker, start, end in segments(content):
        body = content[start + 4 : end]
        if marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _FRAME_HEADERS:
            if len(body) < 6 or len(body) < 6 + 3 * body[5]:
                raise JpegError("the frame header is too short")
            sampling = [body[7 + 3 * component] for component in range(body[5])]
            header = JpegHeader(
                process=marker,
                precision=body[0],
                rows=int.from_bytes(body[1:3], "big"),
                columns=int.from_bytes(body[3:5], "big"),
                components=body[5],
                subsampled=len(set(sampling)) > 1,
                adobe_transform=None,
            )
    if header is None:
        raise JpegError("no frame header before the first scan")
    if header.rows == 0 or header.columns == 0:
        raise JpegError("the image has no rows or no columns")
    if content.rfind(b"\xff\xd9") < 0:
        raise JpegError("truncated: no end-of-image marker")
    return JpegHeader(
        process=header.process,
        precision=header.precision,
        rows=header.rows,
        columns=header.columns,
        components=header.components,
        subsampled=header.subsampled,
        adobe_transform=adobe,
    )
