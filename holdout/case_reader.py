"""Reads staged cases for contracts that ask for more than DICOM files: one decoded image, or some attributes.

What is read is the view that the container would get, never the original, so nothing comes out of it that the
protocol does not show. Files are parsed and decoded in child processes with limits of memory and time.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from holdout.bounded import BoundedPool, Failure
from holdout.case_volume import CaseVolume, case_volume
from holdout.decoding import DecodingLimits
from holdout.errors import DecodingError

Attributes = Mapping[str, Mapping[str, Any]]
_Order = tuple[str, tuple[str, ...], tuple[str, ...]]

_AGE_UNITS = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


class CaseReader:
    """One child process that reads cases, started when it is first needed; a context manager."""

    def __init__(self, limits: DecodingLimits | None = None) -> None:
        self._limits = limits or DecodingLimits(decoded_bytes=1 << 30, seconds_per_file=120.0)
        self._pool: BoundedPool[_Order, CaseVolume | dict[str, dict[str, Any]]] | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def volume(self, folder: Path, files: Sequence[str]) -> CaseVolume:
        """Decode ``files`` as one image.

        Raises:
            DecodingError: they are not one image, cannot be decoded, or a limit was reached.
        """
        found = self._read((str(folder), tuple(files), ()))
        if not isinstance(found, CaseVolume):
            raise DecodingError("The process that decodes images answered with something else.")
        return found

    def attributes(self, folder: Path, files: Sequence[str], keywords: Sequence[str]) -> Attributes:
        """Values of ``keywords`` by file and keyword, plain; what a file does not have is absent.

        Raises:
            DecodingError: a file cannot be read.
        """
        found = self._read((str(folder), tuple(files), tuple(keywords)))
        if not isinstance(found, dict):
            raise DecodingError("The process that reads images answered with something else.")
        return found

    def _read(self, order: _Order) -> Any:
        with self._guard:
            if self._pool is None:
                self._pool = BoundedPool(
                    partial(_read, self._limits.decoded_bytes),
                    processes=1,
                    memory_bytes=self._limits.memory_bytes,
                    seconds_per_task=self._limits.seconds_per_file,
                    largest_chunk=1,
                ).__enter__()
            ((_, result),) = self._pool.map([order])
        if isinstance(result, Failure):
            known = result.detail.startswith("DecodingError: ")
            reason = result.detail.removeprefix("DecodingError: ") if known else result.code
            raise DecodingError(f"A staged case cannot be read as an image: {reason.rstrip('.')}.")
        return result


def _read(largest: int, order: _Order) -> CaseVolume | dict[str, dict[str, Any]]:
    """Carry out one order in the child: no keywords, one image."""
    folder, files, keywords = order
    if not keywords:
        return case_volume([Path(folder, name) for name in files], largest)
    return {name: _attributes(Path(folder, name), keywords) for name in files}


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
