"""The institution's rules for what may leave, as checked YAML; ``policies/default.yaml`` gives each reason.

How they act is in :mod:`sandbox.disclosure.screen`, which turns results into fields:

    screened = screen(results, policy.disclosure, scope="sha256 of the predictions")
    findings = audit(so_far, screened.constraints, protected=..., minimum_width=policy.disclosure.minimum_width)
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Grid = Annotated[str, StringConstraints(pattern=r"^0?\.\d{1,4}$")]
"""A step between 0 and 1 as decimal text, so that it is exact."""

ReleasedMetric = Literal[
    "auroc", "sensitivity", "specificity", "ppv", "npv", "failure_rate", "mean_dice", "mean_iou", "mean_nsd"
]


class DisclosureRules(BaseModel):
    """Which numbers may leave, and how coarsely.

    Attributes:
        minimum_cell: fewest cases in a confusion cell, and fewest patients of a group, that a number may show.
        minimum_positives, minimum_negatives: fewest of each behind an AUROC.
        extreme_rates: ``withheld``: a rate whose numerator or remainder is 0 does not leave, nor a mean
            that is 0 or 1 when rounded.
        count_base: counts are rounded to multiples of it.
        rate_grids: steps of rates, rising. Each rate takes the finest whose step spans ``count_base`` cases, each mean
            the finest whose step spans ``count_base`` patients (:mod:`sandbox.disclosure.means`).
        score_grid: step of AUROC.
        interval_base: interval ends are rounded outwards to the finest of ``rate_grids`` whose step spans so many
            cases. They tell how many cases there are, besides the rate, and so need coarser steps.
        minimum_width: how many whole numbers, at least, every protected cell must stay free to move over
            after all that was ever released: largest minus smallest feasible value.
        minimum_difference: fewest patients by which two hold-out versions, or the answers of two submissions,
            may differ unless they do not differ at all. Numbers over answers that are closer are withheld.
        metrics: what may leave at all; the rest tells more than it is worth to a vendor.
        label_free: ``withheld``: failure rates and failure counts do not leave; ``rules``: by the rules.
        strata: ``withheld``: only numbers over all cases leave.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum_cell: Annotated[int, Field(ge=1, le=10_000)] = 10
    minimum_positives: Annotated[int, Field(ge=2, le=10_000)] = 10
    minimum_negatives: Annotated[int, Field(ge=2, le=10_000)] = 10
    extreme_rates: Literal["withheld", "released"] = "withheld"
    count_base: Annotated[int, Field(ge=1, le=1_000)] = 10
    rate_grids: Annotated[tuple[Grid, ...], Field(min_length=1, max_length=8)] = (
        "0.01",
        "0.02",
        "0.05",
        "0.1",
        "0.2",
    )
    score_grid: Grid = "0.01"
    interval_base: Annotated[int, Field(ge=1, le=10_000)] = 40
    minimum_width: Annotated[int, Field(ge=1, le=1_000)] = 4
    minimum_difference: Annotated[int, Field(ge=1, le=10_000)] = 10
    metrics: tuple[ReleasedMetric, ...] = (
        "auroc",
        "sensitivity",
        "specificity",
        "failure_rate",
        "mean_dice",
        "mean_nsd",
    )
    label_free: Literal["withheld", "rules"] = "withheld"
    strata: Literal["rules", "withheld"] = "rules"

    @model_validator(mode="after")
    def _rising(self) -> DisclosureRules:
        steps = [Fraction(step) for step in self.rate_grids]
        if any(a >= b for a, b in itertools.pairwise(steps)):
            raise ValueError("rate_grids must rise.")
        if any(not step or (1 / step).denominator != 1 for step in (*steps, Fraction(self.score_grid))):
            raise ValueError("a grid must divide 1, such as 0.01, 0.02 or 0.05.")
        return self
