"""What may be told of a hold-out as a whole: counts, missing shares, warnings; no case, no UID, no file name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from holdout.lock import LockedHoldout
from sandbox.custody import holdouts
from sandbox.custody.lock_notes import lock_notes
from sandbox.institution.workspace import Workspace, write_json
from sandbox.outcome.truth import read_truth, truth_columns
from sandbox.plan.metric_catalogue import SCORED_KINDS
from sandbox.plan.protocol import Protocol


def write_holdout_summary(
    workspace: Workspace, locked: LockedHoldout, reference: pa.Table, protocol: Protocol, path: Path
) -> None:
    """Write holdout.json of one evaluation, with the methods of its target and the gaps of its strata."""
    binary = protocol.task.kind in SCORED_KINDS
    truth = read_truth(reference, protocol)[truth_columns(protocol)[0]].to_pylist()
    methods: dict[str, list[int]] = {}
    for method, value in zip(reference["reference.method"].to_pylist(), truth, strict=True):
        counts = methods.setdefault(str(method or "unknown"), [0, 0])
        counts[0] += 1
        counts[1] += binary and value == 1
    missing = {}
    for name in protocol.stratum_attributes:
        if name in locked.cases.column_names:
            values = locked.cases[name].to_pylist()
            missing[name] = sum(value is None or value == "unknown" for value in values)
    notes = lock_notes(workspace, locked)
    write_json(
        path,
        {
            "name": locked.name,
            "version": locked.version,
            "root": locked.root,
            "unit": locked.unit,
            "cases": locked.cases.num_rows,
            "patients": locked.patients,
            "instances": locked.instances,
            "synthetic": holdouts.is_synthetic(locked),
            "left_out": [
                {"code": code, "reason": reason, "files": files} for code, reason, files in locked.flow
            ],
            "reference_methods": [
                {"method": method, "cases": cases, "positives": positives if binary else None}
                for method, (cases, positives) in sorted(methods.items())
            ],
            "missing": missing,
            "overlap": notes["overlap"],
            "warnings": [*notes["warnings"], *_taken_from_objects(locked, protocol)],
            "shown_to_container": list(protocol.input.attributes),
        },
    )


def _taken_from_objects(locked: LockedHoldout, protocol: Protocol) -> list[str]:
    """How the truth of the task was taken from objects: what was resampled, and what is negative by default."""
    return [
        note for note in locked.notes if note.startswith(tuple(f"{label}: " for label in protocol.labels))
    ]
