"""MONAI and Holoscan Application Packages (MAP), unchanged, both generations: one container a study.

The packaged entrypoint ends with 0 whatever the application did, so the manifest's own command is run in its
place, no exit code is trusted, and a case without the declared output has failed. Where the models are,
``pkg.json`` says; what the package asks of the machine is noted, and the institution's limits hold.

Source: Holoscan Application Package specification 1.0 (``/etc/holoscan/{app,pkg}.json``), MAP 0.1
(``/etc/monai/{app,pkg}.json``), holoscan-cli 2.9 to 4.2.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from pydantic import AliasChoices, Field

from runners.contracts.cold import ColdContract, move, run_each
from runners.contracts.container import (
    Folders,
    checked_environment,
    checked_place,
    checked_places,
    common_environment,
)
from runners.contracts.declaration import ForeignPart, Part, checked, read_manifest
from runners.contracts.interface import Contract, ContractRun, ImageDeclaration
from runners.errors import ContractRefused
from runners.worker import CaseInput, CaseOutcome

HOLOSCAN = "etc/holoscan/app.json"
MONAI = "etc/monai/app.json"
_PACKAGE = {HOLOSCAN: "etc/holoscan/pkg.json", MONAI: "etc/monai/pkg.json"}
_LONGEST = 86_400
_LONGEST_WORD = 32


class _Place(ForeignPart):
    path: str = ""


class _Application(ForeignPart):
    command: str | list[str]
    environment: dict[str, str] = Field(default_factory=dict)
    input: _Place = _Place()
    output: _Place = _Place()
    working_directory: str = Field(
        default="", validation_alias=AliasChoices("workingDirectory", "working-directory")
    )
    timeout: int = Field(default=0, ge=0, le=_LONGEST)


class _Model(ForeignPart):
    name: str
    path: str = ""


class _Resources(ForeignPart):
    cpu: float = 0
    gpu: float = 0
    memory: str | int = ""


class _Package(ForeignPart):
    model_root: str = Field(default="", validation_alias=AliasChoices("modelRoot", "model-root"))
    models: dict[str, str] | list[_Model] = Field(default_factory=list)
    resources: _Resources = _Resources()


class Settings(Part):
    """What is left of the manifests; places are absolute.

    ``models`` is where ``pkg.json`` says that the models are, empty to leave that to the image; ``timeout`` in
    seconds, 0 for none; ``gpus`` and ``memory`` are what the package asks for.
    """

    generation: str
    command: tuple[str, ...]
    workdir: str
    input: str
    output: str
    environment: dict[str, str]
    models: str
    timeout: int
    gpus: float = 0
    memory: str = ""


def declare(image: ImageDeclaration, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read the manifest in the image.

    Raises:
        ContractRefused: there is none, it is malformed, or a contract file was given beside it.
    """
    if document is not None:
        raise ContractRefused("The map contract is declared inside the image. Leave --contract-file out.")
    generation = next((path for path in (HOLOSCAN, MONAI) if path in image.manifests), None)
    if generation is None:
        raise ContractRefused(
            f"The image has neither /{HOLOSCAN} nor /{MONAI}: it is not an application package."
        )
    application = checked(_Application, read_manifest(image.manifests[generation]), f"/{generation}")
    package = checked(_Package, _package_manifest(image, generation), f"/{_PACKAGE[generation]}")
    var = "/var/holoscan" if generation == HOLOSCAN else "/var/monai"
    workdir = checked_place(application.working_directory or var)
    places = checked_places(
        posixpath.join(workdir, application.input.path or "input"),
        posixpath.join(workdir, application.output.path or "output"),
    )
    settings = Settings(
        generation="holoscan" if generation == HOLOSCAN else "monai",
        command=_words(application.command),
        workdir=workdir,
        input=places[0],
        output=places[1],
        environment=checked_environment(application.environment),
        models=_model_root(package),
        timeout=application.timeout,
        gpus=package.resources.gpu,
        memory=str(package.resources.memory)[:_LONGEST_WORD],
    )
    return settings.model_dump(mode="json")


def run(run: ContractRun, cases: Iterable[CaseInput]) -> Generator[CaseOutcome, None, None]:
    """Start one container a case."""
    settings = Settings.model_validate(run.settings)
    folders = Folders(
        input_target=settings.input,
        output_target=settings.output,
        environment={**common_environment(run), **settings.environment, **_paths(settings)},
        entrypoint=settings.command,
        workdir=settings.workdir,
    )
    contract = ColdContract(
        folders=folders, arrange=move, exit_code_counts=False, seconds=settings.timeout or None
    )
    yield from run_each(run, contract, cases)


def _package_manifest(image: ImageDeclaration, generation: str) -> dict[str, Any]:
    """Read ``pkg.json``, which some packagers leave out."""
    text = image.manifests.get(_PACKAGE[generation])
    return {} if text is None else read_manifest(text)


def _model_root(package: _Package) -> str:
    """Where the models are, as applications are told: the folder above all of them."""
    path = package.model_root
    if path and (not path.startswith("/") or ".." in path.split("/") or not path.isprintable()):
        raise ContractRefused("The models' place in pkg.json is not a plain absolute path.")
    return path


def _paths(settings: Settings) -> dict[str, str]:
    """Set what the platforms' runners set; manifests often hold relative paths here."""
    if settings.generation == "monai":
        return {
            "MONAI_INPUTPATH": settings.input,
            "MONAI_OUTPUTPATH": settings.output,
            "MONAI_WORKDIR": settings.workdir,
            **_models("MONAI_MODELPATH", settings),
            **({"MONAI_TIMEOUT": str(settings.timeout)} if settings.timeout else {}),
        }
    logs = "/tmp"  # noqa: S108 - a path inside the container
    return {
        "HOLOSCAN_INPUT_PATH": settings.input,
        "HOLOSCAN_OUTPUT_PATH": settings.output,
        "HOLOSCAN_WORKDIR": settings.workdir,
        **_models("HOLOSCAN_MODEL_PATH", settings),
        "HOLOSCAN_APP_MANIFEST_PATH": f"/{HOLOSCAN}",
        "HOLOSCAN_PKG_MANIFEST_PATH": f"/{_PACKAGE[HOLOSCAN]}",
        # Specification and packager disagree on the suffix.
        "HOLOSCAN_LOGS": logs,
        "HOLOSCAN_LOGS_PATH": logs,
    }


def _models(name: str, settings: Settings) -> dict[str, str]:
    """The models' place: an absolute one of the application's own environment comes first."""
    if settings.environment.get(name, "").startswith("/") or not settings.models:
        return {}
    return {name: settings.models}


def _words(command: str | list[str]) -> tuple[str, ...]:
    """Read the command: a list, a text that holds a JSON array (the packager's way), or a command line."""
    try:
        words: Any = command
        if isinstance(command, str):
            words = json.loads(command) if command.lstrip().startswith("[") else shlex.split(command)
        if (
            isinstance(words, list)
            and words
            and all(isinstance(word, str) and "\0" not in word for word in words)
        ):
            return tuple(words)
    except (ValueError, RecursionError):
        pass
    raise ContractRefused("The application's command is neither a list of words nor a command line.")


CONTRACT = Contract(name="map", declare=declare, run=run, default_answer=None, needs_answer=True)
