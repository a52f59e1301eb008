"""Protocol sections about whom a hold-out holds: case mix, intended population, slices, errors of the reference.

Each names declared strata only, so that bands are known and the report shows the levels that are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from holdout.yamlfile import Where
from sandbox.plan.bands import band_names

if TYPE_CHECKING:
    from sandbox.plan.protocol import Protocol

_Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
_Level = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Point = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Rate = Annotated[float, Field(ge=0, lt=0.5, allow_inf_nan=False)]

Population = dict[_Column, dict[_Level, _Share]]
"""Shares of the population that the algorithm is meant for, by attribute and level."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CaseMix(_Part):
    """Attributes whose mix may differ between groups; every group is compared within their levels."""

    by: tuple[_Column, ...] = Field(min_length=1, max_length=3)


class Slices(_Part):
    """Search for combinations of levels with more errors than elsewhere. Exploratory.

    ``errors`` says which wrong calls count; ``operating_point`` is the first declared threshold unless named.
    """

    attributes: tuple[_Column, ...] = Field(min_length=1, max_length=12)
    depth: int = Field(default=2, ge=1, le=3)
    minimum: int = Field(default=20, ge=5, le=100_000)
    permutations: int = Field(default=1000, ge=200, le=100_000)
    errors: Literal["any", "misses", "false_alarms"] = "any"
    operating_point: _Point | None = None


class ReferenceErrors(_Part):
    """How often the reference standard may be wrong: lowest and highest share, of truly diseased and of healthy."""

    false_negative_rate: tuple[_Rate, _Rate]
    false_positive_rate: tuple[_Rate, _Rate]


def find_case_mix_mistakes(protocol: Protocol) -> Iterator[tuple[Where, str]]:
    """Say what is impossible in these sections although each field alone is well formed."""
    strata = [stratum.attribute for stratum in protocol.strata if stratum.attribute is not None]
    for section, attributes in _named(protocol):
        for index, attribute in enumerate(attributes):
            where: Where = (*section, attribute if section == ("population",) else index)
            if attribute not in strata:
                declared = ", ".join(strata) or "none"
                yield where, f"is not an attribute that strata declare ({declared})."
            if attribute in attributes[:index]:
                yield where, "is named twice."
    mix = protocol.case_mix
    if mix is not None and not any(set(stratum.attributes) - set(mix.by) for stratum in protocol.strata):
        yield ("case_mix",), "needs a stratum besides these attributes: there is no group to compare."
    yield from _population_mistakes(protocol)
    yield from _point_mistakes(protocol)
    error = protocol.reference_error
    if error is not None:
        for name in ("false_negative_rate", "false_positive_rate"):
            low, high = getattr(error, name)
            if low > high:
                yield ("reference_error", name), "must give the lowest rate first."


def _named(protocol: Protocol) -> Iterator[tuple[Where, tuple[str, ...]]]:
    if protocol.case_mix is not None:
        yield ("case_mix", "by"), protocol.case_mix.by
    if protocol.population is not None:
        yield ("population",), tuple(protocol.population)
    if protocol.slices is not None:
        yield ("slices", "attributes"), protocol.slices.attributes


def _population_mistakes(protocol: Protocol) -> Iterator[tuple[Where, str]]:
    if protocol.population is not None and not protocol.population:
        yield ("population",), "names no attribute."
    for attribute, shares in (protocol.population or {}).items():
        if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
            yield ("population", attribute), f"the shares add up to {sum(shares.values()):g}, not to 1."
        bands = protocol.bands(attribute)
        for level in shares if bands is not None else ():
            if level not in band_names(bands or ()):
                names = ", ".join(band_names(bands or ()))
                yield ("population", attribute, level), f"is not a band of {attribute} ({names})."


def _point_mistakes(protocol: Protocol) -> Iterator[tuple[Where, str]]:
    slices = protocol.slices
    if slices is None:
        return
    fixed = [point.name for point in protocol.operating_points if point.threshold is not None]
    if not fixed:
        yield ("slices",), "needs an operating point with a threshold: an error is a wrong call."
    elif slices.operating_point is not None and slices.operating_point not in fixed:
        yield ("slices", "operating_point"), f"is not a declared threshold ({', '.join(fixed)})."
