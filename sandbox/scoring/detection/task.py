"""A task whose answer is a list of findings: curves over lesions and cases, with intervals from resampled patients.

Under ``worst_case`` the lesions of a failed case are missed at every threshold, and a failed case without lesions has
one false alarm above every rating.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sandbox.outcome.result_figures import Line, Plot
from sandbox.outcome.results import Estimate
from sandbox.plan.analysis_section import Hits
from sandbox.plan.protocol import Protocol
from sandbox.scoring.bootstrap import percentile_interval
from sandbox.scoring.cases import Floats
from sandbox.scoring.detection import curves
from sandbox.scoring.detection.compared import Figure, finding_outcomes
from sandbox.scoring.detection.marks import CaseMarks, Marks, failed_case, make_marks
from sandbox.scoring.estimates import estimate, undefined
from sandbox.scoring.gaps import weights_seed
from sandbox.scoring.scored_task import ScoredTask
from sandbox.scoring.task_analysis import Place, TaskParts, score_task
from sandbox.scoring.task_columns import TaskColumns, task_columns

BOOTSTRAP = "bootstrap-percentile-patients"
_ROW = "answer:row"
WEIGHTS = "truth:weights"
"""Column of the weights of a case's lesions, where the protocol declares them."""
_POINTS = 400
NOTES = (
    "False positives are counted per case, or per case without a lesion, as each figure says; never mixed.",
    "AFROC and wAFROC hold lesions against the highest false positive of cases without lesions.",
    "A failed case counts as wrong: its lesions are missed; without lesions it is a false alarm at every threshold.",
)


def score_detection(labelled: pa.Table, protocol: Protocol, evaluation: str) -> ScoredTask:
    """Score the labelled cases of a detection.

    Raises:
        ScoringError: a stratum's column is missing or has an unfit type.
    """
    marked = case_marks(labelled)
    rows = pa.array(np.arange(labelled.num_rows, dtype=np.float64))
    cases, levels = task_columns(labelled.append_column(_ROW, rows), protocol, (_ROW,))
    hits, findings = protocol.hits, protocol.output.findings
    assert hits is not None
    assert findings is not None
    cube = " (of a sphere, the cube around it)" if findings.in_volume else ""
    rule = {
        "iou": f"boxes{cube} overlap with an IoU of at least {hits.least}",
        "centre": f"its centre lies in the lesion's {'box or sphere' if findings.in_volume else 'box'}",
        "distance": f"their centres are at most {hits.most_distance} {findings.unit} apart",
        "radius": "its centre is no farther from the lesion's centre than the lesion's own radius (LUNA16)",
    }[hits.rule]
    repeats = "left out" if hits.repeats == "left_out" else "a false positive"
    parts = TaskParts(
        estimates=lambda entered, plan, place: _estimates(marked, entered, plan, place),
        plots=lambda entered, _plan, _place: (_froc_plot(marked, entered),),
        compared=lambda asked, counted, plan, place: finding_outcomes(
            [marked[int(row)] for row in asked.answer[:, 0]],
            asked.patient,
            counted,
            figures(plan),
            weights_seed(place.evaluation, place.rule),
            plan.intervals.bootstrap_replicates,
        ),
        worst_by=(("average_precision", False), ("wafroc", False)),
        notes=(
            *NOTES,
            *_declared_notes(hits),
            f"A finding hits a lesion when {rule}; another hit on a lesion that is found is {repeats}.",
        ),
    )
    return score_task(cases, levels, parts, protocol, evaluation)


def _declared_notes(hits: Hits) -> Iterator[str]:
    if hits.ignored:
        yield f"A finding with its centre in a region of {hits.ignored}, and that hits no lesion, counts for nothing."
    if hits.weights:
        listed = ", ".join(f"{label} {weight:g}" for label, weight in hits.weights.items())
        yield f"Lesions weigh in wAFROC as declared ({listed}, others 1), scaled to add up to 1 in each case."


