"""Split patients into a development part, which a vendor may train on, and the hold-out.

The patient is never divided: up to 66 images a patient stand in real sets, and an image-wise split lifts an
AUROC by chance findings alone (0.50 to 0.60 on such a set).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

import pyarrow as pa

from holdout.errors import PartitionError
from holdout.keyed_table import UNKNOWN
from holdout.reference import ReferenceStandard

DEVELOPMENT = "development"
HOLDOUT = "holdout"


def partition(
    index: pa.Table,
    *,
    development: float,
    seed: int,
    balance: Mapping[str, str] | None = None,
) -> pa.Table:
    """Assign each patient of ``index`` to a part; columns ``patient_id`` and ``part``, sorted by patient.

    Depends on the patients and the seed alone, not on the order of files. ``balance`` names a group for each
    patient (label, site, or both): each group is split in the same proportion, to within one patient. Files
    without a Patient ID, or with a status other than 'ok', take no part.

    Raises:
        PartitionError: ``development`` is not between 0 and 1, or one of the parts would be empty.
    """
    if not 0 < development < 1:
        raise PartitionError(f"the development share is {development}; it must lie between 0 and 1")
    rows = zip(index.column("patient_id").to_pylist(), index.column("status").to_pylist(), strict=True)
    patients = {patient for patient, status in rows if status == "ok" and patient not in (None, "", UNKNOWN)}
    groups: dict[str, list[str]] = defaultdict(list)
    for patient in patients:
        groups[(balance or {}).get(patient, "")].append(patient)
    shares: list[tuple[float, bytes, str, int]] = []
    for name, members in groups.items():
        exact = development * len(members)
        shares.append((exact - int(exact), _rank(seed, "group", name), name, int(exact)))
    # Largest remainders get the patients that whole numbers leave over (Hamilton's method).
    left_over = round(development * len(patients)) - sum(share[3] for share in shares)
    shares.sort(key=lambda share: (-share[0], share[1]))
    chosen: set[str] = set()
    for place, (_, _, name, whole) in enumerate(shares):
        ranked = sorted(groups[name], key=lambda patient: _rank(seed, "patient", patient))
        chosen.update(ranked[: whole + (1 if place < left_over else 0)])
    if not chosen or len(chosen) == len(patients):
        raise PartitionError(
            f"{len(patients)} patients at a development share of {development} leave one part empty"
        )
    ordered = sorted(patients)
    return pa.table(
        {
            "patient_id": pa.array(ordered, type=pa.string()),
            "part": pa.array([DEVELOPMENT if patient in chosen else HOLDOUT for patient in ordered]),
        }
    )


def balance_by(
    index: pa.Table,
    *,
    reference: ReferenceStandard | None = None,
    label: str | None = None,
    column: str | None = None,
) -> dict[str, str]:
    """Group of each patient for a balanced partition.

    ``label`` (of ``reference``, by the largest value that any of the patient's cases has) and ``column`` (an
    index column such as ``institution_name``, by the patient's first file) are combined.
    """
    patients = index.column("patient_id").to_pylist()
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    if reference is not None and label is not None:
        unit = {"image": "sop_instance_uid", "series": "series_instance_uid", "study": "study_instance_uid"}
        uids = index.column(unit[reference.unit]).to_pylist()
        for patient, uid in zip(patients, uids, strict=True):
            truth = reference.by_case.get(uid)
            value = (truth.labels[label] if truth is not None else None) or ""
            groups[patient]["label"] = max(groups[patient].get("label", ""), value)
    if column is not None:
        values = index.column(column).to_pylist()
        for _, patient, value in sorted(
            zip(index.column("path").to_pylist(), patients, values, strict=True), key=lambda row: row[0]
        ):
            groups[patient].setdefault("column", str(value))
    return {patient: "\0".join(parts[key] for key in sorted(parts)) for patient, parts in groups.items()}


def source_split(index: pa.Table, values: list[str], *, holdout: frozenset[str]) -> list[str]:
    """Part of each file of ``index`` by the source's own split (one value a file, as from a site table).

    Values in ``holdout`` are the hold-out, all other known ones development, 'unknown' neither. The same
    patient may come out on both sides: that is the source's leak, for the leakage guard to find.

    Raises:
        PartitionError: no file is in the hold-out.
    """
    parts = [HOLDOUT if v in holdout else UNKNOWN if v in ("", UNKNOWN) else DEVELOPMENT for v in values]
    if len(parts) != index.num_rows:
        raise PartitionError(f"{len(parts)} values for {index.num_rows} files")
    if HOLDOUT not in parts:
        known = ", ".join(sorted(set(values)))
        raise PartitionError(f"no file belongs to {', '.join(sorted(holdout))} (the column has: {known})")
    return parts


def parts_of_files(index: pa.Table, parts: pa.Table) -> list[str]:
    """Part of each file of ``index`` by its patient; 'unknown' where the patient is in none."""
    by_patient = dict(
        zip(parts.column("patient_id").to_pylist(), parts.column("part").to_pylist(), strict=True)
    )
    return [by_patient.get(patient, UNKNOWN) for patient in index.column("patient_id").to_pylist()]


def _rank(seed: int, kind: str, name: str) -> bytes:
    """Give a position that only the seed decides."""
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).digest()
