"""The example vendors from training to answers, and the contract's own examples as they are printed."""

import csv
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from holdout import synthetic
from runners import admission, example_vendors, images
from runners.errors import ImageError
from runners.failures import FailureCode
from runners.limits import Limits
from runners.posture import Posture
from runners.worker import CaseInput, run_cases

SCORE = {"output": {"score": {"minimum": 0, "maximum": 1}}}
CONTRACT = (Path(images.__file__).parent / "WORKER.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def development(tmp_path_factory):
    folder = tmp_path_factory.mktemp("development") / "data"
    synthetic.generate(folder, patients=120, seed=5)
    return folder


@pytest.fixture(scope="module")
def base(engine):
    try:
        return images.base_image(engine)
    except ImageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def examination(engine, base, development, tmp_path_factory):
    """Return, per vendor, what became of the first images of the development folder."""

    def examine(name):
        folder = tmp_path_factory.mktemp(name)
        steps = []
        weights = folder / "weights.npz"
        training = example_vendors.train_example(
            name, development, "opacity", weights, lambda done, total: steps.append((done, total))
        )
        assert steps[-1][0] == steps[-1][1] == training.images
        image = example_vendors.example_image(engine, name, weights)
        again = example_vendors.example_image(engine, name, weights)
        assert (again.digest, again.made) == (image.digest, False)
        archive = images.save_image(engine, image, folder / "image.tar")
        admitted = admission.read_archive(archive)
        assert admitted.digest == image.digest
        assert admitted.warnings == ()
        admission.load(engine, archive, admitted.digest)
        paths = sorted((development / "dicom").rglob("*.dcm"))[:60]
        (folder / "input").mkdir()
        try:
            outcomes = list(
                run_cases(
                    engine,
                    admitted.digest,
                    posture=Posture(),
                    limits=Limits(),
                    cases=staged(folder / "staged", paths),
                    input_root=folder / "input",
                    task=SCORE,
                    user=admitted.run_user,
                )
            )
        finally:
            engine.remove_image(image.digest)
        archive.unlink()
        return training, dict(zip(paths, outcomes, strict=True))

    return examine


def staged(folder, paths):
    for number, path in enumerate(paths):
        directory = folder / f"case-{number}"
        directory.mkdir(parents=True)
        shutil.copy(path, directory / "000001.dcm")
        yield CaseInput(case=f"case-{number}", directory=directory, files=("000001.dcm",))


def labels_of(development):
    with (development / "reference.csv").open(newline="") as file:
        return {row["sop_instance_uid"]: int(row["opacity"]) for row in csv.DictReader(file)}


@pytest.mark.engine
def test_sound_vendor_answers_everything_and_has_learnt(development, examination):
    training, outcomes = examination("sound")
    assert training.out_of_fold_auroc > 0.7
    assert {outcome.failure for outcome in outcomes.values()} == {None}
    labels = labels_of(development)
    truth = np.array(
        [labels[pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID] for path in outcomes]
    )
    scores = np.array([outcome.answer["score"] for outcome in outcomes.values()])
    assert scores[truth == 1].mean() > scores[truth == 0].mean() + 0.1


@pytest.mark.engine
def test_brittle_vendor_dies_on_one_photometric_interpretation(examination):
    training, outcomes = examination("brittle")
    assert training.used < training.images
    for path, outcome in outcomes.items():
        inverted = pydicom.dcmread(path).PhotometricInterpretation == "MONOCHROME1"
        assert (outcome.failure is FailureCode.CRASHED) == inverted


def test_examples_are_known_by_name(tmp_path):
    assert example_vendors.example_names() == ("brittle", "sound")
    with pytest.raises(ImageError, match="Known: brittle, sound"):
        example_vendors.train_example("perfect", tmp_path, "label", tmp_path / "weights.npz")
    with pytest.raises(ImageError, match="failed"):
        example_vendors.train_example("sound", tmp_path, "label", tmp_path / "weights.npz")


@pytest.fixture
def imaging(monkeypatch):
    monkeypatch.syspath_prepend(str(example_vendors.EXAMPLES))
    yield importlib.import_module("imaging")
    sys.modules.pop("imaging")


def dicom(path, pixels, photometric, *, encoded=None):
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if encoded else ExplicitVRLittleEndian
    header.Rows, header.Columns = pixels.shape[:2]
    header.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = pixels.dtype.itemsize * 8
    header.HighBit, header.PixelRepresentation = header.BitsStored - 1, 0
    header.PhotometricInterpretation = photometric
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    header.PixelData = encapsulate([encoded]) if encoded else pixels.tobytes()
    header["PixelData"].VR = "OB" if encoded or header.BitsAllocated == 8 else "OW"
    header.save_as(path, enforce_file_format=True)
    return path


def test_images_of_every_kind_come_out_alike(imaging, tmp_path):
    rows, columns = np.mgrid[0:64, 0:48]
    grey = (rows * 2 + columns).astype(np.uint8)
    colour = np.stack([grey, 255 - grey, np.full_like(grey, 90)], axis=2)
    expected = colour @ np.array([0.299, 0.587, 0.114])

    plain = imaging.Picture(dicom(tmp_path / "a.dcm", grey, "MONOCHROME2")).grey
    inverted = imaging.Picture(dicom(tmp_path / "b.dcm", 255 - grey, "MONOCHROME1")).grey
    np.testing.assert_allclose(inverted - inverted.min(), plain - plain.min())
    wide = imaging.Picture(dicom(tmp_path / "c.dcm", grey.astype(np.uint16) * 16, "MONOCHROME2")).grey
    np.testing.assert_allclose(wide, plain * 16)

    rgb = imaging.Picture(dicom(tmp_path / "d.dcm", colour, "RGB"))
    np.testing.assert_allclose(rgb.grey, expected, atol=0.1)
    ybr = np.asarray(Image.fromarray(colour).convert("YCbCr"))
    np.testing.assert_allclose(
        imaging.Picture(dicom(tmp_path / "e.dcm", ybr, "YBR_FULL")).grey, expected, atol=3
    )
    for photometric in ("YBR_FULL_422", "RGB"):
        path = tmp_path / "f.jpg"
        Image.fromarray(colour).save(path, quality=98)
        jpeg = dicom(tmp_path / "f.dcm", colour, photometric, encoded=path.read_bytes())
        assert np.abs(imaging.Picture(jpeg).grey - expected).mean() < 4


def test_blur_keeps_the_mean_of_a_flat_image(imaging):
    np.testing.assert_allclose(imaging.blurred(np.full((64, 64), 3, np.float32), 10.8), 3, rtol=1e-5)


def snippet(language):
    return re.search(rf"```{language}\n(.*?)```", CONTRACT, re.DOTALL).group(1)


QUESTIONS = "".join(
    f'{{"case":"{case}","directory":"/input/{case}","files":["000001.dcm"]}}\n' for case in ("k7Qm", "x_-1")
)
ANSWERS = [
    '{"ready": true}',
    '{"case": "k7Qm", "answer": {"score": S}}',
    '{"case": "x_-1", "answer": {"score": S}}',
]


@pytest.mark.parametrize("language", ["python", "sh", "c"])
def test_the_contract_s_own_examples_work_as_printed(tmp_path, language):
    code = snippet(language)
    if language == "python":
        script = tmp_path / "worker.py"
        script.write_text("load = lambda: None\npredict = lambda model, paths: 0.25\n" + code)
        command = [sys.executable, script]
    elif language == "sh":
        classify = tmp_path / "classify"
        classify.write_text("#!/bin/sh\necho 0.25\n")
        classify.chmod(0o755)
        script = tmp_path / "worker.sh"
        script.write_text(code.replace("/opt/vendor/classify", str(classify)))
        command = ["sh", script]
    else:
        if shutil.which("gcc") is None:
            pytest.skip("gcc is missing")
        source = tmp_path / "worker.c"
        source.write_text(
            code + "double classify(const char *directory) { return directory[0] == '/' ? 0.25 : 1; }\n"
        )
        subprocess.run(["gcc", "-Wall", "-o", tmp_path / "worker", source], check=True)
        command = [tmp_path / "worker"]
    done = subprocess.run(command, input=QUESTIONS, capture_output=True, text=True, check=True, timeout=20)
    lines = done.stdout.replace("0.250000", "S").replace("0.25", "S").splitlines()
    assert lines == ANSWERS
