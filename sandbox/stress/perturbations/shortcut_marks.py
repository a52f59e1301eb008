"""Marks that tell the class without anatomy: side markers and text, put in for one class, exchanged or covered."""

from __future__ import annotations

import numpy as np

from sandbox.stress.case import OpenCase
from sandbox.stress.drawing import blended, placed, text_mask
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.geometry import background
from sandbox.stress.perturbation import Cases, Change, Perturbation, Severity
from sandbox.stress.radiograph import PROJECTION
from sandbox.stress.volume import Volume, put_back, volumes

_ZECH = "Zech et al., Variable generalization performance of a deep learning model to detect pneumonia, PLoS Med 2018"


def bright(volume: Volume) -> float:
    """Value of what is shown white."""
    return volume.limits[0] if volume.inverted else max(volume.content_range()[1], float(volume.values.max()))


def _written(text: str) -> Change:
    def change(case: OpenCase, height: Severity, numbers: np.random.Generator) -> None:
        for volume in volumes(case):
            rows, columns = volume.shape
            mask = text_mask(text, max(round(float(height) / 100 * rows), 3))
            margin = round(0.03 * columns)
            mask = placed(mask, volume.shape, round(0.04 * rows), columns - margin - mask.shape[1])
            put_back(
                volume, blended(volume.values, mask, bright(volume), colour=volume.colour), keep_padding=False
            )

    return change


def cover_corners(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Cover the four corners, each ``share`` percent of rows and columns, by the background."""
    for volume in volumes(case):
        values = volume.values.copy()
        level = background(volume)
        for vertical, horizontal in corners(volume.shape, float(share)):
            values[:, vertical, horizontal] = level
        put_back(volume, values)


def swap_corners(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Put the corners of the donor, each ``share`` percent of rows and columns, over those of this case.

    The donor's grey levels in use become those of this case, so that only what stands there is exchanged.
    """
    theirs = next(volumes(OpenCase(images=case.donor)))
    for volume in volumes(case):
        if theirs.colour != volume.colour:
            raise NotApplicableError(
                "the other patient's case is grey and this one is coloured, or the reverse"
            )
        low, high = volume.content_range()
        black, white = theirs.content_range()
        if theirs.inverted != volume.inverted:
            black, white = white, black
        frame = theirs.values[len(theirs.values) // 2]
        rows, columns = (
            (np.arange(size) + 0.5) * other // size
            for size, other in zip(volume.shape, theirs.shape, strict=True)
        )
        values = volume.values.copy()
        for vertical, horizontal in corners(volume.shape, float(share)):
            part = frame[np.ix_(rows[vertical].astype(int), columns[horizontal].astype(int))]
            values[:, vertical, horizontal] = low + (part - black) * ((high - low) / (white - black))
        put_back(volume, values)


def corners(shape: tuple[int, int], share: float) -> list[tuple[slice, slice]]:
    """Rows and columns of the four corners, each ``share`` percent of the sides."""
    rows, columns = (max(round(share / 100 * size), 1) for size in shape)
    return [
        (vertical, horizontal)
        for vertical in (slice(None, rows), slice(-rows, None))
        for horizontal in (slice(None, columns), slice(-columns, None))
    ]


def borders_only(case: OpenCase, share: Severity, numbers: np.random.Generator) -> None:
    """Keep a border of ``share`` percent on each side; the middle shows its mean."""
    for volume in volumes(case):
        top, left = (max(round(float(share) / 100 * size), 1) for size in volume.shape)
        values = volume.values.copy()
        middle = values[:, top:-top, left:-left]
        middle[:] = middle.mean(axis=(1, 2), keepdims=True)
        put_back(volume, values, keep_padding=False)


def _mark(name: str, text: str, cases: Cases, sentence: str) -> Perturbation:
    return Perturbation(
        name=name,
        family="shortcuts",
        modalities=PROJECTION | {"US", "XC"},
        expectation="may change within a margin",
        kind="pixels",
        unit="% of the rows",
        severities=(2.0, 4.0, 6.0, 9.0, 13.0),
        sentence=sentence,
        source=_ZECH,
        function=_written(text),
        cases=cases,
    )


PERTURBATIONS = (
    _mark("side_marker_on_positives", "R", "positive", "A side marker is put into positive cases only."),
    _mark(
        "side_marker_on_negatives", "R", "negative", "The same side marker is put into negative cases only."
    ),
    _mark("text_on_positives", "PORTABLE", "positive", "The word PORTABLE is put into positive cases only."),
    _mark("text_on_negatives", "PORTABLE", "negative", "The word PORTABLE is put into negative cases only."),
    Perturbation(
        name="corners_masked",
        family="shortcuts",
        expectation="may change within a margin",
        kind="pixels",
        unit="% of the sides",
        severities=(4.0, 8.0, 12.0, 16.0, 20.0),
        sentence="Corners are covered, where markers and text stand.",
        source=_ZECH,
        function=cover_corners,
    ),
    Perturbation(
        name="corners_swapped",
        family="shortcuts",
        modalities=PROJECTION | {"US", "XC"},
        expectation="may change within a margin",
        kind="pixels",
        unit="% of the sides",
        severities=(4.0, 8.0, 12.0, 16.0, 20.0),
        sentence="The corners of a case of the other class, with its markers and text: a score must not follow them.",
        source=_ZECH,
        function=swap_corners,
        donor="other class",
    ),
    Perturbation(
        name="borders_only",
        family="shortcuts",
        expectation="may change within a margin",
        kind="pixels",
        unit="% of each side kept",
        severities=(20.0, 16.0, 12.0, 8.0, 5.0),
        sentence="Only the border is left: what is still told apart is told apart without anatomy.",
        source="Maguolo and Nanni, A critic evaluation of methods for COVID-19 automatic detection, Inf Fusion 2021",
        function=borders_only,
        readout="auroc near 0.5",
    ),
)
