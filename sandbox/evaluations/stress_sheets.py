"""Contact sheets of the perturbations that break an algorithm, for people inside the institution.

They show patients. They lie in the evaluation's folder and go into no report, dossier or release.
"""

from __future__ import annotations

from pathlib import Path

from holdout.lock import LockedHoldout
from sandbox.custody import holdouts
from sandbox.errors import EvaluationRefusedError
from sandbox.evaluations.evaluation import Evaluation
from sandbox.institution.workspace import Workspace, entry, open_ledger
from sandbox.outcome import stress_results
from sandbox.outcome.stress_step import sampled_cases
from sandbox.stress.errors import StressError
from sandbox.stress.preview import contact_sheet_of
from sandbox.stress.registry import find

FOLDER = "stress-sheets"
MOST_SHEETS = 6


def write_sheets(workspace: Workspace, item: Evaluation) -> tuple[Path, ...]:
    """Draw a sheet for each of the perturbations that break first, of a sampled case; returns the pictures.

    Of a case of several slices the middle one is drawn. The ledger holds that cases were looked at.

    Raises:
        EvaluationRefusedError: the evaluation is not finished, or had no stress tests.
    """
    path = item.folder / "stress.json"
    if item.state != "finished" or not path.exists():
        raise EvaluationRefusedError(
            f"Evaluation {item.id} has no results of stress tests. Sheets are drawn of finished ones."
        )
    results = stress_results.from_json(path.read_bytes())
    broken = [
        name
        for name in results.ranked
        if results.test(name).breaks_at is not None and find(name).function is not None
    ][:MOST_SHEETS]
    locked = holdouts.open_holdout(workspace, item.holdout, item.version)
    sources = _sampled_files(locked, sampled_cases(item.folder / "stress.parquet"))
    folder = item.folder / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    written = []
    if broken and sources:
        with open_ledger(workspace) as ledger:
            subject = {"evaluation": item.id, "holdout": locked.name, "root": locked.root}
            ledger.append(entry("holdout-accessed", subject=subject, detail={"cases": 2, "purpose": "other"}))
    for name in broken if sources else ():
        destination = folder / f"{name}.png"
        donor = sources[1] if len(sources) > 1 and find(name).donor != "none" else ()
        try:
            contact_sheet_of(sources[0], name, destination, donor=donor, called="the case")
        except StressError:
            # A perturbation may have no meaning for the case that was chosen.
            continue
        written.append(destination)
    return tuple(written)


def _sampled_files(locked: LockedHoldout, sampled: set[str]) -> list[tuple[str, ...]]:
    """Files of the first two sampled cases."""
    rows = zip(locked.cases["case_id"].to_pylist(), locked.cases["files"].to_pylist(), strict=True)
    found = [
        tuple(str(locked.source / name) for name in files) for case_id, files in rows if case_id in sampled
    ]
    return found[:2]
