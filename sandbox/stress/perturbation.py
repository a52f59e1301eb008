"""What a perturbation is: a change of a case with its strength in physical units and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

    from sandbox.stress.case import OpenCase

Expectation = Literal["must not change", "may change within a margin", "must refuse"]
Kind = Literal["pixels", "header", "encoding", "file", "run"]
Cases = Literal["all", "positive", "negative"]
Donor = Literal["none", "same class, other patient", "other class"]
Run = Literal[
    "none", "same case again", "fresh container", "other order", "other batch", "other thread count"
]
Readout = Literal["paired difference", "auroc near 0.5", "score follows the pixels"]
Severity = float | str
Change = Callable[["OpenCase", "Severity", "np.random.Generator"], None]
"""Changes an open case in place: (case, severity, random numbers that do not depend on the severity)."""

GRADED = 5
"""A perturbation has this many severities, or one where there is nothing to grade."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """One way in which input can differ from what an algorithm was shown.

    Attributes:
        name: stable name in protocols and results, snake_case.
        family: heading under which it is listed.
        modalities: values of Modality (0008,0060) that it applies to; empty for any image.
        expectation: what an algorithm must do with it.
        kind: ``pixels``, ``header``, ``encoding`` (same pixels, written otherwise), ``file`` (not an image of
            the kind that the algorithm is for), or ``run`` (no file changes; the runner does ``run``).
        unit: unit of the severities; empty where there is none.
        severities: severities 1, 2, ... from weak to strong, five where it is graded, else one.
        sentence: what it stands for in the clinic.
        source: the paper or section of the standard behind it.
        function: the change; None for runs.
        cases: which cases it is meant for, by their truth. Only the scorer knows truth, so it chooses.
        donor: whether a second case must be given, of which class.
        run: what the runner does otherwise, for kind ``run``.
        readout: what tells a pass: the difference to the clean case (by the expectation); an AUROC near chance, as
            what is left of the image cannot tell the truth; or a score near that of the donor's clean case.
        in_place: every pixel stays where it was, on the same grid, and nothing that it shows is covered: a mask or a
            box that is true of the clean case is true of this one. What does not say so is taken to move.
    """

    name: str
    family: str
    expectation: Expectation
    kind: Kind
    unit: str
    severities: tuple[Severity, ...]
    sentence: str
    source: str
    function: Change | None
    modalities: frozenset[str] = frozenset()
    cases: Cases = "all"
    donor: Donor = "none"
    run: Run = "none"
    readout: Readout = "paired difference"
    in_place: bool = False

    def __post_init__(self) -> None:
        if len(self.severities) not in (1, GRADED):
            raise ValueError(f"{self.name} has {len(self.severities)} severities; {GRADED} or one are needed")
        if (self.function is None) != (self.kind == "run") or (self.run == "none") != (self.kind != "run"):
            raise ValueError(f"{self.name}: a run has no function, everything else has one")

    @property
    def graded(self) -> bool:
        """Whether it has five severities rather than one."""
        return len(self.severities) == GRADED

    def severity_label(self, severity: int) -> str:
        """Severity in words: its value and unit; 'clean' for 0."""
        if severity == 0:
            return "clean"
        value = self.severities[severity - 1]
        text = value if isinstance(value, str) else f"{value:g}"
        return f"{text} {self.unit}".strip()
