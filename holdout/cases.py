"""From files to cases: the unit of evaluation (image, series or study) and what is known of it.

An attribute belongs to a case when all files of the case agree on it. Text that differs inside a case reads
``mixed``; a number that differs is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdout.attributes import STRATUM_COLUMNS
from holdout.errors import LockRefusedError
from holdout.keyed_table import UNKNOWN
from holdout.uids import keyed_token

Unit = Literal["image", "series", "study"]
UNIT_COLUMNS: Mapping[Unit, str] = {
    "image": "sop_instance_uid",
    "series": "series_instance_uid",
    "study": "study_instance_uid",
}
MIXED = "mixed"
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseGroups:
    """The rows of an index, sorted so that the rows of a case stand together.

    ``order`` sorts the index; case number i holds ``order[starts[i]:starts[i + 1]]``.
    """

    unit: Unit
    uids: tuple[str, ...]
    order: IntArray
    starts: IntArray

    def rows_of(self, case: int) -> IntArray:
        """Rows of the index that belong to a case."""
        return self.order[self.starts[case] : self.starts[case + 1]]


def known_cases(index: pa.Table, unit: Unit) -> pa.Table:
    """Keep the usable files of ``index`` that say to which case and to which patient they belong."""
    kept = pc.equal(index.column("status"), "ok")
    for column in (UNIT_COLUMNS[unit], "patient_id"):
        named = pc.fill_null(index.column(column), "")
        kept = pc.and_(kept, pc.invert(pc.is_in(named, value_set=pa.array(["", UNKNOWN]))))
    return index.filter(kept)


def group(index: pa.Table, unit: Unit, *, one_patient: bool = True) -> CaseGroups:
    """Group the files of ``index`` into cases; within a case, files stand in the order of their paths.

    Raises:
        LockRefusedError: a file does not say to which case or to which patient it belongs, or a case has two
            patients (unless ``one_patient`` is off).
    """
    uids = index.column(UNIT_COLUMNS[unit]).to_pylist()
    paths = index.column("path").to_pylist()
    patients = index.column("patient_id").to_pylist()
    for column, values in ((UNIT_COLUMNS[unit], uids), ("patient_id", patients)):
        nameless = [path for path, value in zip(paths, values, strict=True) if value in (None, UNKNOWN, "")]
        if nameless:
            raise LockRefusedError(
                f"{len(nameless)} files have no {column} (first: {nameless[0]}); exclude them with a reason"
            )
    order = sorted(range(len(uids)), key=lambda row: (uids[row], paths[row]))
    starts = [i for i, row in enumerate(order) if i == 0 or uids[order[i - 1]] != uids[row]]
    groups = CaseGroups(
        unit=unit,
        uids=tuple(uids[order[start]] for start in starts),
        order=np.asarray(order, dtype=np.int64),
        starts=np.asarray([*starts, len(order)], dtype=np.int64),
    )
    for case in range(len(groups.uids)) if one_patient else ():
        people = {patients[row] for row in groups.rows_of(case)}
        if len(people) > 1:
            raise LockRefusedError(
                f"one {unit} belongs to {len(people)} patients ({paths[groups.rows_of(case)[0]]} and "
                "others); exclude its files with a reason or correct the Patient ID"
            )
    return groups


def case_id(dataset_key: bytes, uid: str) -> str:
    """Pseudonym of a case: the ledger sees this, never the UID."""
    return "c-" + keyed_token(dataset_key, "case", uid)


def patient_key(dataset_key: bytes, patient: str) -> str:
    """Pseudonym of a patient, by which estimates cluster."""
    return "p-" + keyed_token(dataset_key, "patient", patient)


def case_table(
    index: pa.Table,
    groups: CaseGroups,
    *,
    dataset_key: bytes,
    site: Mapping[str, Sequence[str | None]] | None = None,
) -> pa.Table:
    """One row a case: ``case_id``, ``patient_key``, ``files``, every stratum attribute, ``site.<column>``.

    ``site`` gives a value for each row of the index. Rows are sorted by ``case_id``, which tells nothing of
    the order in the source.
    """
    count = len(groups.uids)
    if count == 0:
        raise LockRefusedError("no case is left to lock")
    first = pa.array(groups.order[groups.starts[:-1]])
    paths = index.column("path").take(pa.array(groups.order)).to_pylist()
    bounds = groups.starts.tolist()
    patients = index.column("patient_id").take(first).to_pylist()
    ids = [case_id(dataset_key, uid) for uid in groups.uids]
    columns: dict[str, pa.Array] = {
        "case_id": pa.array(ids),
        "patient_key": pa.array([patient_key(dataset_key, patient) for patient in patients]),
        "files": pa.array(
            [paths[bounds[i] : bounds[i + 1]] for i in range(count)], type=pa.list_(pa.string())
        ),
        "instances": pa.array(np.diff(groups.starts)),
    }
    for column in STRATUM_COLUMNS:
        if column in index.column_names:
            columns[column] = _agreed(index.column(column), groups)
    for name, values in (site or {}).items():
        filled = [UNKNOWN if value in (None, "") else value for value in values]
        columns[f"site.{name}"] = _agreed(pa.chunked_array([pa.array(filled, type=pa.string())]), groups)
    table = pa.table(columns)
    return table.take(pc.sort_indices(table, sort_keys=[("case_id", "ascending")])).combine_chunks()


def _agreed(column: pa.ChunkedArray, groups: CaseGroups) -> pa.Array:
    """Value of each case where its files agree, else ``mixed`` (text) or null (numbers)."""
    codes = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    numbers = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)[groups.order]
    starts = groups.starts[:-1]
    lowest, highest = np.minimum.reduceat(numbers, starts), np.maximum.reduceat(numbers, starts)
    values = codes.dictionary.take(pa.array(lowest))
    differs = pa.array(lowest != highest)
    other = pa.scalar(MIXED if pa.types.is_string(column.type) else None, type=column.type)
    if pa.types.is_string(column.type):
        values = pc.fill_null(values, UNKNOWN)
    return pc.if_else(differs, other, values)
