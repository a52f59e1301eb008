"""Two things that differ by a few patients tell about those few: hold-out versions, and calls of two submissions.

The audit sees the counts of one hold-out version and one set of predictions as one system. It cannot see that a
second version, or a second container, differs from the first in three patients only; then the difference of two
harmless releases is a fact about three patients. Such pairs are refused unless they do not differ at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sandbox.disclosure.errors import DisclosureError


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far two things differ, in patients.

    Attributes:
        against: name of the other one.
        more: patients that only the new one has, or whose cases it has changed.
        fewer: patients that only the old one has, or whose cases were changed.
        refused: one of the two is above 0 and below the policy's minimum.
    """

    against: str
    more: int
    fewer: int
    refused: bool

    @property
    def sentence(self) -> str:
        """The finding in words, without the numbers."""
        if not self.refused:
            return f"Against {self.against}: no difference, or one of enough patients."
        return (
            f"Against {self.against}: the difference is of fewer patients than the policy allows. Numbers of both "
            "would tell about those few: change more patients at once, or none."
        )


def version_differences(
    released: Mapping[str, Mapping[str, str]], new: Mapping[str, str], minimum: int
) -> tuple[Difference, ...]:
    """Compare a new hold-out version with every version of which numbers were released.

    Args:
        released: version to patient to a digest of that patient's cases and reference standard.
        new: patient to digest, of the new version.
        minimum: fewest patients by which they may differ, in each direction, unless by none.
    """
    found = []
    for name, old in released.items():
        changed = sum(1 for patient in new.keys() & old.keys() if new[patient] != old[patient])
        more = len(new.keys() - old.keys()) + changed
        fewer = len(old.keys() - new.keys()) + changed
        found.append(_difference(name, more, fewer, minimum))
    return tuple(found)


def differ_by_few(new: npt.ArrayLike, old: npt.ArrayLike, patients: npt.ArrayLike, minimum: int) -> bool:
    """Whether answers to the same cases differ in some patients but in fewer than ``minimum``.

    Two containers that differ in a few calls read those patients' labels off the difference of their counts. The
    answer rests on calls alone, so that whatever is withheld because of it tells nothing of a label. Unlike a change of
    version, where both sides are compared apart, calls that come and calls that go hide each other in one difference.

    Args:
        new, old: a whole number for each case, such as -1 failed, 0 negative, 1 positive.
        patients: patient of each case.
        minimum: fewest patients, unless none.

    Raises:
        DisclosureError: the lengths differ.
    """
    who, now, before = np.asarray(patients), np.asarray(new), np.asarray(old)
    if not now.shape == before.shape == who.shape:
        raise DisclosureError("calls of different cases cannot be compared; compare one version's")
    return 0 < np.unique(who[now != before]).size < minimum


def _difference(against: str, more: int, fewer: int, minimum: int) -> Difference:
    refused = 0 < more < minimum or 0 < fewer < minimum
    return Difference(against=against, more=more, fewer=fewer, refused=refused)
