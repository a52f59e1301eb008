"""MedPerf model containers, unchanged: the ``infer`` task of their configuration, once for all cases.

Both forms of configuration are read: ``container_config.yaml`` (MedPerf since 2025), which names a place in the
container for every volume, and ``mlcube.yaml`` (before), whose places are numbered ``/mlcube_io0`` and on and told to
the container as arguments. Places are what the configuration says, never the documentation's defaults. The image's
user is left aside as MedPerf does, HOME is ``/tmp``, and how predictions are written is a private agreement, so the
submission declares where the answer to a case stands (``predictions.csv#case=score``, ``{case}.json#/score``).

Source: medperf, ``containers/parsers/simple_container.py``, ``parsers/mlcube.py`` and ``containers/runners`` (2025).
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from runners.attachments import ADDITIONAL, PARAMETERS
from runners.contracts.cold import ColdContract, move, run_all
from runners.contracts.container import Folders, checked_environment, checked_places, common_environment
from runners.contracts.declaration import ForeignPart, Part, checked
from runners.contracts.interface import Contract, ContractRun, ImageDeclaration
from runners.errors import ContractRefused
from runners.worker import CaseInput, CaseOutcome

_INPUTS = frozenset({"data_path", PARAMETERS, ADDITIONAL})
_TYPES = {"data_path": "directory", PARAMETERS: "file", ADDITIONAL: "directory", "output_path": "directory"}
_DOCKER = ("DockerImage", "DockerArchive")


class _Volume(ForeignPart):
    mount_path: str
    type: Literal["file", "directory"]


class _RunArguments(Part):
    command: str | list[str] | None = None
    entrypoint: str | list[str] | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    gpus: Any = None
    shm_size: Any = None


class _Task(ForeignPart):
    run_args: _RunArguments = _RunArguments()
    input_volumes: dict[str, _Volume]
    output_volumes: dict[str, _Volume]


class _Tasks(ForeignPart):
    infer: _Task


class _Configuration(ForeignPart):
    container_type: str = "DockerImage"
    tasks: _Tasks


class _CubeValue(ForeignPart):
    type: Literal["file", "directory", "unknown"] = "unknown"
    default: str


class _CubeParameters(ForeignPart):
    inputs: dict[str, str | _CubeValue] = Field(default_factory=dict)
    outputs: dict[str, str | _CubeValue] = Field(default_factory=dict)


class _CubeTask(ForeignPart):
    entrypoint: str | None = None
    parameters: _CubeParameters


class _CubeTasks(ForeignPart):
    infer: _CubeTask


class _Cube(ForeignPart):
    docker: dict[str, Any]
    tasks: _CubeTasks


class Settings(Part):
    """What is left of a configuration: places in the container, and what it runs."""

    data: str
    output: str
    parameters: str | None = None
    additional: str | None = None
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None
    environment: dict[str, str]


def declare(_image: ImageDeclaration, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read ``container_config.yaml`` or ``mlcube.yaml``.

    Raises:
        ContractRefused: there is none, or it asks for what is not given here.
    """
    if document is None:
        raise ContractRefused(
            "The medperf contract needs the model's container_config.yaml (or mlcube.yaml). Give it with "
            "--contract-file."
        )
    of_a_cube = "docker" in document and "container_type" not in document
    settings = _of_cube(document) if of_a_cube else _of_container(document)
    return settings.model_dump(mode="json")


def _of_container(document: Mapping[str, Any]) -> Settings:
    configuration = checked(_Configuration, document, "container_config.yaml")
    if configuration.container_type not in _DOCKER:
        raise ContractRefused(
            "The configuration's container_type must be DockerImage or DockerArchive: encrypted and Singularity "
            "images cannot be admitted."
        )
    task = configuration.tasks.infer
    _check_names(task.input_volumes, task.output_volumes)
    for name, volume in (*task.input_volumes.items(), *task.output_volumes.items()):
        if volume.type != _TYPES[name]:
            raise ContractRefused(f"The volume {name} of the infer task must be a {_TYPES[name]}.")
    places = {
        name: volume.mount_path
        for name, volume in (*task.input_volumes.items(), *task.output_volumes.items())
    }
    arguments = task.run_args
    return _settings(
        places,
        entrypoint=_words(arguments.entrypoint),
        command=_words(arguments.command),
        environment=checked_environment(arguments.environment),
    )


