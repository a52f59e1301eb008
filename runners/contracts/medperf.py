"""MedPerf model containers, unchanged: the ``infer`` task of a ``container_config.yaml``, once for all cases.

Places in the container are what the configuration says, never the documentation's defaults. The image's user is
left aside as MedPerf does, HOME is ``/tmp``, and how predictions are written is a private agreement, so the
submission declares where the answer to a case stands (``predictions.csv#case=score``, ``{case}.json#/score``).

Source: medperf, ``containers/parsers/simple_container.py`` and ``containers/runners`` (2025).
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from runners.contracts.cold import ColdContract, move, run_all
from runners.contracts.container import Folders, checked_environment, checked_places, common_environment
from runners.contracts.declaration import ForeignPart, Part, checked
from runners.contracts.interface import Contract, ContractRun, ImageDeclaration
from runners.errors import ContractRefused
from runners.worker import CaseInput, CaseOutcome


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
    tasks: _Tasks


class Settings(Part):
    """What is left of a configuration."""

    data: str
    output: str
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None
    environment: dict[str, str]


def declare(_image: ImageDeclaration, document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read ``container_config.yaml``.

    Raises:
        ContractRefused: there is none, or it asks for what is not given here.
    """
    if document is None:
        raise ContractRefused(
            "The medperf contract needs the model's container_config.yaml. Give it with --contract-file."
        )
    task = checked(_Configuration, document, "container_config.yaml").tasks.infer
    if set(task.input_volumes) != {"data_path"} or set(task.output_volumes) != {"output_path"}:
        raise ContractRefused(
            "The infer task may have the volumes data_path and output_path and no others here: parameters and "
            "additional files (weights) must be inside the image."
        )
    data, output = task.input_volumes["data_path"], task.output_volumes["output_path"]
    if (data.type, output.type) != ("directory", "directory"):
        raise ContractRefused("data_path and output_path of the infer task must be directories.")
    arguments = task.run_args
    places = checked_places(data.mount_path, output.mount_path)
    settings = Settings(
        data=places[0],
        output=places[1],
        entrypoint=_words(arguments.entrypoint),
        command=_words(arguments.command),
        environment=checked_environment(arguments.environment),
    )
    return settings.model_dump(mode="json")


def run(run: ContractRun, cases: Iterable[CaseInput]) -> Generator[CaseOutcome, None, None]:
    """Start one container for all cases."""
    settings = Settings.model_validate(run.settings)
    folders = Folders(
        input_target=settings.data,
        output_target=settings.output,
        environment={**common_environment(run), **settings.environment, "HOME": "/tmp"},  # noqa: S108
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


CONTRACT = Contract(
    name="medperf",
    declare=declare,
    run=run,
    default_answer=None,
    needs_answer=True,
    whole_set=lambda _settings: True,
)
