"""Figures of detection as functions of counts by slot, for all resamples at once.

Definitions, each over rows of counts (:class:`sandbox.scoring.detection.marks.Marks`); NaN where there is none:

- FROC: share of lesions found against false positives per case, or per normal case; never mixed.
- Sensitivity at a rate of false positives: the highest that a threshold attains without exceeding the rate.
- CPM: mean of the sensitivities at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per case, by straight lines between the
  points of the FROC curve (LUNA16, Setio et al. 2017).
- AP: sum over thresholds of the gain in sensitivity times precision, without interpolation.
- AFROC, wAFROC: probability that a lesion is rated above the highest false positive of a normal case; no mark is below
  every mark, and ties are one half. wAFROC weighs the lesions of a case, adding up to 1 (Chakraborty 2017, Observer
  Performance Methods for Diagnostic Imaging, chapter 14). False positives of diseased cases do not enter.
- Case AUROC: the highest mark of diseased against that of normal cases.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from sandbox.scoring.cases import Floats
from sandbox.scoring.detection.marks import Marks

CPM_RATES: Final = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
Per = Literal["case", "normal_case"]


def froc(marks: Marks, counts: Floats, per: Per = "case") -> tuple[Floats, Floats]:
    """False positives per case, or normal case, and share of lesions found, at falling thresholds.

    Returns:
        Two arrays of shape (rows, slots): the first point is that of no mark at all, then above every rating, then each
        rating from high to low.
    """
    lesions = marks.section(counts, "lesions")
    false = marks.section(counts, "false" if per == "case" else "false_in_normals")
    cases = (
        marks.section(counts, "cases")
        if per == "case"
        else marks.section(counts, "normals").sum(axis=1, keepdims=True)
    )
    found, alarms = _from_above(lesions), _from_above(false)
    total = np.broadcast_to(lesions.sum(axis=1, keepdims=True), found.shape)
    return _ratio(alarms, np.broadcast_to(cases, alarms.shape)), _ratio(found, total)


def sensitivity_at(marks: Marks, counts: Floats, rate: float, per: Per = "case") -> Floats:
    """Highest sensitivity at no more than ``rate`` false positives per case, or normal case."""
    alarms, found = froc(marks, counts, per)
    last = (alarms <= rate * (1 + 1e-12)).sum(axis=1) - 1
    value = np.take_along_axis(found, np.maximum(last, 0)[:, None], axis=1)[:, 0]
    known: Floats = np.where(np.isnan(alarms[:, 0]), np.nan, value)
    return known


def competition_metric(marks: Marks, counts: Floats) -> Floats:
    """CPM."""
    alarms, found = froc(marks, counts)
    values: Floats = np.mean([_interpolated(alarms, found, rate) for rate in CPM_RATES], axis=0)
    return values


def average_precision(marks: Marks, counts: Floats) -> Floats:
    """AP over findings."""
    gained = marks.section(counts, "lesions")[:, :0:-1]
    found = np.cumsum(gained, axis=1)
    called = found + np.cumsum(marks.section(counts, "false")[:, :0:-1], axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return _ratio((gained * precision).sum(axis=1), marks.section(counts, "lesions").sum(axis=1))


def afroc(marks: Marks, counts: Floats, *, weighted: bool) -> Floats:
    """Area under the AFROC, or wAFROC, curve."""
    lesions = marks.section(counts, "lesion_weights" if weighted else "lesions")
    return _above(lesions, marks.section(counts, "normals_false"))


def case_auroc(marks: Marks, counts: Floats) -> Floats:
    """AUROC of cases by their highest mark; a failed normal case stands above and a failed diseased one below all."""
    return _above(marks.section(counts, "diseased"), marks.section(counts, "normals"))


def _from_above(section: Floats) -> Floats:
    """Counts at or above each threshold, from none to the lowest rating."""
    none = np.zeros((section.shape[0], 1))
    return np.concatenate((none, np.cumsum(section[:, :0:-1], axis=1)), axis=1)


def _above(ours: Floats, theirs: Floats) -> Floats:
    """Probability that ours is above theirs, ties one half."""
    below = np.cumsum(theirs, axis=1) - theirs / 2
    return _ratio((ours * below).sum(axis=1), ours.sum(axis=1) * theirs.sum(axis=1))


def _interpolated(x: Floats, y: Floats, at: float) -> Floats:
    """Value at ``at`` on straight lines between points of rising ``x``; beyond the last point its value."""
    last = x.shape[1] - 1
    before = (x <= at).sum(axis=1) - 1
    after = np.minimum(before + 1, last)
    rows = np.arange(x.shape[0])
    before = np.maximum(before, 0)
    width = x[rows, after] - x[rows, before]
    share = np.divide(at - x[rows, before], width, out=np.zeros_like(width), where=width > 0)
    value: Floats = y[rows, before] + share * (y[rows, after] - y[rows, before])
    return value


def _ratio(above: Floats, below: Floats) -> Floats:
    value: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return value
