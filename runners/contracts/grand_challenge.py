"""Grand Challenge algorithms, unchanged: ``exec`` (one container a case) and ``invoke`` (a server on loopback).

Which of the two, the image's label ``org.grand-challenge.api-method`` says; without it, ``exec``. The inputs are
declared in the contract file, because containers choose their code by the slugs of their inputs::

    inputs:
      - {slug: chest-x-ray, kind: DICOM Image Set, relative_path: images/chest-x-ray}
      - {slug: clinical-information, kind: Anything, relative_path: clinical-information.json,
         attributes: {age: PatientAge, sex: PatientSex}}

An input of kind ``Image`` is a decoded ``.mha`` file. The model's tarball, which the platform shows at
``/opt/ml/model``, may be handed in as additional files.

Source: grand-challenge.org and its in-container runner (sagemaker-shim), as of 2026.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from runners.attachments import ADDITIONAL
from runners.contracts.cold import ColdContract, run_each
from runners.contracts.container import Folders, checked_places, common_environment
from runners.contracts.declaration import Part, checked
from runners.contracts.interface import Contract, ContractRun, ImageDeclaration
from runners.contracts.invoke import run_served
from runners.contracts.sockets import Socket, check_sockets, write_inputs
from runners.errors import ContractRefused
from runners.worker import CaseInput, CaseOutcome

LABEL = "org.grand-challenge.api-method"
_MODEL = "/opt/ml/model"


class Settings(Part):
    """A contract file."""

    method: Literal["exec", "invoke"] = "exec"
    inputs: tuple[Socket, ...]
    scratch: tuple[str, ...] = ()


def api_method(labels: Mapping[str, str]) -> str | None:
    """Find the method that the labels name, as the platform does: any case, quotes left out.

    Raises:
        ContractRefused: they name another.
    """
    for name, value in labels.items():
        if name.strip("'\"").lower() == LABEL:
            method = value.strip("'\"").lower()
            if method not in ("exec", "invoke"):
                raise ContractRefused(f"The label {LABEL} must be exec or invoke.")
            return method
    return None


def declare(image: ImageDeclaration, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read the contract file; the image's label decides the method.

    Raises:
        ContractRefused: there is none, it is malformed, or it contradicts the label.
    """
    if document is None:
        raise ContractRefused(
            "The grand-challenge contract needs a contract file that lists the algorithm's inputs: slug, kind and "
            "relative_path of each. Give it with --contract-file."
        )
    method = api_method(image.labels)
    if method is not None and document.get("method", method) != method:
        raise ContractRefused(f"The contract file's method contradicts the image's label {LABEL}.")
    settings = checked(Settings, {**({"method": method} if method else {}), **document}, "The contract file")
    check_sockets(settings.inputs)
    checked_places("/input", "/output", _MODEL, *settings.scratch)
    return settings.model_dump(mode="json")


def run(run: ContractRun, cases: Iterable[CaseInput]) -> Generator[CaseOutcome, None, None]:
    """Start one container a case, or drive a server, as the settings say."""
    settings = Settings.model_validate(run.settings)
    folders = Folders(
        input_target="/input",
        output_target="/output",
        # HOME stays the image's: algorithms install their own packages there.
        environment={**common_environment(run), "LOG_LEVEL": "INFO"},
        read_only={_MODEL: run.attachments[ADDITIONAL]} if ADDITIONAL in run.attachments else {},
        scratch=settings.scratch,
        loopback=settings.method == "invoke",
    )

    def arrange(case: CaseInput, place: Path) -> None:
        place.mkdir(mode=0o755, exist_ok=True)
        write_inputs(run.reader, settings.inputs, case, place)

    if settings.method == "invoke":
        yield from run_served(run, folders, arrange, cases)
    else:
        yield from run_each(run, ColdContract(folders=folders, arrange=arrange), cases)


CONTRACT = Contract(
    name="grand-challenge",
    declare=declare,
    run=run,
    default_answer=None,
    needs_answer=True,
    takes=frozenset({ADDITIONAL}),
)
