"""What came of stress tests: counts, paired differences to the clean answers, verdicts; plain frozen data.

Schema ``proctor/stress/1``, canonical JSON like :mod:`sandbox.outcome.results`: no case, no timing, equal inputs give
equal bytes. Estimates are of the sampled patients, one case each. Differences are stressed minus clean: negative is a
loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sandbox import records
from sandbox.canonical import canonical_json
from sandbox.errors import ScoringError
from sandbox.outcome.results import Estimate, FailureCount

SCHEMA = "proctor/stress/1"

StressVerdict = Literal[
    "equal", "within", "outside", "cannot_tell", "refused", "answered_nonsense", "not_applicable"
]
VERDICTS: tuple[StressVerdict, ...] = (
    "outside",
    "answered_nonsense",
    "cannot_tell",
    "within",
    "equal",
    "refused",
    "not_applicable",
)
"""From what must be looked at first to what need not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCalls:
    """Calls of the same cases of one class at one threshold, clean and stressed.

    ``only_clean`` were right only without stress, ``only_stressed`` only with it.
    """

    operating_point: str
    positive: bool
    both: int
    only_clean: int
    only_stressed: int
    neither: int

    @property
    def n(self) -> int:
        """Cases of the class."""
        return self.both + self.only_clean + self.only_stressed + self.neither


@dataclass(frozen=True, slots=True, kw_only=True)
class StressLoss:
    """How sure one change of a cell is a loss beyond its margin (of the score: a shift).

    ``p`` stands for itself; ``adjusted_p`` allows for every metric of every perturbation and severity (max-T), and a
    loss is ``shown`` by it.
    """

    metric: str
    subject: str | None
    p: float
    adjusted_p: float
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StressCell:
    """One perturbation at one severity.

    Attributes:
        severity, label: number from weak to strong, and the same in physical units.
        planned: cases that were to be asked; ``not_applicable`` of them the perturbation has no meaning for,
            ``not_put`` were asked but are not counted, since it is meant for the other class.
        cases, positives, negatives: what is counted.
        answered: of them with an answer; ``failures`` lists the others by code.
        different: answered cases whose answer is not the clean one; cases that only once had an answer count too.
        largest_difference: largest absolute difference of two answers to a case, in units of the score; of masks, of
            their Dice; of findings, of the rating of a lesion or of the highest false positive, by the range.
        calls: paired calls at each threshold, by class.
        estimates: what was estimated; ``operating_point`` of rates stands in ``subject``.
        verdict: by the expectation; ``reason`` says why.
        losses: one for each change that can be held against a margin.
    """

    severity: int
    label: str
    planned: int
    not_applicable: int
    not_put: int
    cases: int
    positives: int
    negatives: int
    answered: int
    failures: tuple[FailureCount, ...]
    different: int
    largest_difference: float | None
    calls: tuple[PairedCalls, ...]
    estimates: tuple[Estimate, ...]
    verdict: StressVerdict
    reason: str
    losses: tuple[StressLoss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StressGroup:
    """Harm to one level of a stratum against all other sampled cases, at the strongest severity.

    ``harm`` is how far scores moved to the wrong side, in units of the score; ``difference`` is the level's minus
    that of the others with its interval (Welch); ``adjusted_p`` is Holm's over all groups of all tests.
    """

    attribute: str
    level: str
    cases: int
    harm: float
    others: float
    difference: Estimate
    p: float
    adjusted_p: float
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StressTestResult:
    """One perturbation over its severities.

    Attributes:
        crosses_at: weakest severity at which a loss beyond the margin is not excluded any more.
        breaks_at: weakest severity at which a loss beyond the margin is shown.
        groups: levels of the strata, those with enough cases.
    """

    name: str
    family: str
    kind: str
    expectation: str
    readout: str
    sentence: str
    source: str
    cells: tuple[StressCell, ...]
    crosses_at: int | None
    breaks_at: int | None
    verdict: StressVerdict
    reason: str
    groups: tuple[StressGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutGroup:
    """Scores of one group's patients of one class against those of the others of that class.

    ``auroc`` is the probability that a patient of the group has the higher score; chance alone keeps it between
    ``chance_low`` and ``chance_high`` for all groups together, and ``adjusted_p`` is that of max-T over them.
    """

    positive: bool
    level: str
    patients: int
    others: int
    auroc: Estimate
    chance_low: float
    chance_high: float
    adjusted_p: float
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutResult:
    """Whether an attribute of site or scanner can be told from the score, given the truth.

    ``p`` is of all its groups together (Kruskal-Wallis by permutation), ``adjusted_p`` Holm's over the attributes.
    """

    attribute: str
    levels: int
    p: float
    adjusted_p: float
    shown: bool
    groups: tuple[ShortcutGroup, ...]
    verdict: StressVerdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StressMarginsUsed:
    """Margins of the protocol, None where it has none for this kind of task; ``score`` in units of the score."""

    auroc: float | None
    sensitivity: float | None
    specificity: float | None
    score: float | None
    dice: float | None = None
    nsd: float | None = None
    wafroc: float | None = None
    froc_sensitivity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictCount:
    """How many tests ended with one verdict."""

    verdict: StressVerdict
    tests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StressResults:
    """Results of the stress tests of one evaluation.

    Attributes:
        patients, positives, negatives: the sample, one case a patient; ``wanted`` is what the protocol declared.
        clean: AUROC and rates of the clean answers of the sample; of masks the mean Dice and normalised surface Dice;
            of findings the figures that are judged.
        tests: in the protocol's order, the clean case again first.
        ranked: names of the tests, what breaks first at the head.
        verdicts: counts in the order of ``VERDICTS``.
        shortcuts: by attribute, from the clean answers of all cases.
    """

    schema: str = SCHEMA
    evaluation: str
    protocol_digest: str
    suite: str | None
    level: float
    wanted: int
    patients: int
    positives: int
    negatives: int
    margins: StressMarginsUsed
    clean: tuple[Estimate, ...]
    tests: tuple[StressTestResult, ...]
    ranked: tuple[str, ...]
    verdicts: tuple[VerdictCount, ...]
    notes: tuple[str, ...]
    shortcuts: tuple[ShortcutResult, ...] = ()

    def test(self, name: str) -> StressTestResult:
        """The result of one perturbation."""
        return next(test for test in self.tests if test.name == name)


def to_json(results: StressResults) -> bytes:
    """Canonical JSON (RFC 8785) of ``results``, the bytes of ``stress.json``.

    Raises:
        ScoringError: a number is NaN or infinite.
    """
    return canonical_json(to_dict(results))


def to_dict(results: StressResults) -> dict[str, Any]:
    """Return ``results`` as JSON-ready objects."""
    return records.to_plain(results, "stress")


def from_json(data: bytes) -> StressResults:
    """Read back the bytes of :func:`to_json`.

    Raises:
        ScoringError: not JSON, another schema, or a missing, unknown or mistyped field.
    """
    raw = records.parse_json(data, "stress.json")
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise ScoringError(f"stress.json is not of the schema {SCHEMA}; score the evaluation again")
    return records.from_plain(StressResults, raw, "stress")
