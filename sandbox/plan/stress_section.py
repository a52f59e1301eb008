"""The section ``stress`` of a protocol: which perturbations are asked, on how many patients, judged by which margins.

What is registered is the list that the section stands for, with each severity in words and the expectation: a suite
that ships with another version cannot change a registered protocol.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from holdout.yamlfile import Where
from sandbox.plan.bands import CROSS
from sandbox.plan.metric_catalogue import SCORED_KINDS, TaskKind
from sandbox.plan.stress_margins import StressMargins, strange_margins

if TYPE_CHECKING:
    from sandbox.plan.protocol import Protocol
    from sandbox.stress.perturbation import Perturbation

MOST_ASKS = 100_000
"""Asks that one evaluation may put: perturbations times severities times patients."""

_Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
_COLUMN = r"[A-Za-z][A-Za-z0-9_.-]{0,63}"
_Attribute = Annotated[str, StringConstraints(pattern=rf"^{_COLUMN}( x {_COLUMN}){{0,2}}$")]
MARKED_KINDS: frozenset[TaskKind] = frozenset({"segmentation", "detection"})
"""Kinds whose answer marks places in the image: what moves the image would have to move its truth too."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StressTest(_Part):
    """A perturbation by name, and optionally fewer severities than it has."""

    name: _Word
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] | None = None


class ResolvedTest(_Part):
    """What is asked and what must come of it, as the registry said when the protocol was registered."""

    name: str
    severities: tuple[int, ...]
    labels: tuple[str, ...]
    expectation: str
    readout: str


class Resolved(_Part):
    """What a section stands for: what is asked, and what of the suite does not fit the kind of task."""

    tests: tuple[ResolvedTest, ...] = ()
    left_out: tuple[str, ...] = ()


class WantedWidth(_Part):
    """The sample by the width wanted: of the change of a rate, when ``discordant`` of the cases change sides.

    Connor 1987, Biometrics 43:207: the variance of a paired difference is at most ``discordant / n``.
    """

    half_width: Annotated[float, Field(gt=0, lt=1)]
    discordant: Annotated[float, Field(gt=0, le=1)] = 0.2


