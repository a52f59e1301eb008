"""Real images of each modality under the whole suite of that modality, read by a real container.

Each ask goes the way of an evaluation: the file is staged, perturbed and put to a warm container, which opens it with
pydicom. What it answers must be what the files hold; only what nobody can read may be refused.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pydicom
import pytest

from holdout.bounded import BoundedPool, Failure
from holdout.staging import StageTask
from holdout.view import ViewPlan
from runners.failures import FailureCode
from runners.images import build_image
from runners.limits import MIB, Limits
from runners.posture import Posture
from runners.worker import CaseInput, run_cases
from sandbox.stress.asking import AskTask, NotStaged, make_ask
from sandbox.stress.perturb import NotApplicable, PerturbedCase
from sandbox.stress.suites import SHIPPED, load_suite, resolved
from tests.sandbox.stress.cases import pixels

ZOO = Path(__file__).parents[3] / "shared" / "data" / "dicom-zoo"
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not ZOO.is_dir(), reason="../shared/data/dicom-zoo is missing"),
]
SUITES = {
    "CT": "ct", "MR": "mr", "US": "us", "CR": "dr", "DX": "dr", "MG": "dr", "XA": "dr", "RF": "dr", "NM": "nm",
    "PT": "nm", "XC": "photographs", "OP": "photographs",
}  # fmt: skip
SEVERITIES = {1, 3, 5}
MOST_SLICES, LARGE, LARGEST = 6, 700_000, 3_000_000
NO_IMAGE = {"zero_byte", "encapsulated_pdf", "truncated_file"}
# pydicom's permissively licensed plugins end at 8 bits of JPEG.
NOT_IN_PYDICOM = {"lossy_jpeg_12_bit"}
NAMED = ("PatientSex", "PatientAge", "ViewPosition", "Laterality", "KVP", "EchoTime", "RepetitionTime")
PLAN = ViewPlan(attributes=NAMED)
SCORE = {"output": {"score": {"minimum": -1e6, "maximum": 1e6}}}
DOCKERFILE = b"""FROM proctor/base
COPY . /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "/vendor/mean_of_pixels.py"]
"""
_LIBRARIES = ("pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm")
_USED = (".py", ".txt", ".json", "METADATA")


@pytest.fixture(scope="session")
def reader(engine) -> str:
    """The image of the container that reads, with this environment's pydicom and decoders."""
    script = Path(__file__).with_name("vendors") / "mean_of_pixels.py"
    files = {"Dockerfile": DOCKERFILE, "mean_of_pixels.py": script.read_bytes()}
    for name in _LIBRARIES:
        for path in distribution(name).files or ():
            if ".." not in path.parts and (path.name.endswith(_USED) or ".so" in path.name):
                files[f"libraries/{path}"] = Path(str(path.locate())).read_bytes()
    return build_image(engine, "proctor/test-mean", files).digest


def sources(modality: str) -> list[list[Path]]:
    """Images of a modality in the zoo, most slices first, then smallest: the files of each series."""
    with (ZOO / "MANIFEST.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["modality"] == modality]
    series = defaultdict(list)
    for row in rows:
        if (
            row["kind"] == "real"
            and row["rows"].isdigit()
            and int(row["rows"]) >= 64
            and int(row["size"]) < LARGEST
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(ZOO / row["file"], stop_before_pixels=True, force=True)
                uid = header.get("SeriesInstanceUID") or row["file"]
            series[(uid, row["rows"], row["columns"], row["sop_class_uid"])].append(ZOO / row["file"])
    return sorted(
        (paths[:MOST_SLICES] for paths in series.values()), key=lambda each: (-len(each), size(each))
    )


def size(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def task(files: list[Path], name: str, severity: int, folder: Path) -> AskTask:
    def staged(pseudonym: str) -> StageTask:
        return StageTask(
            pseudonym=pseudonym,
            case_key=b"k" * 32,
            source=str(ZOO),
            files=tuple(
                (str(path.relative_to(ZOO)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files
            ),
            destination=f"{folder}.work",
        )

    return AskTask(
        case=staged("case"), donor=staged("donor"), perturbation=name, severity=severity, stable_case="c",
        seed=1, key=b"k" * 32, folder=str(folder),
    )  # fmt: skip


def usable(modality: str, folder: Path) -> list[Path]:
    """The first case of the zoo that can be staged and decoded."""
    for number, files in enumerate(sources(modality)):
        made = make_ask(task(files, "blur", 1, folder / f"try{number}"), plan=PLAN)
        if isinstance(made, PerturbedCase):
            return files
    pytest.skip(f"the zoo has no image of {modality} that can be staged")


def held(folder: Path, files: tuple[str, ...]) -> float:
    """Mean of all pixel values, or NaN where there are none."""
    total, count = 0.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in files:
            try:
                array = pixels(pydicom.dcmread(folder / name))
            except Exception:
                return float("nan")
            total, count = total + float(array.sum(dtype=np.float64)), count + array.size
    return total / count


@pytest.mark.parametrize("modality", SUITES)
def test_a_container_reads_every_perturbed_case_of_a_modality(engine, reader, modality, tmp_path) -> None:
    files = usable(modality, tmp_path)
    # A mammogram takes as long as forty slices of CT: the middle of each ladder is enough.
    chosen = SEVERITIES if size(files) < LARGE * len(files) else {3}
    asked = [
        task(files, entry.name, severity, tmp_path / f"{number:03d}x{severity}")
        for number, (entry, severities) in enumerate(
            resolved(load_suite(SHIPPED / f"{SUITES[modality]}.yaml"))
        )
        if entry.function is not None
        for severity in severities
        if severity in chosen or len(entry.severities) == 1
    ]
    expected: dict[str, tuple[str, float]] = {}

    def made() -> Iterator[CaseInput]:
        with BoundedPool(
            partial(make_ask, plan=PLAN), processes=1, memory_bytes=4 << 30, seconds_per_task=60.0
        ) as pool:
            for each, result in pool.map(asked, ordered=True):
                assert not isinstance(result, Failure | NotStaged), (each.perturbation, result)
                if isinstance(result, NotApplicable):
                    continue
                folder = Path(each.folder)
                expected[folder.name] = each.perturbation, held(folder, result.files)
                yield CaseInput(case=folder.name, directory=folder, files=result.files)

    limits = Limits(memory_bytes=512 * MIB, seconds_to_ready=60, seconds_per_case=30)
    root = tmp_path / "input"
    root.mkdir()
    outcomes = list(
        run_cases(engine, reader, posture=Posture(), limits=limits, cases=made(), input_root=root, task=SCORE)
    )
    assert len(outcomes) == len(expected) > 50
    for outcome in outcomes:
        name, value = expected[outcome.case]
        if name in NO_IMAGE | NOT_IN_PYDICOM and outcome.failure is not None:
            assert outcome.failure is FailureCode.REFUSED, (name, outcome.failure)
        else:
            assert outcome.failure is None, (name, outcome.failure)
            assert outcome.answer["score"] == pytest.approx(value, rel=1e-6, abs=1e-6), name
    refused = {expected[outcome.case][0] for outcome in outcomes if outcome.failure is not None}
    assert {"zero_byte", "encapsulated_pdf"} <= refused
    # The first container lived through everything.
    assert {outcome.container for outcome in outcomes} == {1}
