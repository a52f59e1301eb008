"""One evaluation as it lies on disk; its state is derived from which files are there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import EvaluationError, ProctorError, UsageError
from sandbox.institution.workspace import Workspace
from sandbox.outcome.results import Verdict, from_json
from sandbox.plan import protocols


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An evaluation as it lies on disk.

    Attributes:
        state: ``started``, ``finished`` or, in a list, ``unreadable``.
        criteria: one sentence for each acceptance criterion.
        files: what a person may want to open, by name.
    """

    id: str
    folder: Path
    state: str
    holdout: str
    version: str
    vendor: str
    submission: str
    protocol: str
    protocol_name: str
    verdict: Verdict | None
    finished: str | None
    criteria: tuple[str, ...]
    files: dict[str, str]

    def data(self) -> dict[str, Any]:
        """The same as JSON-ready values."""
        return {**asdict(self), "folder": str(self.folder), "criteria": list(self.criteria)}


def evaluations(workspace: Workspace) -> list[Evaluation]:
    """All evaluations, finished ones first by time; one that cannot be read is listed as ``unreadable``."""
    return sorted(
        (_read_or_tell(workspace, folder) for folder in _folders(workspace)),
        key=lambda item: (item.finished or "~", item.id),
    )


def _folders(workspace: Workspace) -> list[Path]:
    return [path for path in (workspace.home / "evaluations").iterdir() if (path / "identity.json").exists()]


def _read_or_tell(workspace: Workspace, folder: Path) -> Evaluation:
    # One damaged folder, or one of another version of Proctor, must not hide all the others.
    try:
        return read(workspace, folder)
    except (ProctorError, LookupError, TypeError) as error:
        return Evaluation(
            id=folder.name, folder=folder, state="unreadable", holdout="", version="", vendor="", submission="",
            protocol="", protocol_name="", verdict=None, finished=None, criteria=(str(error),),
            files={"folder": str(folder)},
        )  # fmt: skip


def find(workspace: Workspace, identifier: str) -> Evaluation:
    """The evaluation whose id is, or begins with, ``identifier``.

    Raises:
        UsageError: none or several do.
    """
    matches = [folder for folder in _folders(workspace) if folder.name.startswith(identifier)]
    if len(matches) != 1:
        problem = "No evaluation" if not matches else f"{len(matches)} evaluations"
        raise UsageError(
            f"{problem} with an id that begins with {identifier!r}. See: proctor evaluation list"
        )
    return read(workspace, matches[0])


def read(workspace: Workspace, folder: Path) -> Evaluation:
    """Read an evaluation from its folder.

    Raises:
        EvaluationError: a file in it is damaged.
    """
    try:
        identity = json.loads((folder / "identity.json").read_bytes())
        finished = None
        if (folder / "finished.json").exists():
            finished = json.loads((folder / "finished.json").read_bytes())
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{folder} is damaged. Restore it from a backup of the workspace.") from error
    criteria: tuple[str, ...] = ()
    files = {"folder": str(folder)}
    if finished:
        results = from_json((folder / "results.json").read_bytes())
        criteria = tuple(
            f"{item.name}: {item.verdict.replace('_', ' ')} ({item.reason})" for item in results.acceptance
        )
        files["results"] = str(folder / "results.json")
        if (folder / "report.html").exists():
            files["report"] = str(folder / "report.html")
    protocol = protocols.find(workspace, identity["protocol"])
    return Evaluation(
        id=folder.name,
        folder=folder,
        state="finished" if finished else "started",
        holdout=identity["holdout"],
        version=identity["version"],
        vendor=identity["vendor"],
        submission=identity["submission"],
        protocol=identity["protocol"],
        protocol_name=protocol.protocol.name,
        verdict=finished["verdict"] if finished else None,
        finished=finished["time"] if finished else None,
        criteria=criteria,
        files=files,
    )
