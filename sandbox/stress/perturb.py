"""Make a perturbed case: read its DICOM files, change them, write DICOM files.

Severity 0 is the identity: the pixel data element is copied as it is, only identifiers are new. An image whose
pixels changed is written uncompressed in Explicit VR Little Endian; whether the way of writing alone matters is
what the perturbations of kind ``encoding`` tell. Image Type (0008,0008) stays: a noisier acquisition is an
acquisition, and a container must not learn from the header that it is being tested.

Equal (case, perturbation, severity, seed, key, library versions) give equal bytes in every process.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from sandbox.stress.case import OpenCase, read_image
from sandbox.stress.encoders import encode
from sandbox.stress.errors import NotApplicableError, UnknownPerturbationError
from sandbox.stress.identity import new_identity, random_numbers
from sandbox.stress.perturbation import Perturbation
from sandbox.stress.registry import find
from sandbox.stress.writing import written

_STALE_WITH_PIXELS = ("SmallestImagePixelValue", "LargestImagePixelValue", "IconImageSequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbedCase:
    """A perturbed case on disk.

    ``files`` are names in ``destination``; ``bytes`` their sizes in all; ``clipped`` counts values that the
    stored type could not hold; ``pseudonym`` is the Patient ID that the files carry.
    """

    files: tuple[str, ...]
    bytes: int
    clipped: int
    pseudonym: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """The perturbation has no meaning for this case, and why, in a sentence of ours."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbTask:
    """One perturbed case for a child process (``holdout.bounded.BoundedPool``).

    Attributes:
        source: folder of the staged case; ``files`` are names in it, in their order.
        perturbation, severity: name in the registry, and 0 (clean) to 5.
        case: stable name of the case; with ``seed`` it decides the random numbers, so give the same for every
            submission.
        key: secret of the run; identifiers follow from it.
        destination: folder that is made; it appears whole or not at all.
        donor_source, donor_files: staged files of another case, for perturbations with a donor.
    """

    source: str
    files: tuple[str, ...]
    perturbation: str
    severity: int
    case: str
    seed: int
    key: bytes
    destination: str
    donor_source: str = ""
    donor_files: tuple[str, ...] = ()


def perturb_task(task: PerturbTask) -> PerturbedCase | NotApplicable:
    """Do one task; importable by name, for a pool of bounded child processes."""
    return perturb_case(
        Path(task.source),
        task.files,
        find(task.perturbation),
        task.severity,
        case=task.case,
        seed=task.seed,
        key=task.key,
        destination=Path(task.destination),
        donor=(Path(task.donor_source), task.donor_files) if task.donor_files else None,
    )


def perturb_case(
    source: Path,
    files: Sequence[str],
    perturbation: Perturbation,
    severity: int,
    *,
    case: str,
    seed: int,
    key: bytes,
    destination: Path,
    donor: tuple[Path, Sequence[str]] | None = None,
) -> PerturbedCase | NotApplicable:
    """Make one perturbed case in ``destination`` (see ``PerturbTask``).

    Foreign bytes are parsed here: call it in a bounded child process when files come from outside.

    Raises:
        UnknownPerturbationError: a severity that the perturbation does not have, or a run variant.
        OSError: files cannot be read or written.
    """
    if not 0 <= severity <= len(perturbation.severities):
        raise UnknownPerturbationError(
            f"{perturbation.name} has severities 0 to {len(perturbation.severities)}, not {severity}"
        )
    try:
        contents = perturbed_files(
            [(name, (source / name).read_bytes()) for name in files],
            perturbation,
            severity,
            case=case,
            seed=seed,
            key=key,
            donor=[(name, (donor[0] / name).read_bytes()) for name in donor[1]] if donor else [],
        )
    except NotApplicableError as reason:
        return NotApplicable(reason=str(reason))
    building = destination.with_name(f".{destination.name}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o755, parents=True)
    try:
        for name, content in contents.files:
            (building / name).write_bytes(content)
        # Only what is complete appears under its name.
        building.rename(destination)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return PerturbedCase(
        files=tuple(name for name, _ in contents.files),
        bytes=sum(len(content) for _, content in contents.files),
        clipped=contents.clipped,
        pseudonym=contents.pseudonym,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbedFiles:
    """A perturbed case in memory: (name, bytes) of each file, in order."""

    files: tuple[tuple[str, bytes], ...]
    clipped: int
    pseudonym: str


def perturbed_files(
    files: Sequence[tuple[str, bytes]],
    perturbation: Perturbation,
    severity: int,
    *,
    case: str,
    seed: int,
    key: bytes,
    donor: Sequence[tuple[str, bytes]] = (),
) -> PerturbedFiles:
    """Make the files of a perturbed case in memory.

    Raises:
        NotApplicableError: the perturbation has no meaning for this case.
        UnknownPerturbationError: a run variant, which changes no file.
    """
    if perturbation.function is None:
        raise UnknownPerturbationError(f"{perturbation.name} changes how a case is run, not its files")
    opened = OpenCase(images=[read_image(content, name) for name, content in files])
    modalities = {image.modality for image in opened.images}
    if perturbation.modalities and not modalities <= perturbation.modalities:
        raise NotApplicableError(f"it is for {', '.join(sorted(perturbation.modalities))} only")
    if severity:
        if perturbation.donor != "none":
            if not donor:
                raise NotApplicableError(f"no case of another patient ({perturbation.donor}) was given")
            opened.donor = [read_image(content, name) for name, content in donor]
        numbers = random_numbers(seed, case, perturbation.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            perturbation.function(opened, perturbation.severities[severity - 1], numbers)
    for image in opened.images:
        if image.changed and not image.encode_as:
            assert image.stored is not None
            encode(image, str(ExplicitVRLittleEndian))
        if image.changed:
            for keyword in _STALE_WITH_PIXELS:
                image.dataset.pop(keyword, None)
    pseudonym = new_identity(opened, key, (perturbation.name, str(severity), case))
    return PerturbedFiles(
        files=tuple((image.name, written(image)) for image in opened.images),
        clipped=sum(image.clipped for image in opened.images),
        pseudonym=pseudonym,
    )
