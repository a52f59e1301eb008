"""The ``files`` contract: a folder in, a folder out, for anything that no other contract fits.

The image says so itself, in ``/proctor.json`` or in the contract file handed in beside it::

    {"contract": "files/1", "unit": "case", "answer": "answer.json"}

``unit: case``: one container a case, whose files are ``/input/000001.dcm`` and on. ``unit: set``: one container for
all cases, each in ``/input/<case>/``; the answer's place then holds ``{case}``.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from runners.contracts.cold import ColdContract, move, run_all, run_each
from runners.contracts.container import Folders, checked_places, common_environment
from runners.contracts.declaration import Part, checked, read_manifest
from runners.contracts.interface import Contract, ContractRun, ImageDeclaration
from runners.worker import CaseInput, CaseOutcome

MANIFEST = "proctor.json"


class Settings(Part):
    """A contract file; ``answer`` is the place of the answer unless the submission names another."""

    contract: Literal["files/1"]
    unit: Literal["case", "set"] = "case"
    answer: str | None = None
    input: str = "/input"
    output: str = "/output"
    scratch: tuple[str, ...] = ()


def declare(image: ImageDeclaration, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read the contract file, or else the image's own.

    Raises:
        ContractRefused: it is malformed, or names places that are the system's.
    """
    if document is None:
        inside = image.manifests.get(MANIFEST)
        document = {"contract": "files/1"} if inside is None else read_manifest(inside)
    settings = checked(Settings, document, "The contract file")
    checked_places(settings.input, settings.output, *settings.scratch)
    return settings.model_dump(mode="json")


def run(run: ContractRun, cases: Iterable[CaseInput]) -> Generator[CaseOutcome, None, None]:
    """Start one container a case, or one for all."""
    settings = Settings.model_validate(run.settings)
    environment = {
        **common_environment(run),
        "HOME": "/tmp",  # noqa: S108 - a path inside the container
        "LANG": "C.UTF-8",
        "PROCTOR_CONTRACT": "files/1",
        "PROCTOR_INPUT": settings.input,
        "PROCTOR_OUTPUT": settings.output,
        "PROCTOR_TASK": json.dumps(run.task, sort_keys=True, separators=(",", ":"), allow_nan=False),
    }
    folders = Folders(
        input_target=settings.input,
        output_target=settings.output,
        environment=environment,
        scratch=settings.scratch,
    )
    if settings.unit == "set":
        yield from run_all(run, ColdContract(folders=folders, arrange=_among_all), cases)
    else:
        yield from run_each(run, ColdContract(folders=folders, arrange=move), cases)


def _among_all(case: CaseInput, place: Path) -> None:
    move(case, place / case.case)


CONTRACT = Contract(
    name="files",
    declare=declare,
    run=run,
    default_answer="answer.json",
    needs_answer=True,
    whole_set=lambda settings: settings.get("unit") == "set",
)
