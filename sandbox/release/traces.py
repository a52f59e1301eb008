"""The last look before anything leaves: no mark of a case, a patient or a sentinel may be in it."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow.parquet as pq

from holdout.uids import keyed_token
from sandbox.asking.smoke import sentinel
from sandbox.disclosure.sentinels import SHORTEST_MARK, find_traces
from sandbox.errors import ReleaseError, ReleaseRefusedError
from sandbox.evaluations.evaluation import Evaluation


def refuse_traces(item: Evaluation, files: Mapping[str, bytes], key: bytes) -> None:
    """Search what would leave for the marks of every case, its patient, and the sentinel of this run.

    Args:
        key: of this run; the names under which the container met the cases follow from it.

    Raises:
        ReleaseRefusedError: one was found, in whatever spelling.
        ReleaseError: the marks cannot be read.
    """
    try:
        table = pq.read_table(item.folder / "scored.parquet", columns=["case_id", "patient_key"])
        marks = {*table["case_id"].to_pylist(), *table["patient_key"].to_pylist()}
        marks |= {keyed_token(key, "pseudonym", case) for case in table["case_id"].to_pylist()}
        marks.add(sentinel(key))
    except (OSError, ValueError, KeyError) as error:
        raise ReleaseError(f"{item.folder} is damaged. Restore it from a backup of the workspace.") from error
    for name, data in files.items():
        # Shorter marks would be found in any text; every mark that Proctor makes is longer.
        if find_traces(data, sorted(mark for mark in marks if len(mark) >= SHORTEST_MARK)):
            raise ReleaseRefusedError(
                f"{name} would carry the mark of a case. Nothing leaves; this is a defect or an attack: see the "
                "evaluation's folder."
            )
