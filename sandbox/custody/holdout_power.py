"""What a locked hold-out can support, before its first evaluation: counts of its truth, nothing else of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sandbox.custody import holdouts
from sandbox.errors import ProtocolError, UsageError
from sandbox.institution.workspace import Workspace
from sandbox.plan import protocols
from sandbox.plan.applicability import join_strata
from sandbox.plan.protocol import Protocol, load_protocol
from sandbox.scoring.cases import Bools, Integers, count_patients
from sandbox.scoring.planning.support import Conjecture, Counts, HoldoutSupport, support
from sandbox.scoring.strata import Levels, composition, levels_of, protocol_levels


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldoutPower:
    """The support of one hold-out version for one target."""

    holdout: str
    version: str
    target: str
    unlabelled: int
    support: HoldoutSupport


def holdout_power(
    workspace: Workspace,
    name: str,
    *,
    target: str | None,
    protocol: str | None,
    by: Sequence[str],
    conjecture: Conjecture,
) -> HoldoutPower:
    """Work out what a hold-out can support.

    Args:
        workspace: the workspace.
        name: a locked hold-out.
        target: the binary label; the protocol's when None.
        protocol: a file, or the name or digest of a registered protocol, for target and strata.
        by: further columns whose levels are strata.
        conjecture: expected values and demands.

    Raises:
        UsageError: no target, or a column that the hold-out lacks.
        ProtocolError: the protocol does not fit, or the label is not binary.
    """
    locked = holdouts.open_holdout(workspace, name)
    plan = _plan(workspace, protocol) if protocol else None
    label = target or (plan.task.target if plan else None)
    if label is None:
        raise UsageError("Name the label with --target, or give a protocol that does with --protocol.")
    reference = holdouts.look_at_reference(workspace, locked, "power")
    truth, known = _truth(locked.cases, reference, label)
    levels = [*(_protocol_levels(plan, locked.cases, reference) if plan else ()), *_columns(locked.cases, by)]
    patient = pc.dictionary_encode(locked.cases["patient_key"].combine_chunks()).indices.to_numpy()[known]
    overall, groups = _counts(truth[known], patient.astype(np.int64), levels, np.flatnonzero(known))
    return HoldoutPower(
        holdout=locked.name,
        version=locked.version,
        target=label,
        unlabelled=int(np.count_nonzero(~known)),
        support=support(overall, groups, conjecture),
    )


def _plan(workspace: Workspace, protocol: str) -> Protocol:
    """Read a protocol; it need not be registered, because nothing is run under it."""
    path = Path(protocol)
    return load_protocol(path) if path.is_file() else protocols.find(workspace, protocol).protocol


def _truth(cases: pa.Table, reference: pa.Table, label: str) -> tuple[Bools, Bools]:
    labels = [name for name in reference.column_names if name != "case_id" and "." not in name]
    if label not in labels:
        raise UsageError(f"The reference standard has no label {label} (it has {', '.join(labels)}).")
    row = pc.index_in(cases["case_id"], pa.array(reference["case_id"].to_pylist(), cases["case_id"].type))
    column = reference[label].take(row)
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
    ):
        raise ProtocolError(f"The label {label} is not binary; power is worked out for binary labels.")
    values = pc.cast(column, pa.float64()).to_numpy()
    known = ~np.isnan(values)
    if not np.isin(values[known], (0.0, 1.0)).all():
        raise ProtocolError(f"The label {label} is not binary; power is worked out for binary labels.")
    return values == 1, known


def _protocol_levels(plan: Protocol, cases: pa.Table, reference: pa.Table) -> tuple[Levels, ...]:
    return protocol_levels(join_strata(plan, cases, reference), plan)


def _columns(cases: pa.Table, by: Sequence[str]) -> list[Levels]:
    found = []
    for name in by:
        if name not in cases.column_names or name in ("case_id", "patient_key", "files"):
            offered = [each for each in cases.column_names if each not in ("case_id", "patient_key", "files")]
            raise UsageError(
                f"--by {name}: this hold-out has no such attribute. It has {', '.join(offered)}."
            )
        found.append(levels_of(cases[name], name, None))
    return found


def _counts(
    truth: Bools, patient: Integers, levels: Sequence[Levels], kept: Integers
) -> tuple[Counts, list[Counts]]:
    positives = int(np.count_nonzero(truth))
    overall = Counts(
        stratum=None,
        level=None,
        positives=positives,
        negatives=truth.size - positives,
        patients=count_patients(patient) if patient.size else 0,
    )
    groups = [
        Counts(
            stratum=item.attribute,
            level=item.level,
            positives=item.positives or 0,
            negatives=item.cases - (item.positives or 0),
            patients=item.patients,
        )
        for item in composition([each.where(kept) for each in levels], truth, patient)
    ]
    return overall, groups
