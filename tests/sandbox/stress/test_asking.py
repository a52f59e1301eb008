"""One ask, made from the hold-out's own file: new identifiers each time, and nothing left beside it."""

import hashlib

import pydicom
import pytest

from holdout import synthetic
from holdout.staging import StageTask
from holdout.view import ViewPlan
from sandbox.stress.asking import CLEAN, AskTask, NotStaged, make_ask, pseudonym_of
from sandbox.stress.perturb import NotApplicable, PerturbedCase

PLAN = ViewPlan(attributes=("ViewPosition",))
IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two radiographs of two patients."""
    folder = tmp_path_factory.mktemp("made") / "data"
    synthetic.generate(folder, patients=10, seed=5)
    by_patient = {}
    for path in sorted((folder / "dicom").rglob("*.dcm")):
        by_patient.setdefault(pydicom.dcmread(path, stop_before_pixels=True).PatientID, path)
    return list(by_patient.values())[:2]


def task(folder, path, perturbation=CLEAN, severity=1, key=b"k" * 32, donor=None):
    def stage(source, name):
        return StageTask(
            pseudonym=name,
            case_key=key,
            source=str(source.parent),
            files=((source.name, hashlib.sha256(source.read_bytes()).hexdigest()),),
            destination=str(folder / ".view"),
        )

    return AskTask(
        case=stage(path, "case"),
        donor=None if donor is None else stage(donor, "donor"),
        perturbation=perturbation,
        severity=severity,
        stable_case="c1",
        seed=1,
        key=key,
        folder=str(folder / "ask"),
    )


def read(folder):
    return pydicom.dcmread(folder / "ask" / "000001.dcm")


def test_two_asks_about_one_case_share_pixels_and_no_identifier(files, tmp_path):
    images = []
    for number, key in enumerate((b"k" * 32, b"l" * 32)):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = make_ask(task(folder, files[0], key=key), plan=PLAN)
        assert isinstance(made, PerturbedCase)
        images.append(read(folder))
        assert images[-1].PatientID == made.pseudonym == pseudonym_of(key, CLEAN, 1, "c1")
        assert [path.name for path in folder.iterdir()] == ["ask"]
    source = pydicom.dcmread(files[0])
    assert images[0].PixelData == images[1].PixelData == source.PixelData
    for name in IDENTIFIERS:
        assert len({str(image[name].value) for image in (*images, source)}) == 3, name


def test_a_donor_gives_the_pixels_and_the_case_the_header(files, tmp_path):
    made = make_ask(task(tmp_path, files[0], "header_of_another_patient", donor=files[1]), plan=PLAN)
    assert isinstance(made, PerturbedCase)
    assert read(tmp_path).PixelData == pydicom.dcmread(files[1]).PixelData
    assert [path.name for path in tmp_path.iterdir()] == ["ask"]


def test_what_does_not_apply_or_was_altered_is_told_and_leaves_nothing(files, tmp_path):
    assert isinstance(make_ask(task(tmp_path, files[0], "ct_dose"), plan=PLAN), NotApplicable)
    altered = tmp_path / "altered"
    altered.mkdir()
    copy = altered / "image.dcm"
    copy.write_bytes(files[0].read_bytes())
    given = task(tmp_path, copy, "dr_gamma")
    copy.write_bytes(copy.read_bytes()[:-2] + b"\0\1")
    assert make_ask(given, plan=PLAN) == NotStaged(code="altered")
    assert [path.name for path in tmp_path.iterdir()] == ["altered"]
