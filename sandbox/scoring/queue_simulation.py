"""The same reading list as in :mod:`queue_waiting`, event by event: a check on the closed form.

The same arrivals and reading times are read twice, in order of arrival and with alarms first, so that the difference
is that of the order alone. Intervals by batch means (Law 2015, Simulation Modeling and Analysis, section 9.5).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sandbox.plan.analysis_section import Queue, Reading
from sandbox.scoring.bootstrap import Seed
from sandbox.scoring.cases import Bools, Floats

BATCHES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A mean over simulated cases with its batch-means interval, and how many cases it rests on."""

    value: float
    low: float
    high: float
    cases: int


def simulate(
    queue: Queue, sensitivity: float, specificity: float, level: float, seed: Seed
) -> tuple[Simulated, Simulated]:
    """Simulate the list; gives the minutes saved by diseased cases and added to the others.

    Args:
        queue: the declared reading list.
        sensitivity, specificity: rates of the device.
        level: of the intervals.
        seed: names the random stream.
    """
    generator, n = seed.generator(), queue.simulated_cases
    arrival = np.cumsum(generator.exponential(60 / queue.arrivals_per_hour, n))
    diseased = generator.random(n) < queue.prevalence
    alarm = generator.random(n) < np.where(diseased, sensitivity, 1 - specificity)
    reading = np.where(
        diseased, _readings(queue.diseased, n, generator), _readings(queue.non_diseased, n, generator)
    )
    saved = waits_in_order(arrival, reading) - waits_alarms_first(
        arrival, reading, alarm, interrupt=queue.interrupt
    )
    return _batched(saved, diseased, level), _batched(-saved, ~diseased, level)


def _readings(reading: Reading, n: int, generator: np.random.Generator) -> Floats:
    if reading.variation == 0:
        return np.full(n, reading.mean_minutes)
    shape = 1 / reading.variation**2
    return generator.gamma(shape, reading.mean_minutes / shape, n)


def waits_in_order(arrival: Floats, reading: Floats) -> Floats:
    """Wait of each case when cases are read in order of arrival (Lindley's recursion, solved by running sums)."""
    steps = np.concatenate(([0.0], reading[:-1] - np.diff(arrival)))
    walk = np.cumsum(steps)
    return np.asarray(walk - np.minimum.accumulate(np.minimum(walk, 0.0)), dtype=np.float64)


def waits_alarms_first(arrival: Floats, reading: Floats, alarm: Bools, *, interrupt: bool) -> Floats:
    """Wait of each case when alarms are read before all others, each class in order of arrival."""
    # Each event depends on the one before: this is a loop by nature.
    times, left, first = arrival.tolist(), reading.tolist(), alarm.tolist()
    total, n = reading.tolist(), arrival.size
    ahead: deque[int] = deque()
    behind: deque[int] = deque()
    waits = [0.0] * n
    now, coming = 0.0, 0
    while coming < n or ahead or behind:
        if not ahead and not behind:
            now = max(now, times[coming])
        while coming < n and times[coming] <= now:
            (ahead if first[coming] else behind).append(coming)
            coming += 1
        case = (ahead or behind).popleft()
        end = now + left[case]
        if interrupt and not first[case]:
            while coming < n and times[coming] < end and not first[coming]:
                behind.append(coming)
                coming += 1
            if coming < n and times[coming] < end:
                left[case] = end - times[coming]
                behind.appendleft(case)
                now = times[coming]
                continue
        now = end
        waits[case] = now - times[case] - total[case]
    return np.array(waits)


def _batched(values: Floats, chosen: Bools, level: float) -> Simulated:
    """Mean over chosen cases, with the interval of the means of consecutive batches."""
    batches = [part[picked] for part, picked in zip(
        np.array_split(values, BATCHES), np.array_split(chosen, BATCHES), strict=True
    )]  # fmt: skip
    means = np.array([part.mean() for part in batches if part.size])
    value = float(values[chosen].mean()) if chosen.any() else math.nan
    if means.size < 2:
        return Simulated(value=value, low=math.nan, high=math.nan, cases=int(chosen.sum()))
    half = (
        float(stats.t.ppf((1 + level) / 2, means.size - 1)) * float(means.std(ddof=1)) / math.sqrt(means.size)
    )
    return Simulated(value=value, low=value - half, high=value + half, cases=int(chosen.sum()))
