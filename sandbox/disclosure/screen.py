"""The rules at work: from the results of an evaluation to the fields that may leave.

    screened = screen(results, rules, scope=predictions_digest)

``scope`` names the predictions that the numbers rest on. Two evaluations of the same predictions must have the same
scope, so that the audit knows that they speak of the same cells. Paths, fit for a ``selection`` (``P`` is a short
form of the protocol's digest):

    <scope>/P/verdict                                            overall verdict
    <scope>/P/acceptance/<criterion>                             met, not_met or cannot_tell
    <scope>/P/all/auroc/value|low|high                           AUROC and its interval's ends
    <scope>/P/<operating point>/all/sensitivity/value|low|high   and specificity, ppv, npv
    <scope>/P/all/mean_dice/value|low|high                       of a segmentation; and mean_iou, mean_nsd
    <scope>/P/all/failures/<code>                                counts of failures, only with label_free: rules
    <scope>/P/<attribute>=<level>/auroc/...                      the same of a stratum
    holdout/P/all/positives|negatives|patients                   counts of the hold-out, paid once
    holdout/P/<attribute>=<level>/positives|negatives|patients

A task with classes, grades or labels has these for each of them (:mod:`sandbox.disclosure.subjects`), its name after
``P``: ``<scope>/P/<class>/call/all/sensitivity/value``, ``<scope>/P/<label>/<operating point>/all/...``. Of a
segmentation the means of what lies between 0 and 1 leave (:mod:`sandbox.disclosure.means`). Of a measurement or a
detection only verdicts do: one patient alone can move their numbers as far as no grid covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sandbox.disclosure import telling
from sandbox.disclosure.cells import ALL
from sandbox.disclosure.counted import Counted, count
from sandbox.disclosure.fields import ReleasedField, RuleVerdict, Screened
from sandbox.disclosure.means import MEAN_TASKS, MEANS, Mean, mean_of, tell_criterion_on_mean, tell_mean
from sandbox.disclosure.outline import RATES, Outline, Selection, Slot, slots
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.subjects import (
    CALL,
    EXCLUSIVE,
    SUBJECT_TASKS,
    against_rest,
    between_subjects,
    planned_points,
    planned_subjects,
    subjects_of,
)
from sandbox.disclosure.suppression import Withheld, decide, estimates_of
from sandbox.disclosure.telling import Told
from sandbox.outcome.results import CriterionResult, Results
from sandbox.plan.protocol import Protocol

SCORED_TASKS = frozenset({"binary", "triage"})
_PASSED = "Passes every rule of the policy."


def screen(
    results: Results,
    rules: DisclosureRules,
    *,
    scope: str,
    selection: Selection | None = None,
    secret: bytes | None = None,
) -> Screened:
    """Apply every rule to ``results``.

    Args:
        results: of one evaluation; only the analysis that the protocol chose is considered.
        rules: the policy's.
        scope: name of the predictions, free of ``/``.
        selection: which paths are asked for; None: all. A field that is not asked for costs nothing.
        secret: of the institution, by which means are rounded; only tasks with means need it.

    Returns:
        Fields, what each rule said, and what the audit needs.

    Raises:
        DisclosureError: a mean is asked for, and there is no secret.
    """
    mark = protocol_mark(results.protocol_digest)
    parts = list(_parts(results, rules, scope, mark))
    writers = [writer for _, writer in parts]
    told: dict[str, Told] = {}
    chosen: list[Slot] = []
    means: dict[str, Mean] = {}
    for outline, writer in parts:
        for slot in slots(outline, rules, selection):
            chosen.append(slot)
            if slot.family == "mean":
                mean = means.setdefault(slot.name, mean_of(results, slot.name, f"{scope}/{mark}"))
                told[slot.path] = tell_mean(mean, slot, rules, scope=scope, secret=secret)
            else:
                told[slot.path] = _criteria(slot, results, writers, f"{scope}/{mark}") or writer.tell(slot)
    fields = tuple(_field(slot, told[slot.path]) for slot in chosen)
    counted = [writer.counted for writer in writers if writer.counted.truth]
    structure = [found for part in counted for found in part.structure]
    if results.task in SUBJECT_TASKS and counted:
        structure += between_subjects(counted, exclusive=results.task in EXCLUSIVE)
    structure += [mean.structure for mean in means.values()]
    protected = [cell for part in counted for cell in telling.protected(part, fields)]
    # A verdict alone leaves however high its limit is, as those on numbers that never leave do.
    protected += [cell for name, mean in means.items() if _is_told(name, fields) for cell in mean.values]
    return Screened(
        fields=fields,
        verdicts=tuple(_verdict(slot, told[slot.path]) for slot in chosen),
        structure=tuple(structure),
        protected=tuple(dict.fromkeys(protected)),
    )


def _is_told(mean: str, fields: Sequence[ReleasedField]) -> bool:
    return any(each.value is not None and f"/{ALL}/{mean}/" in each.path for each in fields)


def _parts(
    results: Results, rules: DisclosureRules, scope: str, mark: str
) -> Iterator[tuple[Outline, telling.Writer]]:
    """The outline and the writer of the whole, and of each subject where a task has several."""
    criteria = tuple(criterion.name for criterion in results.acceptance)
    scored = results.task in SCORED_TASKS and results.flow.positives is not None
    whole = Outline(
        scope=scope,
        protocol=mark,
        points=(),
        groups=(),
        criteria=criteria,
        cases=results.flow.cases,
        means=tuple(MEANS) if results.task in MEAN_TASKS else (),
    )
    if not scored:
        nothing = Counted(groups=())
        yield whole, telling.Writer(results=results, counted=nothing, estimates={}, decisions={}, rules=rules)
    subjects = subjects_of(results) if results.task in SUBJECT_TASKS else ()
    for subject in (None,) if scored else subjects:
        own = results if subject is None else against_rest(results, subject)
        counted = count(own, scope if subject is None else f"{scope}:{subject}", mark)
        estimates = estimates_of(own.analysis())
        outline = replace(
            whole,
            points=tuple(counted.confusion),
            groups=(ALL, *(group.name for group in counted.groups)),
            criteria=criteria if subject is None else (),
            subject=subject,
            ranked=results.task not in EXCLUSIVE,
        )
        decisions = decide(counted, estimates, rules)
        yield (
            outline,
            telling.Writer(
                results=own, counted=counted, estimates=estimates, decisions=decisions, rules=rules
            ),
        )


def _criteria(slot: Slot, results: Results, writers: Sequence[telling.Writer], head: str) -> Told | None:
    """Verdicts of a task with several subjects, where each tells those on its own rates, or of one with means."""
    if results.task not in SUBJECT_TASKS | MEAN_TASKS or slot.family not in ("verdict", "criterion"):
        return None
    own = dict(zip(subjects_of(results), writers[1:], strict=True)) if results.task in SUBJECT_TASKS else {}
    every = {each.name: _criterion(each, own, results, head) for each in results.acceptance}
    if slot.family == "verdict":
        return telling.overall(results.verdict, tuple(every.values()))
    return every[slot.name]


def _criterion(
    criterion: CriterionResult, writers: Mapping[str, telling.Writer], results: Results, head: str
) -> Told:
    if results.task in MEAN_TASKS and criterion.metric in MEANS and criterion.stratum is None:
        return tell_criterion_on_mean(mean_of(results, criterion.metric, head), criterion)
    if criterion.subject is None or criterion.subject not in writers or criterion.metric not in RATES:
        return Told(value=criterion.verdict)
    point = criterion.operating_point or CALL
    return writers[criterion.subject].tell_criterion(replace(criterion, operating_point=point))


def _verdict(slot: Slot, told: Told) -> RuleVerdict:
    refusal = told.refusal or Withheld(rule="rounding", sentence=_PASSED)
    return RuleVerdict(
        rule=refusal.rule, field=slot.path, passed=told.refusal is None, sentence=refusal.sentence
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
    kind = protocol.task.kind
    whole = Outline(
        scope=scope,
        protocol=protocol_mark(protocol.digest),
        points=tuple(point.name for point in protocol.operating_points if point.threshold is not None)
        if kind in SCORED_TASKS
        else (),
        groups=(ALL, *groups) if kind in SCORED_TASKS else (),
        criteria=tuple(criterion.name for criterion in protocol.acceptance),
        cases=cases,
        means=tuple(MEANS) if kind in MEAN_TASKS else (),
    )
    outlines = [whole]
    if kind in SUBJECT_TASKS:
        outlines += [
            replace(
                whole,
                points=planned_points(protocol),
                groups=(ALL, *groups),
                criteria=(),
                subject=subject,
                ranked=kind not in EXCLUSIVE,
            )
            for subject in planned_subjects(protocol)
        ]
    found = (slot for outline in outlines for slot in slots(outline, rules, selection))
    return tuple(_field(slot, Told()) for slot in found)


def why_verdicts_only(task: str, rules: DisclosureRules) -> str | None:
    """Why no number of a task of this kind leaves, in a sentence; None where numbers may."""
    if task in SCORED_TASKS or task in SUBJECT_TASKS:
        return None
    if task not in MEAN_TASKS:
        reason = "one patient alone can move its numbers as far as no rounding covers."
    elif MEANS.keys().isdisjoint(rules.metrics):
        reason = "the policy names none of its means (disclosure.metrics)."
    else:
        return None
    return f"Of a task of the kind {task} only verdicts can be released: {reason}"


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
        unit=MEANS[slot.name] if slot.family == "mean" else None,
    )
