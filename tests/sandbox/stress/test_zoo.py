"""Every perturbation on one real file of each modality, staged as for a container, read by three other programs."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames

from holdout.view import ViewError, ViewPlan, build, read_source
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturb import perturbed_files
from sandbox.stress.registry import registry
from tests.sandbox.stress.cases import pixels

ZOO = Path(__file__).parents[4] / "shared" / "data" / "dicom-zoo"
MODALITIES = ("CR", "CT", "DX", "MG", "MR", "NM", "OP", "PT", "US", "XA", "XC")
NAMED = ("PatientSex", "PatientAge", "ViewPosition", "Laterality", "KVP", "EchoTime", "RepetitionTime")
BROKEN_ON_PURPOSE = {"truncated_file", "zero_byte"}
UNKNOWN_TO_DCIODVFY = {"as_deflated", "as_htj2k", "as_htj2k_rpcl"}
FRAMES = 3
pytestmark = pytest.mark.skipif(not ZOO.is_dir(), reason="../shared/data/dicom-zoo is missing")
needs_dcmtk = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None, reason="DCMTK is missing (Debian package dcmtk: dcmdump, dcmj2pnm)"
)
needs_dicom3tools = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is missing (Debian package dicom3tools)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of one staged file of a modality: ``files`` are (perturbation, file)."""

    source: Path
    files: tuple[tuple[str, Path], ...]
    perturbations: int


def staged(modality: str) -> bytes:
    with (ZOO / "MANIFEST.csv").open(newline="") as stream:
        rows = [
            row for row in csv.DictReader(stream) if row["modality"] == modality and row["kind"] == "real"
        ]
    plan = ViewPlan(attributes=NAMED)
    rules = plan.rules()
    for row in rows:
        if not row["rows"] or int(row["rows"]) < 64 or int(row["size"]) > 3_000_000:
            continue
        try:
            source = read_source((ZOO / row["file"]).read_bytes(), rules)
            content = build(source, plan, rules=rules, case_key=b"k" * 32, pseudonym="p", number=1)
            # Colour and grey, native and compressed: the first file that pydicom itself can decode.
            assert pydicom.dcmread(io.BytesIO(content)).pixel_array.size
        except (ViewError, ValueError, RuntimeError, AttributeError, NotImplementedError):
            continue
        return content
    pytest.skip(f"the zoo has no image of {modality} that can be staged")


def shortened(content: bytes) -> bytes:
    """The first ``FRAMES`` frames of a long sequence: each is written as the others are."""
    data = pydicom.dcmread(io.BytesIO(content))
    frames = int(data.get("NumberOfFrames") or 1)
    if frames <= FRAMES:
        return content
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        data.PixelData = encapsulate(
            list(islice(generate_frames(data.PixelData, number_of_frames=frames), FRAMES))
        )
    else:
        data.PixelData = data.PixelData[: len(data.PixelData) // frames * FRAMES]
    data.NumberOfFrames = FRAMES
    for keyword in ("FrameTimeVector", "PerFrameFunctionalGroupsSequence"):
        if keyword in data:
            data[keyword].value = data[keyword].value[:FRAMES]
    buffer = io.BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module", params=MODALITIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    content = shortened(staged(request.param))
    folder = tmp_path_factory.mktemp(request.param)
    source = folder / "source.dcm"
    source.write_bytes(content)
    files, perturbations = [], 0
    for name, entry in registry().items():
        if entry.function is None:
            continue
        try:
            result = perturbed_files(
                [("1.dcm", content)], entry, len(entry.severities), case="c", seed=1, key=b"k" * 32,
                donor=[("1.dcm", content)],
            )  # fmt: skip
        except NotApplicableError:
            continue
        perturbations += 1
        if name in BROKEN_ON_PURPOSE:
            continue
        for number, (_, written) in enumerate(result.files):
            path = folder / f"{name}-{number}.dcm"
            path.write_bytes(written)
            files.append((name, path))
    return Made(source=source, files=tuple(files), perturbations=perturbations)


def failed(commands: list[list[str]]) -> list[str]:
    """Commands that did not end well, with their last words; two at a time."""

    def words(command: list[str]) -> str:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"{' '.join(command)}: {last}" if done.returncode else ""

    with ThreadPoolExecutor(2) as pool:
        return [word for word in pool.map(words, commands) if word]


def conformance(path: Path) -> set[str]:
    """Errors that dciodvfy finds in a file."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, timeout=60, check=False)
    return {line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.startswith("Error")}


@needs_dcmtk
def test_produced_files_open_in_pydicom_and_dcmtk(made: Made) -> None:
    assert made.perturbations > 30
    pictures = []
    for name, path in made.files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(path)
            if "PixelData" not in data:
                continue
            assert pixels(data).size, name
        # DCMTK has no JPEG 2000; its JPEG-LS reader is a program of its own.
        if (
            "jpeg_2000" in name
            or "htj2k" in name
            or data.file_meta.TransferSyntaxUID.startswith("1.2.840.10008.1.2.4.9")
        ):
            continue
        pictures.append(["dcml2pnm" if "jpeg_ls" in name else "dcmj2pnm", str(path), f"{path}.pnm"])
    assert len(pictures) > 20
    assert not failed([["dcmdump", "-q", *(str(path) for _, path in made.files)]])
    assert not failed(pictures)


@needs_dicom3tools
def test_produced_files_conform_no_worse_than_their_source(made: Made) -> None:
    known = conformance(made.source)
    # dciodvfy reads neither deflated files nor those of HTJ2K; what is left out on purpose, it misses.
    checked = [
        (name, path)
        for name, path in made.files
        if name not in UNKNOWN_TO_DCIODVFY and registry()[name].family != "DICOM absent"
    ]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(conformance, [path for _, path in checked]))
    assert len(checked) > 20
    problems = {name: errors - known for (name, _), errors in zip(checked, found, strict=True)}
    assert not {name: errors for name, errors in problems.items() if errors}
