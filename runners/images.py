"""Images that the project makes for itself, without a registry: each is made once.

A tag holds the hash of everything that went into the image, so an unchanged image is found, not made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base_image import Progress, base_tag, make_base_image
from runners.engine import Engine
from runners.errors import ImageError
from runners.posture import NONROOT_USER

PROGRAMS = Path(__file__).parent / "probe"
_COMPILE = ("gcc", "-static", "-O1", "-s")


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image in the engine: its name, its id, and whether it had to be made just now."""

    tag: str
    digest: str
    made: bool


def base_image(engine: Engine, progress: Progress | None = None) -> MadeImage:
    """Find or make the base image: Debian with Python, numpy, Pillow and pydicom.

    Raises:
        ImageError: it cannot be made here; the message says what is missing.
    """
    with _one_at_a_time():
        tag = base_tag()
        if found := engine.image(tag):
            return MadeImage(tag=tag, digest=found.digest, made=False)
        return MadeImage(tag=tag, digest=make_base_image(engine, progress), made=True)


def probe_image(engine: Engine) -> MadeImage:
    """Find or make the image of the probe (``probe/probe.c``): one static program and nothing else.

    Raises:
        ImageError: there is no C compiler.
    """
    return _program_image(engine, PROGRAMS / "probe.c")


def loopback_image(engine: Engine) -> MadeImage:
    """Find or make the image of the helper that asks a server over loopback (``probe/loopback.c``).

    Raises:
        ImageError: there is no C compiler.
    """
    return _program_image(engine, PROGRAMS / "loopback.c")


def _program_image(engine: Engine, source: Path) -> MadeImage:
    name = source.stem
    recipe = {"source": source.read_bytes(), "compile": " ".join(_COMPILE).encode(), "tmp": b"1777"}
    tag = f"proctor/{name}:{_hash(recipe)}"
    with _one_at_a_time():
        if found := engine.image(tag):
            return MadeImage(tag=tag, digest=found.digest, made=False)
        with tempfile.TemporaryDirectory(prefix="proctor-compile-") as folder:
            program = Path(folder, name)
            _compile(source, program)
            files = {name: program.read_bytes()}
        tar = _tar(files, executable=frozenset({name}), folders=("input", "tmp"))
        changes = (f'ENTRYPOINT ["/{name}"]', f"USER {NONROOT_USER}")
        return MadeImage(tag=tag, digest=engine.import_filesystem(io.BytesIO(tar), tag, changes), made=True)


def build_image(
    engine: Engine, repository: str, files: Mapping[str, bytes], progress: Progress | None = None
) -> MadeImage:
    """Find or make an image from the project's own files, Dockerfile included, on top of the base image."""
    base = base_image(engine, progress)
    tag = f"{repository}:{_hash({**files, 'base': base.digest.encode()})}"
    with _one_at_a_time():
        if found := engine.image(tag):
            return MadeImage(tag=tag, digest=found.digest, made=False)
        context = dict(files)
        context["Dockerfile"] = context["Dockerfile"].replace(
            b"FROM proctor/base\n", f"FROM {base.tag}\n".encode()
        )
        return MadeImage(tag=tag, digest=engine.build(io.BytesIO(_tar(context)), tag), made=True)


def save_image(engine: Engine, image: MadeImage, path: Path) -> Path:
    """Write the archive that a vendor would hand in; an archive of the same image is left as it is."""
    mark = path.with_name(f"{path.name}.digest")
    if path.is_file() and mark.is_file() and mark.read_text(encoding="ascii") == image.digest:
        return path
    mark.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine.save(image.digest, path)
    mark.write_text(image.digest, encoding="ascii")
    return path


def _compile(source: Path, program: Path) -> None:
    if shutil.which(_COMPILE[0]) is None:
        raise ImageError(
            "The probe that measures a container's isolation is compiled on this host, and there is no gcc. "
            "Install it as root (Debian: apt-get install gcc libc6-dev)."
        )
    done = subprocess.run(
        [*_COMPILE, "-o", str(program), str(source)], capture_output=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise ImageError(
            f"{source.name} does not compile on this host. Install the static C library (Debian: apt-get install "
            "libc6-dev)."
        )


def _hash(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return whole.hexdigest()[:12]


def _tar(
    files: Mapping[str, bytes], *, executable: frozenset[str] = frozenset(), folders: tuple[str, ...] = ()
) -> bytes:
    """Pack files with fixed owner, order and time, so that equal content gives an equal layer."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in folders:
            entry = tarfile.TarInfo(name)
            # As in every image: some engines give a tmpfs the mode of the folder below it.
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(entry)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755 if name in executable else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep two processes of one user from making the same image at the same time."""
    path = Path(tempfile.gettempdir(), f"proctor-images-{os.geteuid()}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
