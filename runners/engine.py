"""The container engine: the only module that imports ``docker``. Narrow, typed, every call with a timeout.

It speaks the Docker Engine API (v1.41 and later), which Podman offers as well. Nothing here decides about
isolation: settings come whole from :mod:`runners.posture`. There is no pull, no exec and no copy on purpose.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors
import requests
from docker.utils import kwargs_from_env

from runners.engine_facts import ContainerState, EngineFacts, ImageFacts, KnownContainer
from runners.errors import EngineBroken, EngineMissing, ImageRefused
from runners.podman import is_podman, podman_settings
from runners.stream import Attachment

DEFAULT_URL = "unix:///var/run/docker.sock"
OLDEST_API = (1, 41)

# An idle engine answers in milliseconds, one that unpacks an image in minutes; a dead one must not hang us.
_QUICK = 60
_LONG = 900


class StartRefused(Exception):  # noqa: N818 - always caught by the session, which turns it into a failure code
    """The engine could not start a container because of what its image asks for."""


def connect(url: str | None = None) -> Engine:
    """Connect to the engine at ``url``, or ``PROCTOR_ENGINE``, or ``DOCKER_HOST``, or the default socket.

    Raises:
        EngineMissing: nothing answers there.
        EngineBroken: it answers, but speaks an interface that is too old.
    """
    chosen = url or os.environ.get("PROCTOR_ENGINE") or os.environ.get("DOCKER_HOST") or DEFAULT_URL
    try:
        settings = dict(kwargs_from_env()) if chosen == os.environ.get("DOCKER_HOST") else {}
        options: dict[str, Any] = {**settings, "base_url": chosen, "version": "auto", "timeout": _QUICK}
        api = docker.APIClient(**options)
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        raise EngineMissing(
            f"No container engine answers at {chosen}. Either install one as root (Debian: apt-get install "
            "docker.io, then start dockerd), or point to an engine elsewhere: set PROCTOR_ENGINE or "
            "DOCKER_HOST, or `engine` in the policy, and see that you may use its socket."
        ) from error
    if tuple(int(part) for part in api.api_version.split(".")[:2]) < OLDEST_API:
        api.close()
        raise EngineBroken(
            f"The engine at {chosen} speaks API {api.api_version}; 1.41 or later is needed (Docker 20.10, "
            "Podman 4). Upgrade it, or point PROCTOR_ENGINE to another."
        )
    return Engine(api, chosen)


class Engine:
    """A connection to one engine; use :func:`connect`."""

    def __init__(self, api: docker.APIClient, url: str) -> None:
        self._api = api
        self.url = url

    def close(self) -> None:
        """Close idle connections."""
        self._api.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def facts(self) -> EngineFacts:
        """Ask what engine and host are."""
        with _translated("ask the engine for its version"):
            info, version = self._api.info(), self._api.version()
        return EngineFacts(
            version=str(version.get("Version", "")),
            api_version=str(version.get("ApiVersion", "")),
            components={
                str(part.get("Name", "")): str(part.get("Version", "")).partition("\n")[0]
                for part in version.get("Components") or ()
            },
            kernel=str(info.get("KernelVersion", "")),
            operating_system=str(info.get("OperatingSystem", "")),
            architecture=str(version.get("Arch", "")),
            cgroup_version=str(info.get("CgroupVersion", "")),
            storage_driver=str(info.get("Driver", "")),
            security_options=tuple(info.get("SecurityOptions") or ()),
            runtimes=tuple(sorted(info.get("Runtimes") or ())),
            default_runtime=str(info.get("DefaultRuntime", "")),
            processors=int(info.get("NCPU", 0)),
            memory_bytes=int(info.get("MemTotal", 0)),
            programs={
                name: str(row.get("path") or row.get("runtimeType") or "")
                for name, row in (info.get("Runtimes") or {}).items()
            },
        )

    # Images

    def image(self, reference: str) -> ImageFacts | None:
        """Look up the image with this id or tag, or None."""
        try:
            with _translated("look up an image"):
                found = self._api.inspect_image(reference)  # type: ignore[no-untyped-call]
        except _NotFound:
            return None
        config = found.get("Config") or {}
        return ImageFacts(
            digest=str(found["Id"]),
            architecture=str(found.get("Architecture", "")),
            user=str(config.get("User") or ""),
            workdir=str(config.get("WorkingDir") or "/"),
            volumes=tuple(config.get("Volumes") or ()),
            labels=dict(config.get("Labels") or {}),
            layers=tuple((found.get("RootFS") or {}).get("Layers") or ()),
            size=int(found.get("Size", 0)),
            variables=tuple(sorted(item.partition("=")[0] for item in config.get("Env") or ())),
        )

    def load(self, archive: Iterator[bytes] | IO[bytes], expected_digest: str) -> None:
        """Load an image archive and see that it holds the expected image.

        The archive must not carry tags (:func:`runners.loadable.write_loadable`): a tag of a foreign
        archive would silently replace a local image of the same name.

        Raises:
            ImageRefused: the engine does not hold ``expected_digest`` afterwards.
        """
        with _translated("load an image archive"):
            self._stream("/images/load", archive, {"quiet": "1"})
        held = self.image(expected_digest)
        if held is None or held.digest != expected_digest:
            raise ImageRefused(
                "The engine does not hold the admitted image after loading its archive: the archive changed "
                "since admission, or the engine names images by another digest. Admit the archive again."
            )

    def save(self, reference: str, path: Path) -> None:
        """Write the image as an archive (``docker save``) to ``path``, whole or not at all."""
        partial = path.with_name(f".{path.name}.partial")
        try:
            with _translated("save an image"), partial.open("wb") as file:
                for block in self._api.get_image(reference):
                    file.write(block)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def import_filesystem(self, tar: Iterator[bytes] | IO[bytes], tag: str, changes: tuple[str, ...]) -> str:
        """Make an image of one layer from a file-system tar; returns its id."""
        repository, _, version = tag.rpartition(":")
        parameters = {"fromSrc": "-", "repo": repository, "tag": version, "changes": list(changes)}
        with _translated("import a file system as an image"):
            said = self._stream("/images/create", tar, parameters)
        if self.image(tag) is None and (made := re.findall(rb'"status":"(sha256:[0-9a-f]{64})', said)):
            # Podman 4 leaves the name out.
            self.tag(made[-1].decode(), tag)
        return self._digest(tag)

    def build(self, context: IO[bytes], tag: str) -> str:
        """Build one of the project's own images from a tar with a Dockerfile, without network; return its id.

        Never for a vendor's files: a build runs what it is given with the engine's rights.
        """
        parameters = {"t": tag, "networkmode": "none", "rm": "1", "forcerm": "1", "pull": "0", "version": "1"}
        with _translated("build an image"):
            self._stream("/build", context, parameters)
        return self._digest(tag)

    def tag(self, digest: str, tag: str) -> None:
        """Give an image a name, which keeps a clean-up of unnamed images from removing it."""
        repository, _, version = tag.rpartition(":")
        with _translated("tag an image"):
            self._api.tag(digest, repository, version, force=True)

    def remove_image(self, reference: str) -> None:
        """Remove an image or its tag if it is there."""
        with contextlib.suppress(_NotFound), _translated("remove an image"):
            self._api.remove_image(reference, force=True)

    # Containers

    def create(self, config: Mapping[str, Any], name: str) -> str:
        """Create a container from the engine's own settings; returns its id."""
        given = podman_settings(config, self.url) if self._is_podman else contextlib.nullcontext(dict(config))
        with _translated("create a container"), given as settings:
            made = self._api.create_container_from_config(settings, name)  # type: ignore[no-untyped-call]
        return str(made["Id"])

    def attach(self, container: str) -> Attachment:
        """Attach to standard input, output and error; do it before the start, so that nothing is missed.

        Raises:
            StartRefused: as for the start; Podman makes a container ready when it is attached to.
            EngineBroken: the engine itself failed.
        """
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        try:
            with _translated("attach to a container"):
                raw: Any = self._api.attach_socket(container, params=parameters)
        except _Conflict as error:
            raise StartRefused from error
        # Plain connections come wrapped in a file object, encrypted ones do not.
        stream: socket.socket = getattr(raw, "_sock", raw)
        return Attachment(stream, keep=raw)

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            StartRefused: the image asks for what cannot be run (its program is missing, for example).
            EngineBroken: the engine itself failed.
        """
        try:
            self._api.start(container)
        except docker.errors.APIError as error:
            if error.is_client_error():
                raise StartRefused from error
            raise EngineBroken(_sentence("start a container", error)) from error
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineBroken(_sentence("start a container", error)) from error

    def state(self, container: str) -> ContainerState:
        """Ask how the container is doing."""
        with _translated("look at a container"):
            state = self._api.inspect_container(container)["State"]
        return ContainerState(
            running=bool(state["Running"]),
            exit_code=int(state["ExitCode"]),
            out_of_memory=bool(state.get("OOMKilled")),
        )

    def wait(self, container: str, seconds: int) -> bool:
        """Wait until the container has ended; False when it still runs after ``seconds``."""
        try:
            self._api.wait(container, timeout=seconds, condition="not-running")
        except (requests.Timeout, requests.ConnectionError):
            return False
        except docker.errors.NotFound:
            return True
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise EngineBroken(_sentence("wait for a container", error)) from error
        return True

    def kill(self, container: str) -> None:
        """Kill every process of the container; no grace, because a hostile one would use it."""
        try:
            with contextlib.suppress(_NotFound, _Conflict), _translated("kill a container"):
                self._api.kill(container)
        except EngineBroken:
            # Podman fails to kill what has ended.
            if self.state(container).running:
                raise

    def remove(self, container: str) -> None:
        """Kill and remove the container with its volumes, if it is there."""
        for last in (False, False, True):
            try:
                with contextlib.suppress(_NotFound, _Conflict), _translated("remove a container"):
                    self._api.remove_container(container, v=True, force=True)
            except EngineBroken:
                # Podman fails to kill what ends by itself at that moment.
                if last:
                    raise
                time.sleep(0.2)
            else:
                return

    def labelled(self, label: str) -> list[KnownContainer]:
        """List all containers, running or not, that carry ``label``."""
        with _translated("list containers"):
            found = self._api.containers(all=True, filters={"label": label})
        return [
            KnownContainer(
                id=str(item["Id"]),
                name=str((item.get("Names") or ["/"])[0]).lstrip("/"),
                labels=dict(item.get("Labels") or {}),
            )
            for item in found
        ]

    @functools.cached_property
    def _is_podman(self) -> bool:
        return is_podman(self.facts().components)

    def _digest(self, tag: str) -> str:
        made = self.image(tag)
        if made is None:
            raise EngineBroken(
                f"The engine reported success but holds no image {tag}. Look at the engine's log."
            )
        return made.digest

    def _stream(self, path: str, body: Iterator[bytes] | IO[bytes], parameters: Mapping[str, Any]) -> bytes:
        """Post a tar and return the engine's words; these calls answer 200 at once and report errors in the body."""
        response = self._api.post(
            f"{self._api.base_url}/v{self._api.api_version}{path}",
            data=iter(lambda: body.read(1 << 18), b"") if hasattr(body, "read") else body,
            params=parameters,
            headers={"Content-Type": "application/x-tar"},
            timeout=_LONG,
        )
        if response.status_code >= 400 or b'"errorDetail"' in response.content:
            # The body may quote the image's own text, so it does not become part of the message.
            raise EngineBroken(
                f"The engine refused a tar archive at {path} (HTTP {response.status_code}). Look at its log; "
                "a full disk is the usual cause."
            )
        return bytes(response.content)


class _NotFound(EngineBroken):
    """There is no such object."""


class _Conflict(EngineBroken):
    """The object is not in a state that allows this, for example being removed already."""


@contextlib.contextmanager
def _translated(action: str) -> Iterator[None]:
    """Turn every failure of the library below into one of ours, without the engine's wording."""
    try:
        yield
    except docker.errors.NotFound as error:
        raise _NotFound(_sentence(action, error)) from error
    except docker.errors.APIError as error:
        kind = _Conflict if error.status_code == 409 else EngineBroken
        raise kind(_sentence(action, error)) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise EngineBroken(_sentence(action, error)) from error


def _sentence(action: str, error: Exception) -> str:
    status = getattr(error, "status_code", None)
    reason = f"HTTP {status}" if status else type(error).__name__
    return f"The container engine could not {action} ({reason}). See that it runs, and read its log."
