"""Suites: named lists of perturbations with the margin that each is judged by, as files of ``policies/stress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from holdout.yamlfile import read_yaml, validate
from sandbox.stress.errors import SuiteError, UnknownPerturbationError
from sandbox.stress.perturbation import Perturbation
from sandbox.stress.registry import find, registry

SHIPPED = Path(__file__).parents[2] / "policies" / "stress"


class SuiteItem(BaseModel):
    """Perturbations by name or family, and optionally fewer severities than they have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    perturbation: str | None = None
    family: str | None = None
    severities: tuple[Annotated[int, Field(ge=1, le=5)], ...] | None = None


class Suite(BaseModel):
    """A suite as a person writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    proctor: Literal["stress/1"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    title: str
    tests: Annotated[tuple[SuiteItem, ...], Field(min_length=1)]


def load_suite(path: Path) -> Suite:
    """Read and check a suite.

    Raises:
        SuiteError: unknown keys, or a perturbation or family that the registry does not have.
    """
    suite = validate(read_yaml(path, SuiteError), Suite, SuiteError)
    for item in suite.tests:
        if (item.perturbation is None) == (item.family is None):
            raise SuiteError(f"{path.name}: each test names either a perturbation or a family")
        try:
            resolved_item(item)
        except UnknownPerturbationError as error:
            raise SuiteError(f"{path.name}: {error}") from error
    return suite


def resolved(suite: Suite) -> list[tuple[Perturbation, tuple[int, ...]]]:
    """Every perturbation of a suite once, with its severities, in the suite's order."""
    found: dict[str, tuple[Perturbation, tuple[int, ...]]] = {}
    for item in suite.tests:
        for perturbation, severities in resolved_item(item):
            found[perturbation.name] = (perturbation, severities)
    return list(found.values())


def resolved_item(item: SuiteItem) -> list[tuple[Perturbation, tuple[int, ...]]]:
    """Perturbations and severities that one line of a suite means.

    Raises:
        UnknownPerturbationError: there is no such perturbation, family or severity.
    """
    if item.perturbation is not None:
        chosen = [find(item.perturbation)]
    else:
        chosen = [entry for entry in registry().values() if entry.family == item.family]
        if not chosen:
            families = sorted({entry.family for entry in registry().values()})
            raise UnknownPerturbationError(f"there is no such family; there are {', '.join(families)}")
    pairs = []
    for perturbation in chosen:
        every = tuple(range(1, len(perturbation.severities) + 1))
        severities = item.severities or every
        if item.perturbation is not None and not set(severities) <= set(every):
            raise UnknownPerturbationError(f"{perturbation.name} has severities 1 to {len(every)}")
        pairs.append((perturbation, tuple(sorted(set(severities) & set(every)))))
    return pairs