def _of_cube(document: Mapping[str, Any]) -> Settings:
    """Number the places as MLCube does: inputs, then outputs, in the file's order, a file in a folder of its own."""
    task = checked(_Cube, document, "mlcube.yaml").tasks.infer
    _check_names(task.parameters.inputs, task.parameters.outputs)
    places, arguments = {}, []
    parameters = {**task.parameters.inputs, **task.parameters.outputs}
    for number, (name, value) in enumerate(parameters.items()):
        place = f"/mlcube_io{number}"
        if _TYPES[name] == "file":
            place = posixpath.join(
                place, posixpath.basename(value if isinstance(value, str) else value.default)
            )
        places[name] = place
        arguments.append(f"--{name}={place}")
    words = _words(task.entrypoint)
    return _settings(
        places,
        entrypoint=None if words is None else words[:1],
        # Without an entrypoint of its own, a task is named to the image's.
        command=(*(("infer",) if words is None else words[1:]), *arguments),
        environment={},
    )


def _check_names(inputs: Iterable[str], outputs: Iterable[str]) -> None:
    given = set(inputs)
    if "data_path" not in given or given - _INPUTS or set(outputs) != {"output_path"}:
        raise ContractRefused(
            "The infer task must have the input data_path and the output output_path, may have the inputs "
            "parameters_file and additional_files, and no others."
        )


def _settings(
    places: Mapping[str, str],
    *,
    entrypoint: tuple[str, ...] | None,
    command: tuple[str, ...] | None,
    environment: dict[str, str],
) -> Settings:
    plain = dict(zip(places, checked_places(*places.values()), strict=True))
    return Settings(
        data=plain["data_path"],
        output=plain["output_path"],
        parameters=plain.get(PARAMETERS),
        additional=plain.get(ADDITIONAL),
        entrypoint=entrypoint,
        command=command,
        environment=environment,
    )


def run(run: ContractRun, cases: Iterable[CaseInput]) -> Generator[CaseOutcome, None, None]:
    """Start one container for all cases."""
    settings = Settings.model_validate(run.settings)
    asked = {PARAMETERS: settings.parameters, ADDITIONAL: settings.additional}
    folders = Folders(
        input_target=settings.data,
        output_target=settings.output,
        environment={**common_environment(run), **settings.environment, "HOME": "/tmp"},  # noqa: S108
        read_only={place: run.attachments[name] for name, place in asked.items() if place is not None},
        entrypoint=settings.entrypoint,
        command=settings.command,
    )
    yield from run_all(run, ColdContract(folders=folders, arrange=_among_all, user=run.posture.user), cases)


def _among_all(case: CaseInput, place: Path) -> None:
    move(case, place / case.case)


def _words(command: str | list[str] | None) -> tuple[str, ...] | None:
    if command is None:
        return None
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError:
        words = []
    if not words or any("\0" in word for word in words):
        raise ContractRefused("A command of the infer task is not a command line.")
    return tuple(words)


def _needs(settings: Mapping[str, Any]) -> frozenset[str]:
    asked = {PARAMETERS: settings.get("parameters"), ADDITIONAL: settings.get("additional")}
    return frozenset(name for name, place in asked.items() if place is not None)


CONTRACT = Contract(
    name="medperf",
    declare=declare,
    run=run,
    default_answer=None,
    needs_answer=True,
    whole_set=lambda _settings: True,
    needs=_needs,
)
