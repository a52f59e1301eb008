"""What a report is made of: plain frozen facts, gathered by the evaluation before any page is drawn.

The page adds nothing that is not in here: no clock, no host name, no look at the disk. Equal inputs give
equal bytes, so the digest of a report can stand in the ledger and the report can be made again.

Every text may have been written by a vendor or come from a data file; the page shows it escaped. Times are
UTC in ISO 8601 as the ledger's entries state them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.outcome.results import Results
from sandbox.outcome.stress_results import StressResults

Audience = Literal["institution", "regulator"]
UsePurpose = Literal["evaluation", "stress", "self-check", "verification", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerMark:
    """Where and when something was recorded: index of the ledger entry and its time."""

    index: int
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One named value of the environment, shown as it is."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolFacts:
    """The registered protocol: its document as parsed, its digest, and when it was registered.

    ``document`` is the plain mapping that ``digest`` covers (canonical JSON).
    """

    name: str
    title: str
    digest: str
    document: Mapping[str, object]
    registered: LedgerMark


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """The institution's policy in force, by name and digest."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionFacts:
    """The vendor image: identified by ``image_digest``; all other texts are the vendor's own words."""

    vendor: str
    name: str
    image_digest: str
    contract: str
    size_bytes: int
    admitted: LedgerMark
    details: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """How many did not go on to the next step of the flow, and why."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowStep:
    """One step on the way from the files found to the locked hold-out (STARD 2015 item 19).

    ``unit`` is what is counted, in the plural (``files``, ``cases``, ``patients``); ``left_out`` lists what
    did not go on from this step.
    """

    label: str
    count: int
    unit: str
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceMethod:
    """Cases whose reference standard was established by one method (pathology, consensus, report ...).

    ``positives`` is None unless the task has one binary target.
    """

    method: str
    cases: int
    positives: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingShare:
    """How many cases lack a value for an attribute (shown and analysed as the level `unknown`)."""

    attribute: str
    cases: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapCheck:
    """One check for leaks between the hold-out and development data; ``found`` None: not done, and why."""

    name: str
    found: int | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutFacts:
    """The locked hold-out, as locked.

    ``flow`` holds the steps before the lock; what happened during the run is in the results' flow. The
    composition by attribute is in the results. ``synthetic`` data are called so wherever they are named.
    ``warnings`` are sentences a reader must see (burned-in text not checked, lossy compression ...).
    """

    name: str
    version: str
    root: str
    cases: int
    patients: int
    instances: int
    synthetic: bool
    locked: LedgerMark
    description: str = ""
    flow: tuple[FlowStep, ...] = ()
    reference_definition: str = ""
    reference_methods: tuple[ReferenceMethod, ...] = ()
    missing: tuple[MissingShare, ...] = ()
    overlap: tuple[OverlapCheck, ...] = ()
    staging: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    verified_before: LedgerMark | None = None
    verified_after: LedgerMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFact:
    """One isolation control: what was expected, what the probe measured, and whether it held.

    ``required``: without it a run is refused. A control that is not required and not held is a known gap.
    """

    name: str
    expected: str
    measured: str
    held: bool
    required: bool = True
    waiver: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The run: engine and host facts, begin and end as the ledger states them, containers started."""

    started: LedgerMark
    finished: LedgerMark
    containers_started: int
    engine: tuple[Fact, ...] = ()
    tool: tuple[Fact, ...] = ()
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """One earlier use of the same hold-out version: who touched how many cases, and what was given out."""

    time: str
    vendor_pseudonym: str
    evaluation: str
    cases: int
    purpose: UsePurpose = "evaluation"
    disclosed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFacts:
    """What was told of this hold-out version by releases before this result, in bits, and what that does to it.

    ``half_width``: after ``pooled_spent`` bits a proportion over ``patients`` independent patients lies within it of
    its true value, however the answers were used, but for a chance of ``delta`` (Dwork et al. 2015).
    """

    spent: float
    budget: float
    pooled_spent: float
    pooled_budget: float
    patients: int
    delta: float
    half_width: float

    @property
    def left(self) -> float:
        """Bits that may still be told to this vendor."""
        return max(0.0, min(self.budget - self.spent, self.pooled_budget - self.pooled_spent))


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntryFact:
    """One ledger entry that this evaluation rests on."""

    index: int
    time: str
    kind: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityFacts:
    """How to check this report: the ledger's origin, the signed checkpoint, the entries, one command.

    ``key_id`` names the key that signed the checkpoint; ``verify_command`` runs offline on the dossier.
    """

    origin: str
    tree_size: int
    root: str
    key_id: str
    verify_command: str
    entries: tuple[LedgerEntryFact, ...] = ()
    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """A standing check of the machinery: a perfect container scores 1, a constant one 0.5."""

    name: str
    expected: str
    observed: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """Everything one report is made of.

    Attributes:
        not_built: parts of the examination that this version does not have, as sentences; shown loudly, so
            that silence is not read as a pass.
        earlier_use: uses of this hold-out version before this run, oldest first.
        stress: what came of stress tests; None where the protocol asks for none.
        budget: what releases told of this hold-out version before; None where no budget was kept.
    """

    audience: Audience
    site: str
    results: Results
    protocol: ProtocolFacts
    policy: PolicyFacts
    submission: SubmissionFacts
    holdout: HoldoutFacts
    run: RunFacts
    posture: tuple[ControlFact, ...]
    earlier_use: tuple[DataUse, ...]
    budget: BudgetFacts | None = None
    integrity: IntegrityFacts
    self_checks: tuple[SelfCheck, ...]
    not_built: tuple[str, ...]
    stress: StressResults | None = None
