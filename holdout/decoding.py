"""Decode pixel data in a bounded child process, by pinned decoders, and say which one did it.

Decoders disagree on lossy images by a grey level or more, so the decoder, its version and a hash of the
decoded array belong to every result that rests on decoded pixels. Only permissively licensed decoders are
used: pydicom (MIT; native and RLE), gdcm (BSD), CharPyLS (MIT), OpenJPEG (BSD), Pillow (MIT-CMU).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.attributes import row_columns
from holdout.bounded import BoundedPool, Failure
from holdout.elements import NATIVE
from holdout.errors import DecodingError
from holdout.headers import ReadLimits, read_header
from holdout.packed_bits import is_packed, packed_frame

_DISTRIBUTIONS = {
    "pydicom": "pydicom",
    "gdcm": "python-gdcm",
    "pyjpegls": "pyjpegls",
    "pylibjpeg": "pylibjpeg-openjpeg",
    "pillow": "pillow",
}
_JPEG = ("gdcm", "pillow")
_JPEG_2000 = ("pylibjpeg", "gdcm")
_JPEG_LS = ("pyjpegls", "gdcm")
_DECODERS: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.5": ("pydicom",),
    "1.2.840.10008.1.2.4.50": _JPEG,
    "1.2.840.10008.1.2.4.51": _JPEG,
    "1.2.840.10008.1.2.4.57": ("gdcm",),
    "1.2.840.10008.1.2.4.70": ("gdcm",),
    "1.2.840.10008.1.2.4.80": _JPEG_LS,
    "1.2.840.10008.1.2.4.81": _JPEG_LS,
    "1.2.840.10008.1.2.4.90": _JPEG_2000,
    "1.2.840.10008.1.2.4.91": _JPEG_2000,
    "1.2.840.10008.1.2.4.201": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.202": ("pylibjpeg",),
    "1.2.840.10008.1.2.4.203": ("pylibjpeg",),
}
"""Decoders by transfer syntax, the preferred one first (measured: correct on most real files, then speed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingLimits:
    """Bounds for decoding one file: decoded bytes, address space of the child, wall-clock seconds."""

    decoded_bytes: int = 256 << 20
    memory_bytes: int = 3 << 30
    seconds_per_file: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """Decoded pixels with the decoder that made them.

    ``array`` has the shape (rows, columns) or (frames, rows, columns), and a last axis of 3 for colour, which
    is RGB. ``sha256`` is over its bytes in C order, little endian.
    """

    array: npt.NDArray[Any]
    plugin: str
    plugin_version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedDigest:
    """What identifies decoded pixels: type, shape, hash; and the decoder."""

    dtype: str
    shape: tuple[int, ...]
    sha256: str
    plugin: str
    plugin_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoded:
    digest: DecodedDigest
    data: bytes | None


def decode(path: Path, limits: DecodingLimits | None = None) -> DecodedImage:
    """Decode one file in a child process.

    Raises:
        DecodingError: no sound image, too large, no decoder that can read it, or a limit was reached.
    """
    ((_, result),) = decode_all([path], limits, processes=1)
    if isinstance(result, Failure):
        raise DecodingError(f"{path.name} cannot be decoded: {_reason(result)}.")
    return result


def decode_all(
    paths: Iterable[Path], limits: DecodingLimits | None = None, *, processes: int | None = None
) -> Iterator[tuple[Path, DecodedImage | Failure]]:
    """Decode files in child processes, in the order given; a file that cannot be decoded yields a failure."""
    for path, result in _map(paths, limits, processes, keep=True):
        if isinstance(result, Failure):
            yield path, result
            continue
        digest = result.digest
        try:
            array = np.frombuffer(result.data or b"", dtype=np.dtype(digest.dtype)).reshape(digest.shape)
        except (TypeError, ValueError):
            yield path, Failure(code="exception", detail="the decoder's answer contradicts itself")
            continue
        # The child is not believed: what is recorded is the hash of what arrived.
        yield (
            path,
            DecodedImage(
                array=array,
                plugin=digest.plugin,
                plugin_version=digest.plugin_version,
                sha256=hashlib.sha256(array.tobytes()).hexdigest(),
            ),
        )


def decoded_digests(
    paths: Iterable[Path], limits: DecodingLimits | None = None, *, processes: int | None = None
) -> Iterator[tuple[Path, DecodedDigest | Failure]]:
    """Hash decoded pixels in child processes, in the order given, without bringing the pixels here."""
    for path, result in _map(paths, limits, processes, keep=False):
        yield path, result if isinstance(result, Failure) else result.digest


def _map(
    paths: Iterable[Path], limits: DecodingLimits | None, processes: int | None, *, keep: bool
) -> Iterator[tuple[Path, _Decoded | Failure]]:
    limits = limits or DecodingLimits()
    pool: BoundedPool[Path, _Decoded] = BoundedPool(
        partial(_decode, limits, keep),
        processes=processes,
        memory_bytes=limits.memory_bytes,
        seconds_per_task=limits.seconds_per_file,
        largest_chunk=8,
    )
    with pool:
        yield from pool.map(paths, ordered=True)


def _reason(failure: Failure) -> str:
    words = {
        "timeout": "it took too long",
        "memory": "it needs too much memory",
        "crash": "the decoder crashed",
    }
    if failure.code == "exception":
        return failure.detail.removeprefix("DecodingError: ").rstrip(".")
    return f"{words[failure.code]} ({failure.detail})"


def _decode(limits: DecodingLimits, keep: bool, path: Path) -> _Decoded:
    import pydicom

    row = dict(zip(row_columns(), read_header(str(path.parent), path.name, ReadLimits()), strict=True))
    if row["status"] != "ok":
        raise DecodingError(f"it is {row['status']}: {row['defect']}")
    _check_size(row, limits)
    syntax = str(row["transfer_syntax_uid"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        array, plugin = decoded_array(dataset, syntax)
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    digest = DecodedDigest(
        dtype=little.dtype.str,
        shape=tuple(int(length) for length in little.shape),
        sha256=hashlib.sha256(little.tobytes()).hexdigest(),
        plugin=plugin,
        plugin_version=importlib.metadata.version(_DISTRIBUTIONS[plugin]),
    )
    return _Decoded(digest=digest, data=little.tobytes() if keep else None)


def _check_size(row: dict[str, Any], limits: DecodingLimits) -> None:
    """Refuse before a decoder allocates: 8 KB of JPEG 2000 can claim 4 GB of pixels."""
    if row["pixel_sample"] is None:
        raise DecodingError("it has no pixel data")
    # One byte at least for each value: packed bits and 12-bit samples unfold when decoded.
    value_bytes = max(1, (row["bits_allocated"] + 7) // 8)
    samples = row["samples_per_pixel"] * (row["number_of_frames"] or 1)
    size = row["rows"] * row["columns"] * samples * value_bytes
    if size > limits.decoded_bytes:
        raise DecodingError(
            f"its pixels take {size} bytes, more than the limit of {limits.decoded_bytes} bytes"
        )


def decoded_frame(dataset: Any, index: int) -> npt.NDArray[Any]:
    """Decode frame ``index`` (from 0) of a pydicom dataset as :func:`decoded_array` does.

    Raises:
        DecodingError: no decoder for its transfer syntax, or none succeeds.
    """
    syntax = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID") or "")
    try:
        if is_packed(dataset, syntax):
            return packed_frame(dataset, syntax, index)
        array, _ = decoded_array(dataset, syntax, index=index)
    except (AttributeError, ValueError, TypeError, KeyError) as error:
        raise DecodingError("its pixel data and its header contradict each other") from error
    return array


def decoded_array(dataset: Any, syntax: str, *, index: int | None = None) -> tuple[npt.NDArray[Any], str]:
    """Decode the pixels of a pydicom dataset here, by the pinned decoders; call it in a bounded child only.

    Returns the array (colour as RGB), of frame ``index`` or of all, and the name of the decoder.

    Raises:
        DecodingError: no decoder for this transfer syntax, or none succeeds.
    """
    from pydicom.pixels.decoders.base import get_decoder

    if syntax in NATIVE:
        array, _ = get_decoder(syntax).as_array(dataset, index=index)
        return array, "pydicom"
    wanted = _DECODERS.get(syntax, ())
    if not wanted:
        raise DecodingError(f"no decoder for transfer syntax {syntax}")
    decoder = get_decoder(syntax)
    reasons = []
    for plugin in wanted:
        if plugin not in decoder.available_plugins:
            reasons.append(f"{plugin} is not installed")
            continue
        try:
            array, _ = decoder.as_array(dataset, index=index, decoding_plugin=plugin)
        except MemoryError:
            raise
        except Exception as error:
            # Decoders of many makers raise whatever they like on broken pixels; the next one may do better.
            reasons.append(f"{plugin}: {type(error).__name__}")
        else:
            return array, plugin
    raise DecodingError(f"no decoder succeeds ({'; '.join(reasons)})")
