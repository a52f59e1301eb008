"""The example vendors: trained on a development folder, built on the base image, saved as an archive.

This plays the vendor's part, so that a fresh machine has something to examine. An institution never builds a
vendor's image, and never trains one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runners.base_image import Progress
from runners.engine import Engine
from runners.errors import ImageError
from runners.images import MadeImage, build_image

EXAMPLES = Path(__file__).with_name("examples")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training said of itself: images seen and used, and the area under the ROC curve out of fold."""

    images: int
    used: int
    out_of_fold_auroc: float


def example_names() -> tuple[str, ...]:
    """Names of the example vendors."""
    return tuple(sorted(path.parent.name for path in EXAMPLES.glob("*/Dockerfile")))


def train_example(
    name: str, development: Path, label: str, weights: Path, progress: Progress | None = None
) -> Training:
    """Train the example vendor ``name`` on a development folder and write its ``weights`` (``.npz``).

    The folder holds DICOM files below ``dicom/`` and ``reference.csv`` with a column ``sop_instance_uid`` (or
    ``file``) and a column ``label`` of 0 and 1.

    Raises:
        ImageError: there is no such example, or the training failed.
    """
    _known(name)
    command = [
        sys.executable,
        str(EXAMPLES / "train.py"),
        name,
        str(development),
        label,
        str(weights),
        "--progress",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        last = ""
        try:
            for line in process.stderr:
                done, _, total = line.strip().partition("/")
                if done.isdigit() and total.isdigit():
                    if progress:
                        progress(int(done), int(total))
                else:
                    last = line.strip() or last
            result = process.stdout.read()
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise ImageError(f"Training the example vendor {name} on {development} failed: {last}")
    return Training(**json.loads(result))


def example_image(engine: Engine, name: str, weights: Path, progress: Progress | None = None) -> MadeImage:
    """Find or make the image of the example vendor ``name`` with its trained ``weights``.

    Raises:
        ImageError: there is no such example, or the base image cannot be made.
    """
    _known(name)
    sources = [*EXAMPLES.glob("*.py"), *(EXAMPLES / name).glob("*.py"), EXAMPLES / name / "Dockerfile"]
    trainers = ("train.py", "train_vendor.py")
    files = {path.name: path.read_bytes() for path in sources if path.name not in trainers}
    files["weights.npz"] = weights.read_bytes()
    return build_image(engine, f"proctor/example-{name}", files, progress)


def _known(name: str) -> None:
    if name not in example_names():
        known = ", ".join(example_names())
        raise ImageError(f"There is no example vendor {name!r}. Known: {known}.")
