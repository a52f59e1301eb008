"""The rules at work: from the results of an evaluation to the fields that may leave.

    screened = screen(results, rules, scope=predictions_digest)

``scope`` names the predictions that the numbers rest on. Two evaluations of the same predictions must have the same
scope, so that the audit knows that they speak of the same cells. Paths, fit for a ``selection`` (``P`` is a short
form of the protocol's digest):

    <scope>/P/verdict                                            overall verdict
    <scope>/P/acceptance/<criterion>                             met, not_met or cannot_tell
    <scope>/P/all/auroc/value|low|high                           AUROC and its interval's ends
    <scope>/P/<operating point>/all/sensitivity/value|low|high   and specificity, ppv, npv
    <scope>/P/all/failures/<code>                                counts of failures, only with label_free: rules
    <scope>/P/<attribute>=<level>/auroc/...                      the same of a stratum
    holdout/P/all/positives|negatives|patients                   counts of the hold-out, paid once
    holdout/P/<attribute>=<level>/positives|negatives|patients

Of a task without one binary target only verdicts leave: the audit cannot follow its other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.disclosure import telling
from sandbox.disclosure.cells import ALL
from sandbox.disclosure.counted import Counted, count
from sandbox.disclosure.fields import ReleasedField, RuleVerdict, Screened
from sandbox.disclosure.outline import Outline, Selection, Slot, slots
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.suppression import Withheld, decide, estimates_of
from sandbox.disclosure.telling import Told
from sandbox.protocol import Protocol
from sandbox.results import Results

SCORED_TASKS = frozenset({"binary", "triage"})
_PASSED = "Passes every rule of the policy."


def screen(
    results: Results, rules: DisclosureRules, *, scope: str, selection: Selection | None = None
) -> Screened:
    """Apply every rule to ``results``.

    Args:
        results: of one evaluation; only the analysis that the protocol chose is considered.
        rules: the policy's.
        scope: name of the predictions, free of ``/``.
        selection: which paths are asked for; None: all. A field that is not asked for costs nothing.

    Returns:
        Fields, what each rule said, and what the audit needs.
    """
    protocol = protocol_mark(results.protocol_digest)
    scored = results.task in SCORED_TASKS and results.flow.positives is not None
    counted = count(results, scope, protocol) if scored else Counted(groups=())
    outline = Outline(
        scope=scope,
        protocol=protocol,
        points=tuple(counted.confusion),
        groups=(ALL, *(group.name for group in counted.groups)) if scored else (),
        criteria=tuple(criterion.name for criterion in results.acceptance),
        cases=results.flow.cases,
    )
    estimates = estimates_of(results.analysis()) if scored else {}
    decisions = decide(counted, estimates, rules) if scored else {}
    writer = telling.Writer(
        results=results, counted=counted, estimates=estimates, decisions=decisions, rules=rules
    )
    fields, verdicts = [], []
    for slot in slots(outline, rules, selection):
        told = writer.tell(slot)
        fields.append(_field(slot, told))
        refusal = told.refusal or Withheld(rule="rounding", sentence=_PASSED)
        verdicts.append(
            RuleVerdict(
                rule=refusal.rule,
                field=slot.path,
                passed=told.refusal is None,
                sentence=refusal.sentence,
            )
        )
    return Screened(
        fields=tuple(fields),
        verdicts=tuple(verdicts),
        structure=counted.structure,
        protected=telling.protected(counted, fields),
    )


def plan(
    protocol: Protocol,
    groups: Sequence[str],
    cases: int,
    rules: DisclosureRules,
    *,
    scope: str,
    selection: Selection | None = None,
) -> tuple[ReleasedField, ...]:
    """The fields that :func:`screen` would give, without values: what a release costs before the run.

    The fields, their levels and so their bits depend on nothing that a container says, so that the cost before is
    the cost after.

    Args:
        protocol: the registered plan.
        groups: the ``attribute=level`` of each level of each stratum of the hold-out, in the results' order.
        cases: number of cases of the hold-out that have a reference standard.
        rules: the policy's.
        scope: any name.
        selection: as in :func:`screen`.
    """
    scored = protocol.task.kind in SCORED_TASKS
    outline = Outline(
        scope=scope,
        protocol=protocol_mark(protocol.digest),
        points=tuple(point.name for point in protocol.operating_points if point.threshold is not None)
        if scored
        else (),
        groups=(ALL, *groups) if scored else (),
        criteria=tuple(criterion.name for criterion in protocol.acceptance),
        cases=cases,
    )
    return tuple(_field(slot, Told()) for slot in slots(outline, rules, selection))


def protocol_mark(digest: str) -> str:
    """Short form of a protocol's digest, as it stands in paths."""
    return digest.removeprefix("sha256:")[:12]


def _field(slot: Slot, told: Told) -> ReleasedField:
    return ReleasedField(
        path=slot.path,
        kind=slot.kind,
        value=told.value,
        grid=told.grid,
        levels=slot.levels,
        bits=slot.bits,
        constraints=told.constraints,
    )
