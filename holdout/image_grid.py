"""The grid of a case's images: which slice lies where, so that truth in patient coordinates can be put on it.

Slices stand as a container gets them: files along the normal of their plane (:mod:`holdout.slice_order`), the frames of
a multi-frame image in its own order. Coordinates are LPS in millimetres (PS3.3 C.7.6.2.1.1).

Reads headers of foreign files: to be called in a child process with limits.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdout.errors import DecodingError
from holdout.frame_place import FramePlace, frame_place
from holdout.image_reading import ImageDefect
from holdout.slice_order import Slice, in_order, whole_number

Floats = npt.NDArray[np.float64]

SAME_DIRECTION = 1e-3
"""Largest difference of direction cosines that are meant to be equal."""
SAME_GRID = 0.05
"""Part of an element by which two grids may differ and count as one: headers round."""
_ROUNDING = 1e-3
"""Millimetres by which a place may be rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageGrid:
    """Slices of one size. ``instances`` are their SOP Instance UID and frame number (from 1), in the order of slices.

    ``spacing`` is the distance between rows, then between columns, in mm. ``positions`` are the centres of the first
    pixel of each slice, ``orientation`` the directions along a row and along a column; None where the images have no
    common place. ``thickness`` is that of a slice, None where the images do not say.
    """

    rows: int
    columns: int
    instances: tuple[tuple[str, int], ...]
    spacing: tuple[float, float] | None
    positions: tuple[tuple[float, ...], ...] | None
    orientation: tuple[float, ...] | None
    thickness: float | None
    frame_of_reference: str

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.instances)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) of one slice, (slices, rows, columns) of several: the shape of a mask."""
        plane = self.rows, self.columns
        return plane if self.slices == 1 else (self.slices, *plane)

    @property
    def placed(self) -> bool:
        """Whether patient coordinates can be put on this grid."""
        return self.positions is not None and self.spacing is not None

    @property
    def axes(self) -> Floats:
        """Unit vectors along a row, along a column, and of their normal, shape (3, 3)."""
        assert self.orientation is not None
        along = np.reshape(self.orientation, (2, 3))
        along = along / np.linalg.norm(along, axis=1, keepdims=True)
        return np.vstack((along, np.cross(along[0], along[1])))

    @property
    def heights(self) -> Floats:
        """Place of each slice along the normal, in mm."""
        assert self.positions is not None
        places: Floats = np.asarray(self.positions, dtype=np.float64) @ self.axes[2]
        return places

    @property
    def gap(self) -> float | None:
        """Distance of neighbouring slices where it is the same for all; of one slice its thickness."""
        if not self.placed or self.slices == 1:
            return self.thickness
        steps = np.diff(self.heights)
        mean = float(steps.mean())
        even = np.abs(steps - mean).max() <= SAME_GRID * abs(mean) + _ROUNDING
        return abs(mean) if even else None

    @property
    def element_spacing(self) -> tuple[float, ...] | None:
        """Distance between neighbouring elements along each axis of :attr:`shape`, None where it is not known."""
        if self.spacing is None:
            return None
        if self.slices == 1:
            return self.spacing
        return None if self.gap is None or not self.placed else (self.gap, *self.spacing)

    def slice_of(self, sop_instance_uid: str, frame: int | None = None) -> int | None:
        """The slice that an object references; None when it is not in this case, or is one of several frames."""
        found = [
            index
            for index, (uid, number) in enumerate(self.instances)
            if uid == sop_instance_uid and frame in (None, number)
        ]
        return found[0] if len(found) == 1 else None

    def in_plane(self, points: npt.ArrayLike, index: int) -> Floats:
        """Columns, rows (elements, 0 at the centre of the first) and height over slice ``index`` (mm) of LPS points."""
        assert self.positions is not None
        assert self.spacing is not None
        local = (np.reshape(points, (-1, 3)) - np.asarray(self.positions[index])) @ self.axes.T
        return np.column_stack((local[:, 0] / self.spacing[1], local[:, 1] / self.spacing[0], local[:, 2]))

    def nearness(self) -> float:
        """How far from a slice, in mm, a plane may lie and count as being on it."""
        return SAME_GRID * (self.gap or _least_gap(self) or 1.0) + _ROUNDING


def _least_gap(grid: ImageGrid) -> float | None:
    return None if grid.slices == 1 or not grid.placed else float(np.diff(np.sort(grid.heights)).min())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    instance: str
    number: int
    rows: int
    columns: int
    place: FramePlace
    frame_of_reference: str


def without_place(instances: Sequence[str], rows: int = 0, columns: int = 0) -> ImageGrid:
    """Images of which only the SOP Instance UIDs and the size are known, or matter."""
    return ImageGrid(
        rows=rows,
        columns=columns,
        instances=tuple((uid, 1) for uid in instances),
        spacing=None,
        positions=None,
        orientation=None,
        thickness=None,
        frame_of_reference="",
    )


def read_instances(paths: Sequence[Path]) -> ImageGrid:
    """The images of one case by their UIDs alone, whatever their sizes and places.

    Raises:
        ImageDefect: a header cannot be read.
    """
    return without_place([_frames(path)[0][0].instance for path in paths])


def read_grid(paths: Sequence[Path]) -> ImageGrid:
    """Grid of the images of one case.

    Raises:
        ImageDefect: a header cannot be read, or the images have several sizes.
    """
    files = {str(path): _frames(path) for path in paths}
    if not files:
        raise ImageDefect("the case has no image")
    if len(files) > 1 and any(len(frames) > 1 for frames, _ in files.values()):
        raise ImageDefect("the case has several multi-frame images")
    if len({series for _, (series, _) in files.values()}) > 1:
        raise ImageDefect("the case has several series; lock with --unit series")
    order = list(files)
    if len(files) > 1:
        order = in_order(
            Slice(
                path=path,
                series=series,
                number=number,
                position=frames[0].place.position,
                orientation=frames[0].place.orientation,
            )
            for path, (frames, (series, number)) in files.items()
        )
    return _grid([frame for path in order for frame in files[path][0]])


def _frames(path: Path) -> tuple[list[_Frame], tuple[str, int | None]]:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            frames = [
                _Frame(
                    instance=str(dataset.SOPInstanceUID),
                    number=index + 1,
                    rows=int(dataset.Rows),
                    columns=int(dataset.Columns),
                    place=frame_place(dataset, index),
                    frame_of_reference=str(dataset.get("FrameOfReferenceUID") or ""),
                )
                for index in range(_frame_count(dataset))
            ]
            number = whole_number(str(dataset.get("InstanceNumber") or ""))
            return frames, (str(dataset.get("SeriesInstanceUID") or ""), number)
        except DecodingError as error:
            raise ImageDefect(str(error)) from error
        except (AttributeError, ValueError, TypeError, KeyError, IndexError, OSError) as error:
            raise ImageDefect("the header of an image of the case cannot be read") from error


def _frame_count(dataset: Any) -> int:
    count = int(dataset.get("NumberOfFrames") or 1)
    if not 0 < count <= 100_000:
        raise ValueError("number of frames")
    return count


def _grid(frames: Sequence[_Frame]) -> ImageGrid:
    first = frames[0]
    if any((frame.rows, frame.columns) != (first.rows, first.columns) for frame in frames):
        raise ImageDefect("the images of the case differ in size")
    spacings = [frame.place.spacing for frame in frames]
    alike = None not in spacings and np.allclose(np.array(spacings), np.array(first.place.spacing), rtol=1e-3)
    placed = _lie_apart(frames) and len({frame.frame_of_reference for frame in frames}) == 1
    return ImageGrid(
        rows=first.rows,
        columns=first.columns,
        instances=tuple((frame.instance, frame.number) for frame in frames),
        spacing=first.place.spacing if alike else None,
        positions=tuple(frame.place.position or () for frame in frames) if placed else None,
        orientation=first.place.orientation if placed else None,
        thickness=first.place.thickness,
        frame_of_reference=first.frame_of_reference,
    )


def _lie_apart(frames: Sequence[_Frame]) -> bool:
    """Whether all frames have a place, are parallel, and none lies where another does."""
    turns = [frame.place.orientation for frame in frames]
    places = [frame.place.position for frame in frames]
    if None in turns or None in places:
        return False
    along = np.array(turns, dtype=np.float64)
    spots = np.array(places, dtype=np.float64)
    if not (np.isfinite(along).all() and np.isfinite(spots).all()):
        return False
    row, column = along[0, :3], along[0, 3:]
    lengths = np.linalg.norm(along[0].reshape(2, 3), axis=1)
    if abs(float(row @ column)) > 10 * SAME_DIRECTION or np.abs(lengths - 1).max() > 10 * SAME_DIRECTION:
        return False
    if np.abs(along - along[0]).max() > SAME_DIRECTION:
        return False
    heights = np.sort(spots @ np.cross(row, column))
    return len(frames) == 1 or bool(np.diff(heights).min() >= 10 * _ROUNDING)