def figures(protocol: Protocol) -> list[tuple[str, str | None, Figure]]:
    """What is estimated: metric, subject, and the function of counts."""
    assert protocol.hits is not None
    found: list[tuple[str, str | None, Figure]] = [
        ("average_precision", None, curves.average_precision),
        ("case_auroc", None, curves.case_auroc),
        ("wafroc", None, lambda marks, counts: curves.afroc(marks, counts, weighted=True)),
        ("afroc", None, lambda marks, counts: curves.afroc(marks, counts, weighted=False)),
        ("cpm", None, curves.competition_metric),
    ]
    for rate in protocol.hits.rates:
        found.append(("froc_sensitivity", f"{rate:g}", _sensitivity(rate, "case")))
        found.append(("froc_sensitivity_per_normal", f"{rate:g}", _sensitivity(rate, "normal_case")))
    return found


def _sensitivity(rate: float, per: curves.Per) -> Figure:
    return lambda marks, counts: curves.sensitivity_at(marks, counts, rate, per)


def case_marks(labelled: pa.Table) -> list[CaseMarks]:
    """The findings of each scored case after matching, a failed one as the worst that there is."""
    names = ("reference", "answer:ratings", "answer:matched", "failure")
    columns = [labelled[name].to_pylist() for name in names]
    weighed = WEIGHTS in labelled.column_names
    weights = labelled[WEIGHTS].to_pylist() if weighed else [None] * labelled.num_rows
    return [
        failed_case(int(lesions))
        if failure is not None
        else CaseMarks(
            ratings=np.array(ratings, dtype=np.float64),
            matched=np.array(matched, dtype=np.int64),
            lesions=int(lesions),
            weights=None if own is None else np.array(own, dtype=np.float64),
        )
        for lesions, ratings, matched, failure, own in zip(*columns, weights, strict=True)
    ]


def _marks(marked: Sequence[CaseMarks], cases: TaskColumns) -> Marks:
    return make_marks([marked[int(row)] for row in cases.answer[:, 0]], cases.patient)


def _estimates(
    marked: Sequence[CaseMarks], cases: TaskColumns, protocol: Protocol, place: Place
) -> tuple[Estimate, ...]:
    basis = cases.basis(protocol.intervals.level)
    asked = figures(protocol)
    if not cases.n:
        empty = "There is no case."
        return tuple(
            replace(undefined(metric, basis, BOOTSTRAP, empty), subject=subject)
            for metric, subject, _ in asked
        )
    marks = _marks(marked, cases)
    total = marks.total()
    drawn: list[list[Floats]] = [[] for _ in asked]
    for counts in marks.resampled(place.seed("findings"), protocol.intervals.bootstrap_replicates):
        for (_, _, figure), kept in zip(asked, drawn, strict=True):
            kept.append(figure(marks, counts))
    found = []
    for (metric, subject, figure), kept in zip(asked, drawn, strict=True):
        value = float(figure(marks, total)[0])
        if np.isnan(value):
            lack = "It needs lesions, and cases without any for what is held against these."
            found.append(replace(undefined(metric, basis, BOOTSTRAP, lack), subject=subject))
            continue
        interval = percentile_interval(np.concatenate(kept), basis.level)
        few = (
            None
            if np.isfinite(interval).all()
            else "Too few resamples hold both lesions and cases without any."
        )
        made = estimate(metric, value, interval, basis, BOOTSTRAP, reason=few)
        found.append(replace(made, subject=subject))
    return tuple(found)


def _froc_plot(marked: Sequence[CaseMarks], cases: TaskColumns) -> Plot:
    """The FROC curve at no more than 400 thresholds."""
    marks = _marks(marked, cases)
    lines = []
    for per, name in (("case", "per case"), ("normal_case", "per case without a lesion")):
        alarms, found = curves.froc(marks, marks.total(), "case" if per == "case" else "normal_case")
        if np.isnan(alarms).any() or np.isnan(found).any():
            continue
        chosen = np.unique(np.linspace(0, alarms.shape[1] - 1, min(_POINTS, alarms.shape[1])).astype(int))
        lines.append(Line(name=name, x=tuple(alarms[0, chosen].tolist()), y=tuple(found[0, chosen].tolist())))
    return Plot(
        name="froc",
        title="FROC: lesions found against false positives",
        x_label="false positives",
        y_label="share of lesions found",
        lines=tuple(lines),
        y_low=0.0,
        y_high=1.0,
        x_low=0.0,
    )
