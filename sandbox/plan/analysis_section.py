"""How one kind of task is analysed: sections of a protocol that declare ranges, queues, tolerances and intervals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sandbox.plan.protocol_words import Column, Name, Part


class PartialRange(Part):
    """A part of the ROC curve: ``low`` to ``high`` of one axis."""

    name: Name
    axis: Literal["false_positive_rate", "sensitivity"]
    low: Annotated[float, Field(ge=0, lt=1)]
    high: Annotated[float, Field(gt=0, le=1)]


class DecisionCurve(Part):
    """Threshold probabilities at which a reader would weigh a missed case against a false alarm."""

    low: Annotated[float, Field(gt=0, lt=1)]
    high: Annotated[float, Field(gt=0, lt=1)]


class Reading(Part):
    """How long a read takes: the mean in minutes, and the standard deviation over the mean (1: exponential)."""

    mean_minutes: Annotated[float, Field(gt=0, le=10_000)]
    variation: Annotated[float, Field(ge=0, le=10)] = 1.0


class Queue(Part):
    """The reading list into which a triage device puts its alarms first.

    Cases arrive at random (Poisson), ``arrivals_per_hour`` of them, ``prevalence`` of which are diseased. One
    reader takes alarms first; ``interrupt`` says whether an alarm interrupts the read of another case.
    """

    operating_point: Name
    arrivals_per_hour: Annotated[float, Field(gt=0, le=10_000)]
    prevalence: Annotated[float, Field(gt=0, lt=1)]
    diseased: Reading
    non_diseased: Reading
    interrupt: bool = False
    transfer_minutes: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    simulated_cases: int = Field(default=50_000, ge=1000, le=500_000)


class Agreement(Part):
    """How a measurement's agreement is analysed: the limits' coverage, and Deming's ratio of error variances.

    ``error_variance_ratio`` is the error variance of the reference over that of the container's value.
    """

    coverage: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    error_variance_ratio: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class Boundary(Part):
    """How masks are compared: ``tolerance`` of the normalised surface Dice, in ``unit``, and two empty masks.

    ``unit`` is mm, by the spacing that the image states, or px: every element counts as 1, whatever its size.
    Two empty masks are ``right`` (overlap 1, distance 0), or ``excluded`` from overlaps and distances.
    """

    tolerance: Annotated[float, Field(gt=0, le=1000)]
    unit: Literal["mm", "px"] = "mm"
    both_empty: Literal["right", "excluded"] = "right"


FalsePositiveRate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class Hits(Part):
    """When a finding hits a lesion, and what is reported.

    ``iou``: boxes overlap by at least ``least``, a sphere standing for the cube around it; ``centre``: the finding's
    centre lies in the lesion's box or sphere; ``distance``: their centres are at most ``most_distance`` pixels apart,
    mm in a volume; ``radius``: in a volume, the finding's centre is no farther from the lesion's than the lesion's own
    radius (LUNA16, Setio et al. 2017). ``ignored`` names a label with regions (of the forms that lesions have, or in an
    image a mask) that the reference standard leaves open: a finding whose centre lies in one, and that hits no lesion,
    counts for nothing. ``weights`` names labels that hold some of the lesions again, with what each of these
    lesions weighs in wAFROC; others weigh 1, and the weights of a case are scaled to add up to 1. ``order`` and
    ``repeats`` are those of :func:`sandbox.scoring.detection.matching.match`. ``rates`` are the false positives per
    case, and per normal case, at which sensitivity is reported.
    """

    rule: Literal["iou", "centre", "distance", "radius"]
    least: Annotated[float, Field(gt=0, le=1)] | None = None
    most_distance: Annotated[float, Field(gt=0, le=10_000)] | None = None
    order: Literal["by_rating", "most_matches"] = "by_rating"
    repeats: Literal["left_out", "false_positive"] = "left_out"
    ignored: Column | None = None
    weights: dict[Column, Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]] = Field(
        default_factory=dict, max_length=10
    )
    rates: tuple[FalsePositiveRate, ...] = Field(
        default=(0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), max_length=20
    )


class Intervals(Part):
    """How intervals are made. ``level`` is two-sided."""

    level: float = Field(default=0.95, ge=0.5, le=0.999)
    proportion: Literal["wilson", "clopper-pearson"] = "wilson"
    bootstrap_replicates: int = Field(default=2000, ge=200, le=100_000)
