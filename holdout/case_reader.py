"""Reads staged cases for contracts that ask for more than DICOM files: one decoded image, or some attributes.

What is read is the view that the container would get, never the original, so nothing comes out of it that the
protocol does not show. Masks that containers leave as files are read here too, on the grid of the images that they were
asked about. All of it is parsed and decoded in child processes with limits of memory and time.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from holdout.answered_mask import AnsweredMask, read_answered_mask
from holdout.bounded import BoundedPool, Failure
from holdout.case_volume import CaseVolume, case_volume
from holdout.decoding import DecodingLimits
from holdout.errors import DecodingError, MaskError
from holdout.image_grid import ImageGrid, read_grid
from holdout.mask_runs import from_numbers

Attributes = Mapping[str, Mapping[str, Any]]
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a child is to do: ``attributes`` by ``keywords``, ``volume`` or ``grid`` of a case, or read a ``mask``."""

    what: Literal["attributes", "volume", "grid", "mask"]
    folder: str = ""
    files: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    content: bytes = b""
    grid: ImageGrid | None = None
    value: int | None = None
    resample: bool = False
    runs: int = 0


_Found = CaseVolume | ImageGrid | AnsweredMask | dict[str, dict[str, Any]]


_AGE_UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


class CaseReader:
    """Child processes that read cases, and masks, started when they are first needed; a context manager."""

    def __init__(self, limits: DecodingLimits | None = None) -> None:
        self._limits = limits or DecodingLimits(decoded_bytes=1 << 30, seconds_per_file=120.0)
        # What a container wrote is read by a child of its own, which never sees an image: whatever such bytes do to
        # their reader ends with masks.
        self._pools: dict[bool, BoundedPool[_Order, _Found]] = {}
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools = {}

    def volume(self, folder: Path, files: Sequence[str]) -> CaseVolume:
        """Decode ``files`` as one image.

        Raises:
            DecodingError: they are not one image, cannot be decoded, or a limit was reached.
        """
        return self._expected(CaseVolume, _Order(what="volume", folder=str(folder), files=tuple(files)))

    def grid(self, folder: Path, files: Sequence[str]) -> ImageGrid:
        """Where the elements of a case's images lie, by their headers.

        Raises:
            DecodingError: a header cannot be read, or the images have no common grid.
        """
        return self._expected(ImageGrid, _Order(what="grid", folder=str(folder), files=tuple(files)))

    def mask(
        self, content: bytes, grid: ImageGrid, *, value: int | None, resample: bool, runs: int
    ) -> AnsweredMask:
        """Read a mask that a container wrote, on the grid of its case; a file that breaks its reader is unreadable.

        Raises:
            DecodingError: the host's side failed.
        """
        order = _Order(what="mask", content=content, grid=grid, value=value, resample=resample, runs=runs)
        try:
            found = self._expected(AnsweredMask, order)
            if found.problem:
                return found
            # The child has read hostile bytes: what it says is believed as far as it is a mask of this shape.
            fits = from_numbers(found.numbers).shape == grid.shape and len(found.numbers) <= runs + 4
        except (_ReaderDiedError, MaskError) as broken:
            return AnsweredMask(problem="unreadable", detail=str(broken))
        return found if fits else AnsweredMask(problem="unreadable", detail="its reader is broken")

    def attributes(self, folder: Path, files: Sequence[str], keywords: Sequence[str]) -> Attributes:
        """Values of ``keywords`` by file and keyword, plain; what a file does not have is absent.

        Raises:
            DecodingError: a file cannot be read.
        """
        order = _Order(what="attributes", folder=str(folder), files=tuple(files), keywords=tuple(keywords))
        found: Attributes = self._expected(dict, order)
        return found

    def _expected(self, kind: type[Answered], order: _Order) -> Answered:
        found = self._read(order)
        if not isinstance(found, kind):
            raise DecodingError("The process that reads images answered with something else.")
        return found

    def _read(self, order: _Order) -> _Found:
        with self._guard:
            pool = self._pools.get(order.what == "mask")
            if pool is None:
                pool = self._pools[order.what == "mask"] = BoundedPool(
                    partial(_read, self._limits.decoded_bytes),
                    processes=1,
                    memory_bytes=self._limits.memory_bytes,
                    seconds_per_task=self._limits.seconds_per_file,
                    largest_chunk=1,
                ).__enter__()
            ((_, result),) = pool.map([order])
        if isinstance(result, Failure):
            if order.what == "mask":
                raise _ReaderDiedError(f"the process that read it failed ({result.code})")
            name, _, reason = result.detail.partition(": ")
            known = name in ("DecodingError", "ImageDefect")
            reason = reason if known else result.code
            raise DecodingError(f"A staged case cannot be read as an image: {reason.rstrip('.')}.")
        return result


class _ReaderDiedError(DecodingError):
    """A child ended while it read what a container wrote."""


def _read(largest: int, order: _Order) -> _Found:
    """Carry out one order in the child."""
    paths = [Path(order.folder, name) for name in order.files]
    match order.what:
        case "volume":
            return case_volume(paths, largest)
        case "grid":
            return read_grid(paths)
        case "mask":
            assert order.grid is not None
            return read_answered_mask(
                order.content,
                order.grid,
                value=order.value,
                resample=order.resample,
                runs=order.runs,
                most=largest,
            )
        case _:
            return {path.name: _attributes(path, order.keywords) for path in paths}


def _attributes(path: Path, keywords: tuple[str, ...]) -> dict[str, Any]:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(keywords))
        found = {keyword: _plain(dataset[keyword]) for keyword in keywords if keyword in dataset}
    return {keyword: value for keyword, value in found.items() if value is not None}


def _plain(element: Any) -> Any:
    """Value of an element as JSON has it; ages in years (PS3.5, 6.2: AS)."""
    value = element.value
    if value is None or value == "" or element.VR == "SQ" or isinstance(value, bytes):
        return None
    if element.VR == "AS":
        text = str(value)
        return (
            round(int(text[:3]) / _AGE_UNITS[text[3]], 2)
            if text[:3].isdigit() and text[3:] in _AGE_UNITS
            else None
        )
    items = [_item(element.VR, item) for item in (value if element.VM > 1 else [value])]
    return items if element.VM > 1 else items[0]


def _item(representation: str, value: Any) -> Any:
    if representation in ("IS", "US", "SS", "UL", "SL", "UV", "SV"):
        return int(value)
    return float(value) if representation in ("DS", "FL", "FD") else str(value)