class Stress(_Part):
    """The section as a person writes it; ``tests`` and ``left_out`` are filled in, never written.

    ``whole_set`` is for containers that get all cases together: stressed cases come ``apart``, in a set of their own,
    or ``among`` the clean ones, where nothing tells a container of the test but every answer may depend on them.
    ``shortcuts`` names attributes of site or scanner (crossed by `` x ``) that a score must not tell, given the truth;
    they need no perturbation and may stand alone.
    """

    suite: _Word | None = None
    perturbations: Annotated[tuple[StressTest, ...], Field(max_length=200)] = ()
    patients: Annotated[int, Field(ge=10, le=100_000)] | None = None
    wanted: WantedWidth | None = None
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    margins: StressMargins = StressMargins()
    level: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    whole_set: Literal["apart", "among"] = "apart"
    shortcuts: Annotated[tuple[_Attribute, ...], Field(max_length=20)] = ()
    tests: tuple[ResolvedTest, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The plain mapping that the protocol's digest covers."""
        plain = self.model_dump(mode="json", exclude={"perturbations", "wanted"})
        if self.whole_set == "apart":
            del plain["whole_set"]
        for name in ("shortcuts", "left_out"):
            if not plain[name]:
                del plain[name]
        return {**plain, "patients": self.sample}

    @property
    def attributes(self) -> tuple[str, ...]:
        """Columns that the shortcuts need."""
        return tuple(dict.fromkeys(part for name in self.shortcuts for part in name.split(CROSS)))

    @property
    def sample(self) -> int:
        """Patients that are drawn: as given, or as many as the wanted width needs, half of each class."""
        if self.patients is not None:
            return self.patients
        if self.wanted is None:
            return 0
        z = NormalDist().inv_cdf((1 + self.level) / 2)
        return max(10, 2 * math.ceil(z * z * self.wanted.discordant / self.wanted.half_width**2))


def find_stress_mistakes(protocol: Protocol) -> Iterator[tuple[Where, str]]:
    """Say what is impossible in the section ``stress``, as (path, message)."""
    stress, kind = protocol.stress, protocol.task.kind
    if stress is None:
        return
    for name in strange_margins(kind, stress.margins):
        yield ("stress", "margins", name), f"is no margin of {kind}; leave it out."
    if stress.shortcuts and kind not in SCORED_KINDS:
        yield ("stress", "shortcuts"), "are about one score; leave them out."
        return
    for name in ("tests", "left_out"):
        if getattr(stress, name):
            yield ("stress", name), "is filled in from suite or perturbations; do not write it."
            return
    nothing = stress.suite is None and not stress.perturbations
    if nothing and stress.shortcuts:
        if stress.patients is not None or stress.wanted is not None:
            yield (
                ("stress",),
                "patients are drawn for perturbations; give a suite or perturbations, or leave it out.",
            )
        return
    if nothing or (stress.suite is not None and stress.perturbations):
        yield ("stress",), "give either suite or perturbations."
        return
    if (stress.patients is None) == (stress.wanted is None):
        yield ("stress",), "give either patients or wanted."
    yield from _asked_mistakes(stress, kind)


def _asked_mistakes(stress: Stress, kind: TaskKind) -> Iterator[tuple[Where, str]]:
    from sandbox.errors import ProctorError

    named = [test.name for test in stress.perturbations]
    for index, test in enumerate(stress.perturbations):
        where: Where = ("stress", "perturbations", index)
        if test.name in named[:index]:
            yield (*where, "name"), "is named twice."
        try:
            perturbation, _ = _of_test(test)
        except ProctorError as error:
            yield where, str(error)
            continue
        if problem := unfit(perturbation, kind):
            yield where, problem
    if stress.suite is not None:
        try:
            asked = [perturbation for perturbation, _ in _of_suite(stress.suite)]
        except ProctorError as error:
            yield ("stress", "suite"), str(error)
            return
        if all(unfit(perturbation, kind) for perturbation in asked):
            yield ("stress", "suite"), f"has nothing that fits {kind}; name perturbations that do."


def unfit(perturbation: Perturbation, kind: TaskKind) -> str | None:
    """Why a perturbation cannot be asked of this kind of task, or None.

    Of what must be refused no answer is held against the truth, wherever its pixels are.
    """
    if kind not in SCORED_KINDS and needs_yes_or_no(perturbation):
        return "is judged by a score about a yes or no, which this task does not answer."
    if kind in MARKED_KINDS and not perturbation.in_place and perturbation.expectation != "must refuse":
        return "moves or covers what the truth marks, and the truth stays where it is; leave it out."
    return None


def needs_yes_or_no(perturbation: Perturbation) -> bool:
    """Whether a perturbation is for one class, takes from the other, or is read out by AUROC or another's score."""
    return (
        perturbation.cases != "all"
        or perturbation.donor == "other class"
        or perturbation.readout != "paired difference"
    )


def too_many(stress: Stress) -> str | None:
    """Say that a resolved section asks more than an evaluation may, or None."""
    asks = stress.sample * (1 + sum(len(test.severities) for test in stress.tests))
    return f"means {asks} questions; at most {MOST_ASKS} are asked." if asks > MOST_ASKS else None


def resolve(stress: Stress, kind: TaskKind) -> Resolved:
    """List what a checked section stands for, by the registry and the suites of this version.

    What a suite has that does not fit the kind of task is left out, and named.
    """
    pairs = (
        _of_suite(stress.suite)
        if stress.suite is not None
        else [_of_test(test) for test in stress.perturbations]
    )
    return Resolved(
        tests=tuple(
            resolved_test(perturbation, severities)
            for perturbation, severities in pairs
            if not unfit(perturbation, kind)
        ),
        left_out=tuple(perturbation.name for perturbation, _ in pairs if unfit(perturbation, kind)),
    )


def resolved_test(perturbation: Perturbation, severities: tuple[int, ...]) -> ResolvedTest:
    """What is asked of one perturbation, in the words of the registry."""
    return ResolvedTest(
        name=perturbation.name,
        severities=severities,
        labels=tuple(perturbation.severity_label(severity) for severity in severities),
        expectation=perturbation.expectation,
        readout=perturbation.readout,
    )


def _of_test(test: StressTest) -> tuple[Perturbation, tuple[int, ...]]:
    from sandbox.stress.suites import SuiteItem, resolved_item

    return resolved_item(SuiteItem(perturbation=test.name, severities=test.severities))[0]


def _of_suite(name: str) -> list[tuple[Perturbation, tuple[int, ...]]]:
    from sandbox.errors import ProtocolError
    from sandbox.stress.suites import SHIPPED, load_suite, resolved

    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.yaml")))
        raise ProtocolError(f"there is no such suite; there are {known}.")
    return resolved(load_suite(path))
