"""Every perturbation on one real file of each modality, staged as for a container, read by three other programs."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import warnings
from pathlib import Path

import pydicom
import pytest

from holdout.view import ViewError, ViewPlan, build, read_source
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturb import perturbed_files
from sandbox.stress.registry import registry

ZOO = Path(__file__).parents[4] / "shared" / "data" / "dicom-zoo"
MODALITIES = ("CR", "CT", "DX", "MG", "MR", "NM", "OP", "PT", "US", "XA", "XC")
NAMED = ("PatientSex", "PatientAge", "ViewPosition", "Laterality", "KVP", "EchoTime", "RepetitionTime")
BROKEN_ON_PURPOSE = {"truncated_file", "zero_byte"}
needs_zoo = pytest.mark.skipif(not ZOO.is_dir(), reason="../shared/data/dicom-zoo is missing")
needs_dcmtk = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None, reason="DCMTK (dcmdump, dcmj2pnm) is missing"
)


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


def conformance(path: Path) -> set[str]:
    """Errors that dciodvfy (dicom3tools) finds; empty where it is not installed."""
    if shutil.which("dciodvfy") is None:
        return set()
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, timeout=60, check=False)
    return {line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.startswith("Error")}


@needs_zoo
@needs_dcmtk
@pytest.mark.parametrize("modality", MODALITIES)
def test_produced_files_open_everywhere_and_conform_no_worse_than_their_source(
    modality: str, tmp_path: Path
) -> None:
    content = staged(modality)
    source, made_path = tmp_path / "source.dcm", tmp_path / "made.dcm"
    source.write_bytes(content)
    known = conformance(source)
    made_count = 0
    problems = []
    for name, entry in registry().items():
        if entry.function is None:
            continue
        try:
            made = perturbed_files(
                [("1.dcm", content)], entry, len(entry.severities), case="c", seed=1, key=b"k" * 32,
                donor=[("1.dcm", content)],
            )  # fmt: skip
        except NotApplicableError:
            continue
        made_count += 1
        if name in BROKEN_ON_PURPOSE:
            continue
        for _, written in made.files:
            made_path.write_bytes(written)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = pydicom.dcmread(made_path)
                if "PixelData" in data:
                    assert data.pixel_array.size, name
            if subprocess.run(["dcmdump", "-q", str(made_path)], capture_output=True, check=False).returncode:
                problems.append((name, "dcmdump"))
            # DCMTK has no JPEG 2000; its JPEG-LS reader is a program of its own.
            if (
                "PixelData" in data
                and "jpeg_2000" not in name
                and not data.file_meta.TransferSyntaxUID.startswith("1.2.840.10008.1.2.4.9")
            ):
                program = "dcml2pnm" if "jpeg_ls" in name else "dcmj2pnm"
                done = subprocess.run(
                    [program, str(made_path), str(tmp_path / "o.pnm")], capture_output=True, check=False
                )
                if done.returncode:
                    problems.append((name, program))
            # dciodvfy does not read deflated files; what is left out on purpose, it misses.
            if name != "as_deflated" and entry.family != "DICOM absent":
                problems += [(name, error) for error in conformance(made_path) - known]
    assert made_count > 30
    assert not problems
