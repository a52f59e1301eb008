"""Submissions whose answers differ in a few patients: numbers of both would tell the truth about those few.

Who owns two containers knows in which cases they answer differently. Where those are cases of a few patients, what was
told of the one and what would be told of the other make a statement about these patients' labels. Every number over
such answers is withheld, whatever its value: the decision rests on the answers alone, which the vendor knows, so that
it tells nothing of a label (simulatable auditing: Kenthapadi, Mishra and Nissim, PODS 2005). Verdicts are coarser; they
leave when the audit, given how the calls differ, still finds those patients' labels free.

Masks and findings are compared as they were answered, by their digests: what they score depends on the truth. Whoever
changes ten more masks from one wrong form to another passes this rule without changing their values; against that
means are rounded at random (:mod:`sandbox.disclosure.means`).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sandbox.asking import predictions
from sandbox.disclosure.cells import ALL, between, difference, equal, total
from sandbox.disclosure.counted import count
from sandbox.disclosure.differencing import differ_by_few
from sandbox.disclosure.fields import Constraint, Screened
from sandbox.disclosure.rules import DisclosureRules
from sandbox.disclosure.screen import SCORED_TASKS, protocol_mark
from sandbox.disclosure.subjects import SUBJECT_TASKS, planned_points, planned_subjects
from sandbox.disclosure.withholding import Links, without
from sandbox.errors import ReleaseError
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evidence.ledger import Ledger
from sandbox.institution.workspace import Workspace
from sandbox.outcome.results import Results, from_json
from sandbox.plan import protocols
from sandbox.plan.protocol import Protocol
from sandbox.release.issued import Issued
from sandbox.scoring.store import labelled_cases
from sandbox.scoring.strata import protocol_levels

Bools = npt.NDArray[np.bool_]
_TOO_SIMILAR = (
    "These answers differ from those of an earlier release, or of another operating point, in fewer patients than the "
    "policy allows: numbers of both would tell about those few."
)
_MECHANISMS = ("/claim/", "/ladder/", "/thresholdout/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one evaluation answered, case by case in order of case_id.

    Attributes:
        scope, protocol: name of the predictions and short form of the protocol, as they stand in paths.
        patients: patient of each case.
        answers: shape (cases, numbers of an answer), NaN where the case failed; of masks and findings digests, shape
            (cases, 1), empty where the case failed.
        calls: operating point to -1 failed, 0 negative, 1 positive; for a task with one score.
        cells: operating point to the names of its cells over all cases.
        members: group name to the cases in it.
        middles: what stands between protocol and group in the paths of a task with several subjects.
    """

    scope: str
    protocol: str
    cases: tuple[str, ...]
    patients: npt.NDArray[np.str_]
    answers: npt.NDArray[np.float64] | npt.NDArray[np.bytes_]
    calls: Mapping[str, npt.NDArray[np.int8]]
    cells: Mapping[str, Mapping[str, str]]
    members: Mapping[str, Bools]
    middles: tuple[str, ...]


def withhold_similar(
    workspace: Workspace,
    ledger: Ledger,
    item: Evaluation,
    screened: Screened,
    issued: Sequence[Issued],
    rules: DisclosureRules,
) -> tuple[Screened, Links]:
    """Withhold the numbers over answers that differ in a few patients from answers of which numbers were told.

    Returns:
        The fields that are left, and what is known of the calls for the audit of the verdicts among them.
    """
    own = read_answered(workspace, ledger, item.id)
    similar = set(_between_points(own, rules))
    constraints: list[Constraint] = []
    widths: dict[str, int] = {}
    for other in dict.fromkeys(each.evaluation for each in issued if each.evaluation != item.id):
        earlier = read_answered(workspace, ledger, other)
        if earlier.cases != own.cases:
            # Drawn from a pool: other patients answered, which is the pool's own protection.
            continue
        told = [charge.path for each in issued if each.evaluation == other for charge in each.told.charges]
        similar |= set(_similar(own, earlier, told, rules))
        for new, old in _close_points(own, earlier, rules):
            links = _links(own, new, earlier, old, rules)
            constraints += links.constraints
            widths |= links.widths
    paths = [each.path for each in screened.fields if each.path.startswith(tuple(similar))]
    left = without(screened, paths, rule="difference", sentence=_TOO_SIMILAR) if similar else screened
    return left, Links(constraints=tuple(constraints), widths=widths)


