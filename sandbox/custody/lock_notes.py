"""What was found at a lock: checks for leaks with their counts, rows and cases without partner, warnings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from holdout.burned_in import BurnedInWarning
from holdout.lock import LockedHoldout
from holdout.reference import ReferenceStandard
from sandbox.errors import WorkspaceError
from sandbox.institution.workspace import Workspace, write_json

SHOWN = 5
_LEAK_CHECKS = {
    "patient_in_two_parts": "files of patients who are in both parts",
    "repeated_sop_instance_uid": "files with a SOP Instance UID of another file",
    "byte_equal": "files equal byte for byte to another",
    "pixel_equal": "images with the pixels of another under a different UID",
    "decoded_equal": "images equal to another after decoding, in another transfer syntax",
    "declared_training": "images among a vendor's declared training data",
}


def write_lock_notes(
    workspace: Workspace,
    locked: LockedHoldout,
    reference: ReferenceStandard,
    warnings: Sequence[BurnedInWarning],
    *,
    declared: bool,
) -> None:
    """Keep what was found at the lock of ``locked``.

    ``declared`` says whether a vendor's list of training hashes was compared.
    """
    left_out = {code: files for code, _, files in locked.flow}
    # What the guard finds refuses the lock unless it is left out, so nothing of it is in a locked hold-out.
    overlap: list[dict[str, Any]] = [
        {"name": name, "found": 0, "note": f"{left_out[kind]} files left out" if kind in left_out else ""}
        for kind, name in _LEAK_CHECKS.items()
    ]
    if not declared:
        overlap[-1] |= {"found": None, "note": "no vendor declared hashes of its training data"}
    write_json(
        workspace.holdout(locked.name) / f"notes-{locked.version}.json",
        {
            "overlap": overlap,
            "warnings": [_without_paths(warning) for warning in warnings],
            "reference": {
                "unmatched_rows": len(reference.unmatched),
                "first_unmatched_lines": list(reference.unmatched[:SHOWN]),
                "unlabelled_cases": len(reference.unlabelled),
            },
        },
    )


def reference_sentences(notes: dict[str, Any]) -> tuple[str, ...]:
    """Say which rows and cases found no partner; nothing when all did."""
    facts = notes.get("reference", {})
    sentences = []
    if unmatched := facts.get("unmatched_rows", 0):
        lines = ", ".join(map(str, facts["first_unmatched_lines"]))
        sentences.append(
            f"{unmatched} rows of the reference standard are about no usable file (first: line {lines})."
        )
    if unlabelled := facts.get("unlabelled_cases", 0):
        sentences.append(f"{unlabelled} cases of the folder have no reference standard.")
    return tuple(sentences)


def _without_paths(warning: BurnedInWarning) -> str:
    """A warning that may stand in a report: a file name may be a UID or a patient's name."""
    sentence = warning.sentence
    for path in warning.files:
        sentence = sentence.replace(path, "one file")
    return sentence


def lock_notes(workspace: Workspace, locked: LockedHoldout) -> dict[str, Any]:
    """What was found at the lock: checks for leaks with their counts, and warnings."""
    path = workspace.holdout(locked.name) / f"notes-{locked.version}.json"
    try:
        notes: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{path} is missing or damaged. Restore it from a backup.") from error
    return notes
