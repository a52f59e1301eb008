"""Finished evaluations of one hold-out compared with each other; each look stands in the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from sandbox.canonical import digest
from sandbox.errors import EvaluationError, EvaluationRefusedError, UsageError
from sandbox.evaluations.evaluation import Evaluation, find
from sandbox.institution.workspace import Workspace, entry, open_ledger
from sandbox.plan import protocols
from sandbox.plan.protocol import Protocol
from sandbox.scoring.comparison.answers import Answers, join_answers
from sandbox.scoring.comparison.study import (
    METRICS,
    RATES,
    Endpoint,
    SubmissionComparison,
    compare_submissions,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished evaluation with what a comparison needs of it."""

    evaluation: Evaluation
    root: str
    protocol: Protocol
    table: pa.Table


def load_finished(workspace: Workspace, identifiers: Sequence[str]) -> tuple[Finished, ...]:
    """Open finished evaluations and see that they answer the same question about the same hold-out.

    Raises:
        UsageError: an unknown evaluation, or one named twice.
        EvaluationRefusedError: unfinished, or of different hold-outs, targets or units.
        EvaluationError: a file is damaged.
    """
    items = [find(workspace, identifier) for identifier in identifiers]
    if len({item.id for item in items}) < len(items):
        raise UsageError("An evaluation is named twice. Give different evaluations.")
    for item in items:
        if item.state != "finished":
            raise EvaluationRefusedError(
                f"Evaluation {item.id} is not finished; finish it first: run the same proctor evaluate again."
            )
    loaded = tuple(_load(workspace, item) for item in items)
    first = loaded[0]
    for other in loaded[1:]:
        if other.root != first.root:
            raise EvaluationRefusedError(
                f"{other.evaluation.id} rests on another hold-out version than {first.evaluation.id}. Only "
                "evaluations of the same version of the same hold-out can be compared."
            )
        if (
            other.protocol.task.target != first.protocol.task.target
            or other.protocol.task.unit != first.protocol.task.unit
        ):
            raise EvaluationRefusedError(
                f"{other.evaluation.id} asks for another target or unit than {first.evaluation.id}. Only evaluations "
                "of the same target can be compared."
            )
    return loaded


def _load(workspace: Workspace, item: Evaluation) -> Finished:
    try:
        root = json.loads((item.folder / "identity.json").read_bytes())["root"]
        table = pq.read_table(item.folder / "scored.parquet")
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise EvaluationError(
            f"{item.folder} is damaged. Restore it from a backup of the workspace."
        ) from error
    protocol = protocols.find(workspace, item.protocol).protocol
    if protocol.task.kind != "binary":
        raise EvaluationRefusedError(
            f"{item.id} is of the task {protocol.task.kind}; only binary tasks can be compared this way."
        )
    return Finished(evaluation=item, root=root, protocol=protocol, table=table)


def thresholds_of(protocol: Protocol) -> Mapping[str, float]:
    """Lowest positive score of each operating point, a little below the threshold as in scoring."""
    output = protocol.output.score
    assert output is not None, "binary tasks have a score"
    tolerance = 1e-9 * (output.maximum - output.minimum)
    return {
        point.name: point.threshold - tolerance
        for point in protocol.operating_points
        if point.threshold is not None
    }


def endpoints_of(names: Sequence[str], loaded: Sequence[Finished]) -> tuple[Endpoint, ...]:
    """Endpoints by name (``auroc``, ``sensitivity@point``); without any name AUROC and every shared point.

    Raises:
        UsageError: an unknown metric, or an operating point that not every protocol declares.
    """
    shared = [
        point
        for point in thresholds_of(loaded[0].protocol)
        if all(point in thresholds_of(each.protocol) for each in loaded)
    ]
    if not names:
        rates = [Endpoint(metric=metric, operating_point=point) for point in shared for metric in RATES]
        return (Endpoint(metric="auroc"), *rates, Endpoint(metric="failure_rate"))
    found = []
    for name in names:
        word, _, point = name.partition("@")
        metric = next((each for each in METRICS if each == word), None)
        if metric is None:
            raise UsageError(f"--metric {name!r} is not known. Known: {', '.join(METRICS)}.")
        if metric not in RATES:
            found.append(Endpoint(metric=metric))
            continue
        chosen = point or (shared[0] if len(shared) == 1 else "")
        if chosen not in shared:
            raise UsageError(
                f"--metric {name}: give {metric}@POINT with an operating point that every protocol declares "
                f"({', '.join(shared) or 'there is none'})."
            )
        found.append(Endpoint(metric=metric, operating_point=chosen))
    return tuple(found)


def compare(
    workspace: Workspace,
    loaded: Sequence[Finished],
    endpoints: Sequence[Endpoint],
    *,
    margin: float | None,
    sequence: bool,
    level: float,
    replicates: int,
) -> SubmissionComparison:
    """Enter the use of the hold-out into the ledger, then compare.

    Raises:
        ScoringError: the evaluations do not hold the same labelled cases.
    """
    answers = join_answers(labels_of(loaded), [each.table for each in loaded])
    note_use(workspace, loaded, answers, "comparison")
    return compare_submissions(
        answers,
        endpoints,
        [thresholds_of(each.protocol) for each in loaded],
        seed=digest([each.evaluation.id for each in loaded]),
        margin=margin,
        sequence=sequence,
        level=level,
        replicates=replicates,
    )


def labels_of(loaded: Sequence[Finished]) -> list[str]:
    """Vendor of each evaluation, with its id where a vendor occurs twice."""
    vendors = [each.evaluation.vendor for each in loaded]
    return [
        vendor if vendors.count(vendor) == 1 else f"{vendor} {each.evaluation.id[:8]}"
        for vendor, each in zip(vendors, loaded, strict=True)
    ]


def note_use(workspace: Workspace, loaded: Sequence[Finished], answers: Answers | None, purpose: str) -> None:
    """Enter into the ledger that each evaluation's scored cases were read once more.

    Every further look at the same truth wears the hold-out, so it is counted like the first.
    """
    with open_ledger(workspace) as ledger:
        for each in loaded:
            subject = {
                "holdout": each.evaluation.holdout,
                "version": each.evaluation.version,
                "root": each.root,
                "evaluation": each.evaluation.id,
            }
            cases = answers.reference.size if answers is not None else each.table.num_rows
            ledger.append(
                entry("reference-opened", subject=subject, detail={"cases": int(cases), "purpose": purpose})
            )
