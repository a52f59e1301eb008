"""Small marks inside tables, written as SVG by hand: an interval against a limit, a share as a bar."""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from sandbox.outcome.results import CriterionResult, Estimate

WIDTH: Final = 168
HEIGHT: Final = 18
PAD: Final = 5


def against_limit(criterion: CriterionResult) -> Markup:
    """Draw the estimate's interval against the criterion's limit, the accepted side tinted.

    The axis runs from 0 to 1; nothing is drawn for a metric that does not.
    """
    estimate = criterion.estimate
    numbers = [n for n in (estimate.value, estimate.low, estimate.high, criterion.limit) if n is not None]
    if any(not 0 <= n <= 1 for n in numbers) or estimate.value is None:
        return Markup("")
    limit = _x(criterion.limit)
    left, right = (limit, _x(1)) if criterion.direction == "at_least" else (_x(0), limit)
    parts = [
        f'<rect x="{left:.1f}" y="3" width="{right - left:.1f}" height="12" class="accepted"/>',
        f'<path d="M{limit:.1f} 1V17" class="limit"/>',
        *_interval(estimate),
    ]
    return _svg(parts, "mark")


def interval(estimate: Estimate) -> Markup:
    """Draw one interval on an axis from 0 to 1; nothing where there is no value on that axis."""
    numbers = [n for n in (estimate.value, estimate.low, estimate.high) if n is not None]
    if estimate.value is None or any(not 0 <= n <= 1 for n in numbers):
        return Markup("")
    return _svg([f'<path d="M{_x(0):.1f} 9H{_x(1):.1f}" class="axis"/>', *_interval(estimate)], "mark")


def band(value: float, low: float, high: float) -> Markup:
    """Draw a value and the range that it may lie in, on an axis from 0 to 1."""
    return _svg(
        [
            f'<path d="M{_x(0):.1f} 9H{_x(1):.1f}" class="axis"/>',
            f'<path d="M{_x(low):.1f} 9H{_x(high):.1f}" class="range"/>',
            f'<circle cx="{_x(value):.1f}" cy="9" r="4" class="dot"/>',
        ],
        "mark",
    )


def share(part: float, whole: float) -> Markup:
    """Draw `part` of `whole` as a bar."""
    width = 0.0 if whole == 0 else 100 * min(part, whole) / whole
    return Markup(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect width="100" height="8" class="rest"/><rect width="{}" height="8" class="part"/></svg>'
    ).format(f"{width:.1f}")


def _x(value: float) -> float:
    return PAD + (WIDTH - 2 * PAD) * value


def _interval(estimate: Estimate) -> list[str]:
    parts = []
    if estimate.low is not None and estimate.high is not None:
        parts.append(f'<path d="M{_x(estimate.low):.1f} 9H{_x(estimate.high):.1f}" class="range"/>')
    if estimate.value is not None:
        parts.append(f'<circle cx="{_x(estimate.value):.1f}" cy="9" r="4" class="dot"/>')
    return parts


def _svg(parts: list[str], name: str) -> Markup:
    """Put the parts, made of numbers and own class names only, into one element."""
    body = "".join(parts)
    return Markup(  # noqa: S704
        f'<svg class="{name}" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{body}</svg>'
    )
