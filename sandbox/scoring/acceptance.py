"""Acceptance: holding a bound of an estimate against the limit that the protocol registered.

A criterion on a bound is a claim that the data must carry, so three answers are possible. For ``lower`` and
``at_least x``:

- met: the whole interval is at or above x (low >= x); - not met: the whole interval is below x (high < x):
the data contradict the claim; - cannot tell: x lies inside the interval. A larger hold-out could decide;
this one does not, and a value on the
  good side does not change that.

``upper`` with ``at_most`` is the mirror image. ``value`` compares the point estimate alone and is met or
not met. An estimate that is undefined or rests on too few cases carries no claim: cannot tell, whatever its
bound.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.errors import ScoringError
from sandbox.outcome.results import (
    Analysis,
    CriterionResult,
    Estimate,
    OperatingPointResult,
    StratumResult,
    Verdict,
)
from sandbox.plan.protocol import Protocol
from sandbox.plan.strata_section import Criterion


def judge(analysis: Analysis, protocol: Protocol) -> tuple[CriterionResult, ...]:
    """Judge every criterion of the protocol against ``analysis``.

    Raises:
        ScoringError: a criterion names an estimate that the analysis does not hold.
    """
    return tuple(_judge_one(analysis, criterion) for criterion in protocol.acceptance)


def overall_verdict(criteria: Sequence[CriterionResult]) -> Verdict | None:
    """One contradicted criterion decides; else one open criterion leaves the whole open."""
    verdicts = {criterion.verdict for criterion in criteria}
    if not verdicts:
        return None
    if "not_met" in verdicts:
        return "not_met"
    return "cannot_tell" if "cannot_tell" in verdicts else "met"


def _judge_one(analysis: Analysis, criterion: Criterion) -> CriterionResult:
    found = _find(analysis, criterion)
    verdict, reason = compare(found, criterion.bound, criterion.direction, criterion.limit)
    stratum = criterion.stratum
    return CriterionResult(
        name=criterion.name,
        metric=criterion.metric,
        operating_point=criterion.operating_point,
        stratum=f"{stratum.attribute} = {stratum.level}" if stratum else None,
        bound=criterion.bound,
        direction=criterion.direction,
        limit=criterion.limit,
        estimate=found,
        verdict=verdict,
        reason=reason,
        subject=criterion.subject,
    )


def compare(found: Estimate, bound: str, direction: str, limit: float) -> tuple[Verdict, str]:
    """Return the verdict on one estimate, and why; see the module for the rule."""
    if found.status != "ok" or found.value is None:
        return "cannot_tell", found.reason or "The estimate is undefined."
    # One comparison serves both directions: negation turns "at most" into "at least".
    sign = 1.0 if direction == "at_least" else -1.0
    aim = "at least" if direction == "at_least" else "at most"
    if bound == "value":
        met = sign * found.value >= sign * limit
        return ("met" if met else "not_met"), f"The value is {found.value:.3f}; it must be {aim} {limit:g}."
    if found.low is None or found.high is None:
        return "cannot_tell", found.reason or "The estimate has no interval."
    near, far = (found.low, found.high) if direction == "at_least" else (found.high, found.low)
    interval = f"The {found.level:.0%} interval is {found.low:.3f} to {found.high:.3f}"
    if sign * near >= sign * limit:
        return "met", f"{interval}: all of it is {aim} {limit:g}."
    if sign * far < sign * limit:
        return "not_met", f"{interval}: none of it is {aim} {limit:g}."
    return "cannot_tell", f"{interval}: it holds {limit:g}; these cases cannot decide."


def _find(analysis: Analysis, criterion: Criterion) -> Estimate:
    place: Analysis | StratumResult = analysis
    if criterion.stratum is not None:
        wanted = (criterion.stratum.attribute, criterion.stratum.level)
        matches = [s for s in analysis.strata if (s.attribute, s.level) == wanted]
        if not matches:
            return _absent(analysis, criterion)
        place = matches[0]
    estimates: Sequence[Estimate] = place.estimates
    if criterion.operating_point is not None:
        points: Sequence[OperatingPointResult] = place.operating_points
        estimates = [
            found for point in points if point.name == criterion.operating_point for found in point.estimates
        ]
    for found in estimates:
        if (found.metric, found.subject) == (criterion.metric, criterion.subject):
            return found
    raise ScoringError(
        f"the criterion {criterion.name} names an estimate that was not made: {criterion.metric}"
    )


def _absent(analysis: Analysis, criterion: Criterion) -> Estimate:
    """Stand in for a level that has no scored case, such as when all its cases failed and were excluded."""
    level = analysis.estimates[0].level if analysis.estimates else 0.95
    return Estimate(
        metric=criterion.metric,
        value=None,
        low=None,
        high=None,
        level=level,
        n=0,
        positives=0,
        patients=0,
        method="none",
        version=1,
        status="undefined",
        reason="No scored case lies in this stratum.",
        subject=criterion.subject,
    )
