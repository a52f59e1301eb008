"""The base image of the project's own vendors, made without any image registry: Debian by debootstrap.

The packages come from the distribution's archive, checked against its keyring, so nothing but a Debian mirror
is needed. The result is named by its recipe, so the same recipe is never carried out twice.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from runners.engine import Engine
from runners.errors import ImageError

SUITE = "bookworm"
PACKAGES = ("python3-numpy", "python3-pydicom", "python3-pil")
REPOSITORY = "proctor/base"

# What a running program never reads; it would make up half of the image.
_LEFT_OUT = (
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "boot",
    "var/cache",
    "var/log",
    "var/lib/apt",
    "debootstrap",
    # debootstrap copies these from the host.
    "etc/resolv.conf",
    "etc/hostname",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/aarch64-linux-gnu/perl",
)
_MOUNTPOINTS = ("dev", "proc", "sys", "run", "tmp", "input")
_RECIPE = 2

Progress = Callable[[int, int | None], None]


def base_tag() -> str:
    """Name of the base image, by content of its recipe."""
    recipe = "\n".join((str(_RECIPE), SUITE, *PACKAGES, *_LEFT_OUT, *_MOUNTPOINTS))
    return f"{REPOSITORY}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def make_base_image(engine: Engine, progress: Progress | None = None) -> str:
    """Make the base image and return its id. Takes about a minute and 500 MB of temporary disk.

    ``PROCTOR_DEBIAN_MIRROR`` names another Debian mirror than the distribution's default.

    Raises:
        ImageError: not root, no debootstrap, or no mirror within reach.
    """
    program = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None or os.geteuid() != 0:
        raise ImageError(
            "The base image is made with debootstrap, as root. Install it (Debian: apt-get install "
            "debootstrap) and run this as root once, or load an image made elsewhere with `docker load`."
        )
    with tempfile.TemporaryDirectory(prefix="proctor-base-") as folder:
        root, tar = Path(folder, "root"), Path(folder, "base.tar")
        _debootstrap(program, root, progress)
        with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
            _pack(root, archive)
        with tar.open("rb") as file:
            return engine.import_filesystem(file, base_tag(), ('CMD ["python3"]', "ENV PYTHONUNBUFFERED=1"))


def _debootstrap(program: str, root: Path, progress: Progress | None) -> None:
    command = [program, "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
    if mirror := os.environ.get("PROCTOR_DEBIAN_MIRROR"):
        command.append(mirror)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            last = ""
            for done, line in enumerate(process.stdout, start=1):
                last = line.strip() or last
                if progress:
                    progress(done, None)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise ImageError(
            f"debootstrap ended with exit code {process.returncode}: {last}. See that a Debian mirror is "
            "within reach, or name one in PROCTOR_DEBIAN_MIRROR."
        )


def _pack(root: Path, archive: tarfile.TarFile) -> None:
    """Write the file system in a fixed order, without what is left out and without set-user-id bits."""

    def keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = entry.name.removeprefix("./")
        if name in _LEFT_OUT or entry.isdev():
            return None
        entry.mode &= ~(stat.S_ISUID | stat.S_ISGID)
        return entry

    for child in sorted(root.iterdir()):
        archive.add(child, arcname=child.name, filter=keep)
    for name in _MOUNTPOINTS:
        entry = tarfile.TarInfo(name)
        # Podman gives the tmpfs over /tmp the mode that the image's own folder has.
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        archive.addfile(entry)
