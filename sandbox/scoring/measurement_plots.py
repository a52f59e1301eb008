"""Figures of a measurement: differences against means with the limits of agreement, and value against reference.

Cases are shown as counts on a grid, never as points: a point is a case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sandbox.outcome.result_figures import Density, Line, Plot
from sandbox.outcome.results import Estimate
from sandbox.plan.protocol import Protocol
from sandbox.scoring.cases import Floats

CELLS = 24


def measurement_plots(
    reference: Floats, value: Floats, estimates: Sequence[Estimate], protocol: Protocol
) -> tuple[Plot, ...]:
    """Bland and Altman's figure, and the Deming line with the identity; none where there is no such line."""
    output = protocol.output.value
    assert output is not None
    known = {each.metric: each for each in estimates}
    needed = ("bias", "lower_limit_of_agreement", "upper_limit_of_agreement")
    if any(name not in known or known[name].value is None for name in needed):
        return ()
    unit, level = output.unit, protocol.intervals.level
    mean, difference = (reference + value) / 2, value - reference
    left, right = _ends(mean)
    lines = []
    for name, words, style in (
        ("bias", "bias", "curve"),
        ("lower_limit_of_agreement", "lower limit", "limit"),
        ("upper_limit_of_agreement", "upper limit", "limit"),
    ):
        found = known[name]
        level_at = (float(found.value or 0.0),) * 2
        band = found.low is not None and found.high is not None
        lines.append(
            Line(
                name=words,
                x=(left, right),
                y=level_at,
                low=(float(found.low or 0.0),) * 2 if band else (),
                high=(float(found.high or 0.0),) * 2 if band else (),
                style="curve" if style == "curve" else "limit",
            )
        )
    plots = [
        Plot(
            name="bland-altman",
            title="Difference against mean",
            x_label=f"Mean of answer and reference ({unit})",
            y_label=f"Answer − reference ({unit})",
            lines=(Line(name="no difference", x=(left, right), y=(0.0, 0.0), style="reference"), *lines),
            density=_density(mean, difference),
            x_low=left,
            x_high=right,
            level=level,
            method="limits of agreement",
            note="Bland and Altman's figure: bias and limits of agreement with their intervals; cases on a grid.",
        )
    ]
    slope, intercept = known["deming_slope"].value, known["deming_intercept"].value
    if slope is not None and intercept is not None:
        ends = _ends(reference)
        plots.append(
            Plot(
                name="deming",
                title="Answer against reference",
                x_label=f"Reference ({unit})",
                y_label=f"Answer ({unit})",
                lines=(
                    Line(name="identity", x=ends, y=ends, style="reference"),
                    Line(
                        name="Deming line",
                        x=ends,
                        y=(intercept + slope * ends[0], intercept + slope * ends[1]),
                    ),
                ),
                density=_density(reference, value),
                x_low=ends[0],
                x_high=ends[1],
                method="linnet-jackknife",
                note="The Deming line allows for error in both; on the dashed line answer and reference are equal.",
            )
        )
    return tuple(plots)


def _ends(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.02 * (high - low) or 1.0
    return low - room, high + room


def _density(x: Floats, y: Floats) -> Density:
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=CELLS, range=(_ends(x), _ends(y)))
    return Density(
        x_edges=tuple(x_edges.tolist()),
        y_edges=tuple(y_edges.tolist()),
        counts=tuple(tuple(row) for row in counts.T.astype(int).tolist()),
    )
