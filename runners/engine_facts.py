"""What an engine says of itself, of its images and of its containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the engine says of itself and of its host; ``programs`` are those behind its runtimes, by name."""

    version: str
    api_version: str
    components: Mapping[str, str]
    kernel: str
    operating_system: str
    architecture: str
    cgroup_version: str
    storage_driver: str
    security_options: tuple[str, ...]
    runtimes: tuple[str, ...]
    default_runtime: str
    processors: int
    memory_bytes: int
    programs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image as the engine holds it; names, paths and labels in it are its author's text.

    ``variables`` are the names of its environment.
    """

    digest: str
    architecture: str
    user: str
    workdir: str
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    layers: tuple[str, ...]
    size: int
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """How a container is doing, or how it ended."""

    running: bool
    exit_code: int
    out_of_memory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownContainer:
    """A container found by label."""

    id: str
    name: str
    labels: Mapping[str, str]