def read_answered(workspace: Workspace, ledger: Ledger, evaluation: str) -> Answered:
    """Read what a finished evaluation answered.

    Raises:
        ReleaseError: its files are damaged.
    """
    folder = workspace.evaluation(evaluation)
    try:
        results = from_json((folder / "results.json").read_bytes())
        table = pq.read_table(folder / "scored.parquet")
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{folder} is damaged. Restore it from a backup of the workspace.") from error
    protocol = protocols.find(workspace, results.protocol_digest).protocol
    labelled, _ = labelled_cases(table, protocol)
    listed = protocol.output.mask is not None or protocol.output.findings is not None
    answers = _digests(folder, labelled) if listed else _numbers(labelled, protocol)
    members = {ALL: np.ones(labelled.num_rows, dtype=bool)}
    for levels in protocol_levels(labelled, protocol):
        for code, level in enumerate(levels.names):
            members[f"{levels.name}={level}"] = levels.codes == code
    scope, calls, cells = prediction_scope(ledger, evaluation), {}, {}
    if results.task in SCORED_TASKS and results.flow.positives is not None:
        calls = dict(_calls(results, _numbers(labelled, protocol)[:, 0]))
        confusion = count(results, scope, protocol_mark(results.protocol_digest)).confusion
        cells = {name: confusion[name][ALL] for name in calls}
    return Answered(
        scope=scope,
        protocol=protocol_mark(results.protocol_digest),
        cases=tuple(labelled["case_id"].to_pylist()),
        patients=np.asarray(labelled["patient_key"].to_pylist()),
        answers=answers,
        calls=calls,
        cells=cells,
        members=members,
        middles=_middles(protocol),
    )


def _numbers(labelled: pa.Table, protocol: Protocol) -> npt.NDArray[np.float64]:
    return np.column_stack(
        [np.asarray(labelled[name].to_numpy(zero_copy_only=False), dtype=np.float64)
         for name in protocol.answer_columns]
    )  # fmt: skip


def _digests(folder: Path, labelled: pa.Table) -> npt.NDArray[np.bytes_]:
    """Digest of each case's answer; failures, of whatever code, are alike."""
    answered = predictions.read(folder / "predictions.parquet")
    row = pc.index_in(labelled["case_id"], value_set=answered["case_id"])
    if row.null_count:
        raise ReleaseError(f"{folder} is damaged: a case has no answer. Restore it from a backup.")
    lists = answered["levels"].combine_chunks()
    numbers, ends = lists.values.to_numpy(), lists.offsets.to_numpy()
    known = lists.is_valid().to_numpy(zero_copy_only=False)
    made = [
        hashlib.sha256(numbers[ends[k] : ends[k + 1]].tobytes()).digest() if known[k] else b""
        for k in row.to_pylist()
    ]
    return np.array(made, dtype="S32")[:, None]


def _middles(protocol: Protocol) -> tuple[str, ...]:
    if protocol.task.kind not in SUBJECT_TASKS:
        return ()
    subjects, points = planned_subjects(protocol), planned_points(protocol)
    return (*subjects, *(f"{subject}/{point}" for subject in subjects for point in points))


def prediction_scope(ledger: Ledger, evaluation: str) -> str:
    """Name of the predictions of a finished evaluation in the paths of fields and cells."""
    finished = ledger.find(kind="evaluation-finished", evaluation=evaluation)[-1]
    return f"predictions-{finished.subject['predictions'].removeprefix('sha256:')[:16]}"


def _calls(results: Results, scores: npt.NDArray[np.float64]) -> Iterator[tuple[str, npt.NDArray[np.int8]]]:
    for point in results.analysis().operating_points:
        if point.chosen_by is None and point.subject is None:
            positive = np.nan_to_num(scores, nan=-np.inf) >= point.threshold
            yield point.name, np.where(np.isnan(scores), -1, positive).astype(np.int8)


