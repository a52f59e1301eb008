"""Differencing: refuse what, held against an earlier release, would tell about a few patients.

Two versions of a hold-out that differ in three patients, or two submissions whose calls do, make of two harmless
releases a statement about those three.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from holdout.lock import LockedHoldout, open_reference
from holdout.locked import read_index
from sandbox import holdouts
from sandbox.disclosure.audit import audit
from sandbox.disclosure.cells import ALL, between, difference, equal, total
from sandbox.disclosure.counted import count
from sandbox.disclosure.differencing import Difference, call_differences, version_differences
from sandbox.disclosure.fields import Screened
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import SCORED_TASKS, protocol_mark
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.evaluation import Evaluation
from sandbox.evidence.ledger import Ledger
from sandbox.release.issued import Issued, constraints
from sandbox.results import Results, from_json
from sandbox.workspace import Workspace

Bools = npt.NDArray[np.bool_]


def check_versions(workspace: Workspace, ledger: Ledger, locked: LockedHoldout, minimum: int) -> None:
    """Hold a version against every other version of the same hold-out of which something was released.

    Raises:
        ReleaseRefusedError: they differ by fewer than ``minimum`` patients.
    """
    issued = ledger.find(kind="release-issued", holdout=locked.name)
    others = sorted({each.subject["version"] for each in issued} - {locked.version})
    if others:
        released = {
            f"version {name}": _patients(workspace, holdouts.open_holdout(workspace, locked.name, name))
            for name in others
        }
        _refuse(version_differences(released, _patients(workspace, locked), minimum))


def check_calls(
    workspace: Workspace,
    ledger: Ledger,
    item: Evaluation,
    results: Results,
    screened: Screened,
    issued: Sequence[Issued],
    rules: DisclosureRules,
) -> None:
    """Hold the calls of an evaluation against those behind every release of the same hold-out version.

    Who owns both containers knows which cases they call differently. Where those are cases of a few patients, the
    audit is asked once more, with the positives among them as cells of their own: what was released must leave them
    as free as any protected count, or as free as they are anyway when they are fewer.

    Raises:
        ReleaseRefusedError: numbers of both would tell about a few patients.
    """
    own = _Calls.read(ledger, item.folder, item.id, results)
    if not own.points:
        return
    for other in dict.fromkeys(each.evaluation for each in issued if each.evaluation != item.id):
        folder = workspace.evaluation(other)
        earlier = _Calls.read(ledger, folder, other, from_json((folder / "results.json").read_bytes()))
        if earlier.cases != own.cases:
            # Drawn from a pool: other patients answered, which is the pool's own protection.
            continue
        for (name, new), (_, old) in itertools.product(own.points.items(), earlier.points.items()):
            (found,) = call_differences(
                {f"{other} at {name}": old.calls}, new.calls, own.patients, rules.minimum_difference
            )
            if found.refused and _narrowed(own, new, earlier, old, screened, issued, rules):
                raise ReleaseRefusedError(found.sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """Calls at one operating point, and the names of its cells over all cases."""

    calls: Bools
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """Calls of one evaluation; ``cases`` and ``patients`` in one order, ``failed`` where no call was given."""

    cases: tuple[str, ...]
    patients: npt.NDArray[np.str_]
    failed: Bools
    points: Mapping[str, _Point]

    @classmethod
    def read(cls, ledger: Ledger, folder: Path, evaluation: str, results: Results) -> _Calls:
        """Read the calls of a finished evaluation."""
        table = _scored(folder)
        cells: Mapping[str, Mapping[str, Mapping[str, str]]] = {}
        if results.task in SCORED_TASKS and results.flow.positives is not None:
            scope = prediction_scope(ledger, evaluation)
            cells = count(results, scope, protocol_mark(results.protocol_digest)).confusion
        thresholds = {point.name: point.threshold for point in results.analysis().operating_points}
        return cls(
            cases=tuple(table["case_id"].to_pylist()),
            patients=np.asarray(table["patient_key"].to_pylist()),
            failed=np.asarray(table["score"].is_null()),
            points={
                name: _Point(calls=_calls(table, thresholds[name]), cells=groups[ALL])
                for name, groups in cells.items()
            },
        )


def _narrowed(
    own: _Calls,
    new: _Point,
    earlier: _Calls,
    old: _Point,
    screened: Screened,
    issued: Sequence[Issued],
    rules: DisclosureRules,
) -> bool:
    """Whether the numbers of both leave the truth of the differing cases less free than the policy asks."""
    if (own.failed != earlier.failed).any():
        # How a failed case counts depends on its truth, so that the counts differ by more than by calls.
        return True
    known = (*constraints(issued), *screened.constraints)
    if {old.cells["tp"], new.cells["tp"]} - {term.cell for each in known for term in each.terms}:
        return True
    sets = {
        "gained": int(np.count_nonzero(new.calls & ~old.calls)),
        "lost": int(np.count_nonzero(old.calls & ~new.calls)),
    }
    head = f"{new.cells['tp']}|{old.cells['tp']}"
    cell = {(name, truth): f"{head}/{name}/{truth}" for name in sets for truth in ("positive", "negative")}
    links = [
        between(total([cell[name, "positive"], cell[name, "negative"]]), size, size)
        for name, size in sets.items()
    ]
    for called, truth in (("tp", "positive"), ("fp", "negative")):
        change = difference(total([new.cells[called]]), total([old.cells[called]]))
        links.append(equal(change, difference(total([cell["gained", truth]]), total([cell["lost", truth]]))))
    return any(
        not audit(
            known,
            links,
            protected=[cell[name, "positive"]],
            minimum_width=min(size, rules.minimum_width),
            first_refusal=True,
        ).safe
        for name, size in sets.items()
        if size
    )


def prediction_scope(ledger: Ledger, evaluation: str) -> str:
    """Name of the predictions of a finished evaluation in the paths of fields and cells."""
    finished = ledger.find(kind="evaluation-finished", evaluation=evaluation)[-1]
    return f"predictions-{finished.subject['predictions'].removeprefix('sha256:')[:16]}"


def _refuse(found: Sequence[Difference]) -> None:
    for each in found:
        if each.refused:
            raise ReleaseRefusedError(each.sentence)


def _patients(workspace: Workspace, locked: LockedHoldout) -> Mapping[str, str]:
    """Digest of each patient's images and truth, by the patient's pseudonym."""
    index = read_index(locked)
    hashes = dict(zip(index["path"].to_pylist(), index["sha256"].to_pylist(), strict=True))
    reference = open_reference(locked, holdouts.reference_key(workspace, locked))
    truths = {row["case_id"]: row for row in reference.to_pylist()}
    hashed: dict[str, list[str]] = {}
    for row in locked.cases.select(["case_id", "patient_key", "files"]).to_pylist():
        whole = [*sorted(hashes[path] for path in row["files"]), repr(truths.get(row["case_id"]))]
        hashed.setdefault(row["patient_key"], []).append("\0".join(whole))
    return {
        patient: hashlib.sha256("\1".join(sorted(cases)).encode()).hexdigest()
        for patient, cases in hashed.items()
    }


def _scored(folder: Path) -> pa.Table:
    try:
        table = pq.read_table(
            folder / "scored.parquet", columns=["case_id", "patient_key", "score", "reference"]
        )
    except (OSError, ValueError, KeyError) as error:
        raise ReleaseError(f"{folder} is damaged. Restore it from a backup of the workspace.") from error
    return table.filter(table["reference"].is_valid()).sort_by("case_id")


def _calls(table: pa.Table, threshold: float) -> Bools:
    """Positive calls; a failed case is none."""
    scores = table["score"].to_numpy(zero_copy_only=False)
    return np.asarray(np.nan_to_num(scores, nan=-np.inf) >= threshold, dtype=bool)
