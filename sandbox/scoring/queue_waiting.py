"""Waiting in a reading list in which alarms go first, in closed form: one reader, two classes, any reading times.

Without a device cases are read in order of arrival: the wait is that of an M/G/1 queue (Pollaczek and Khinchine). With
one, alarms form a class of higher priority: Cobham 1954 (Oper Res 2:70) when a begun read is finished first, and the
preemptive-resume formulas of Kleinrock 1976 (Queueing Systems II, section 3.4) when an alarm interrupts it. A wait is
the time from arrival to the end of the read, less the read itself; so it counts interruptions too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sandbox.plan.analysis_section import Queue
from sandbox.scoring.cases import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Mean waits in minutes, an array element for each pair of rates given."""

    without: Floats
    diseased: Floats
    non_diseased: Floats

    @property
    def saved_diseased(self) -> Floats:
        """How much less a diseased case waits than without a device; missed ones wait longer and are counted."""
        return self.without - self.diseased

    @property
    def added_non_diseased(self) -> Floats:
        """How much longer a case without disease waits than without a device."""
        return self.non_diseased - self.without


def mean_waits(queue: Queue, sensitivity: npt.ArrayLike, specificity: npt.ArrayLike) -> Waits:
    """Mean waits at given rates of the device; the reader must keep up with the arrivals.

    Args:
        queue: the declared reading list.
        sensitivity, specificity: between 0 and 1, alike in shape.
    """
    se, sp = np.asarray(sensitivity, dtype=np.float64), np.asarray(specificity, dtype=np.float64)
    arrivals, share = queue.arrivals_per_hour / 60, queue.prevalence
    mean = np.array([queue.diseased.mean_minutes, queue.non_diseased.mean_minutes])
    square = mean**2 * (1 + np.array([queue.diseased.variation, queue.non_diseased.variation]) ** 2)
    # Arrivals a minute of diseased and other alarms.
    alarms = (arrivals * share * se, arrivals * (1 - share) * (1 - sp))
    busy_alarms = alarms[0] * mean[0] + alarms[1] * mean[1]
    busy = arrivals * (share * mean[0] + (1 - share) * mean[1])
    residual = arrivals * (share * square[0] + (1 - share) * square[1]) / 2
    without = np.broadcast_to(residual / (1 - busy), se.shape)
    behind = residual / ((1 - busy_alarms) * (1 - busy))
    if queue.interrupt:
        alarm = (alarms[0] * square[0] + alarms[1] * square[1]) / 2 / (1 - busy_alarms)
        # Alarms that arrive during a read make it last longer, in proportion to its length.
        rest = [behind + each * busy_alarms / (1 - busy_alarms) for each in mean]
    else:
        alarm = residual / (1 - busy_alarms)
        rest = [behind, behind]
    return Waits(
        without=np.asarray(without, dtype=np.float64),
        diseased=se * alarm + (1 - se) * rest[0],
        non_diseased=(1 - sp) * alarm + sp * rest[1],
    )
