"""MR artefacts that arise while k-space is filled: motion, ghosts, spikes, truncation."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from sandbox.stress.case import OpenCase
from sandbox.stress.geometry import about_centre, shifted
from sandbox.stress.perturbation import Change, Perturbation, Severity
from sandbox.stress.volume import FloatArray, put_back, volumes

ComplexArray = NDArray[np.complex64]
GHOST_PERIOD = 4
_MODALITIES = frozenset({"MR"})


def _each_frame(change_one: object) -> Change:
    def change(case: OpenCase, value: Severity, numbers: np.random.Generator) -> None:
        for volume in volumes(case):
            plan = numbers.random(16)
            spacing = volume.spacing or (1.0, 1.0)
            for index, frame in enumerate(volume.values):
                volume.values[index] = change_one(frame, float(value), plan, spacing)  # type: ignore[operator]
            put_back(volume, volume.values)

    return change


def _lines(frame: FloatArray) -> ComplexArray:
    """Phase-encoding lines of k-space, the centre in the middle, still transformed back along the read-out.

    What happens to whole lines does not need the transform along them.
    """
    return np.asarray(scipy.fft.fftshift(scipy.fft.fft(frame.astype(np.complex64), axis=0), axes=0))


def _magnitude(lines: ComplexArray) -> FloatArray:
    return np.asarray(np.abs(scipy.fft.ifft(scipy.fft.ifftshift(lines, axes=0), axis=0)))


def _moved(frame: FloatArray, size: float, plan: FloatArray, spacing: tuple[float, float]) -> FloatArray:
    """Outer phase-encoding lines come from a head that turned by ``size`` degrees and slid by ``size`` mm."""
    lines = _lines(frame)
    rows = frame.shape[0]
    for number, (start, end) in enumerate(((0.52 + 0.02 * plan[0], 0.62), (0.62, 1.0))):
        turn = size * (1 if plan[1 + number] < 0.5 else -1) * (0.6 + 0.4 * number)
        slide = size * (1 if plan[3 + number] < 0.5 else -1) * (0.6 + 0.4 * number)
        other = about_centre(frame[None], degrees=turn, fill=0.0)
        other = shifted(other, slide / spacing[0], -slide / spacing[1] / 2, 0.0)[0]
        part = slice(int(start * rows), int(end * rows))
        lines[part] = _lines(other)[part]
    return _magnitude(lines)


def _ghosted(
    frame: FloatArray, strength: float, plan: FloatArray, spacing: tuple[float, float]
) -> FloatArray:
    """Every fourth phase-encoding line is weaker by ``strength`` percent, except the centre of k-space."""
    lines = _lines(frame)
    middle = frame.shape[0] // 2
    number = np.arange(frame.shape[0])
    periodic = ((number - middle) % GHOST_PERIOD == int(plan[0] * GHOST_PERIOD)) & (number != middle)
    lines[periodic] *= np.float32(1 - strength / 100)
    return _magnitude(lines)


def _spiked(frame: FloatArray, height: float, plan: FloatArray, spacing: tuple[float, float]) -> FloatArray:
    """One point of k-space is wrong by ``height`` percent of its largest value.

    That value is the sum of a magnitude image, and one point of k-space is one wave over the image.
    """
    rows, columns = frame.shape
    down = int(rows * (0.5 + 0.08 + 0.25 * plan[0])) - rows // 2
    across = int(columns * (0.5 + 0.5 * (plan[1] - 0.5))) - columns // 2
    amplitude = height / 100 * float(np.abs(frame).sum(dtype=np.float64)) / frame.size
    along_rows = amplitude * np.exp(2j * np.pi * down * np.arange(rows) / rows)
    along_columns = np.exp(2j * np.pi * across * np.arange(columns) / columns)
    wave = np.outer(along_rows.astype(np.complex64), along_columns.astype(np.complex64))
    wave += frame
    return np.asarray(np.abs(wave))


def _cropped(frame: FloatArray, share: float, plan: FloatArray, spacing: tuple[float, float]) -> FloatArray:
    """Only the inner ``share`` percent of the phase-encoding lines was measured."""
    lines = _lines(frame)
    rows = frame.shape[0]
    kept = max(int(rows * share / 100 / 2), 2)
    lines[: rows // 2 - kept] = 0
    lines[rows // 2 + kept :] = 0
    return _magnitude(lines)


MOTION = Perturbation(
    name="mr_motion",
    family="MR",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="mm and degrees",
    severities=(2.0, 4.0, 6.0, 8.0, 10.0),
    sentence="The head moves twice during the scan; later lines of k-space are of the moved head.",
    source="Shaw et al., MRI k-space motion artefact augmentation, MIDL 2019; size as in TorchIO (10 mm, 10 degrees)",
    function=_each_frame(_moved),
)
GHOSTING = Perturbation(
    name="mr_ghosting",
    family="MR",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the signal of every 4th line",
    severities=(10.0, 20.0, 35.0, 55.0, 80.0),
    sentence="Periodic motion (breath, pulse): shifted ghosts along the phase-encoding direction.",
    source="Axel et al., Respiratory effects in two-dimensional Fourier transform MR imaging, Radiology 1986",
    function=_each_frame(_ghosted),
    in_place=True,
)
SPIKES = Perturbation(
    name="mr_spike",
    family="MR",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the largest value of k-space",
    severities=(5.0, 10.0, 25.0, 50.0, 100.0),
    sentence="A spark during read-out: a herringbone over the whole image.",
    source="Graves and Mitchell, Body MRI artifacts in clinical practice, JMRI 2013; at most the least of "
    "TorchIO (1 to 3 times the largest value), which leaves little of the image",
    function=_each_frame(_spiked),
    in_place=True,
)
GIBBS = Perturbation(
    name="mr_gibbs",
    family="MR",
    modalities=_MODALITIES,
    expectation="may change within a margin",
    kind="pixels",
    unit="% of the phase-encoding lines",
    severities=(75.0, 60.0, 45.0, 35.0, 25.0),
    sentence="Fewer phase-encoding lines: edges ring and detail is lost along one direction.",
    source="Czervionke et al., Characteristic features of MR truncation artifacts, AJNR 1988",
    function=_each_frame(_cropped),
    in_place=True,
)