def _between_points(own: Answered, rules: DisclosureRules) -> Iterator[str]:
    """Operating points of one submission between which the scores of a few patients lie."""
    for first, second in itertools.combinations(own.calls, 2):
        for group, inside in own.members.items():
            if _few(own, own.calls[second], own.calls[first], inside, rules):
                yield f"{own.scope}/{own.protocol}/{second}/{group}/"


def _similar(own: Answered, earlier: Answered, told: Sequence[str], rules: DisclosureRules) -> Iterator[str]:
    """Beginnings of the paths whose numbers rest on answers that differ in a few patients from told ones."""
    head = f"{own.scope}/{own.protocol}"
    answers = (~_same(own.answers, earlier.answers)).astype(np.int8)
    for group, inside in own.members.items():
        for (name, new), (old_name, old) in itertools.product(own.calls.items(), earlier.calls.items()):
            if _was_told(told, f"/{old_name}/{group}/") and _few(own, new, old, inside, rules):
                yield f"{head}/{name}/{group}/"
        if _was_told(told, f"/{group}/") and _few(own, answers, 0 * answers, inside, rules):
            yield f"{head}/{group}/"
            # A task with several subjects has their names between, and no calls of its own.
            yield from () if own.calls else (f"{head}/{each}/{group}/" for each in own.middles)


def _was_told(told: Iterable[str], part: str) -> bool:
    return any(part in path or any(mechanism in path for mechanism in _MECHANISMS) for path in told)


def _same(
    new: npt.NDArray[np.float64] | npt.NDArray[np.bytes_],
    old: npt.NDArray[np.float64] | npt.NDArray[np.bytes_],
) -> Bools:
    if new.shape != old.shape or new.dtype != old.dtype:
        return np.zeros(len(new), dtype=bool)
    if new.dtype.kind == "S":
        return np.asarray((new == old).all(axis=1))
    return np.asarray(((new == old) | (np.isnan(new) & np.isnan(old))).all(axis=1))


def _few(
    own: Answered,
    new: npt.NDArray[np.int8],
    old: npt.NDArray[np.int8],
    inside: Bools,
    rules: DisclosureRules,
) -> bool:
    return differ_by_few(new[inside], old[inside], own.patients[inside], rules.minimum_difference)


def _close_points(own: Answered, earlier: Answered, rules: DisclosureRules) -> Iterator[tuple[str, str]]:
    everyone = own.members[ALL]
    for new, old in itertools.product(own.calls, earlier.calls):
        if _few(own, own.calls[new], earlier.calls[old], everyone, rules):
            yield new, old


def _links(own: Answered, new: str, earlier: Answered, old: str, rules: DisclosureRules) -> Links:
    """How two tables over all cases differ, as constraints; the positives among the differing cases are protected.

    A call that failed in one of them counts by its truth; such cases may be positive or negative in either table.
    """
    now, before = own.calls[new], earlier.calls[old]
    cells, others = own.cells[new], earlier.cells[old]
    sets = {
        "gained": int(np.count_nonzero((now == 1) & (before != 1))),
        "lost": int(np.count_nonzero((now != 1) & (before == 1))),
    }
    failed = int(np.count_nonzero((now == -1) != (before == -1)))
    head = f"{cells['tp']}|{others['tp']}"
    cell = {(name, truth): f"{head}/{name}/{truth}" for name in sets for truth in ("positive", "negative")}
    links = [
        between(total([cell[name, "positive"], cell[name, "negative"]]), size, size)
        for name, size in sets.items()
    ]
    change = difference(total([cells["tp"]]), total([others["tp"]]))
    links.append(
        equal(change, difference(total([cell["gained", "positive"]]), total([cell["lost", "positive"]])))
    )
    change = difference(total([cells["fp"]]), total([others["fp"]]))
    gap = difference(
        change, difference(total([cell["gained", "negative"]]), total([cell["lost", "negative"]]))
    )
    links.append(between(gap, -failed, failed))
    widths = {cell[name, "positive"]: min(size, rules.minimum_width) for name, size in sets.items() if size}
    return Links(constraints=tuple(links), widths=widths)
