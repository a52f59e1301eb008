"""Truth from objects, end to end: segmentations of several segments and structure sets of series, reports of images.

SYNTHETIC series; what the container answers is drawn into their pixels, next to the truth and not upon it.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome.results import from_json
from tests.holdout import truth_objects as made
from tests.holdout.test_reference_reports import CYST, NODULE, planar, region, report, sr

pytestmark = pytest.mark.engine

VENDORS = Path(__file__).parent / "vendors"
DOCKERFILE = """FROM proctor/base
COPY NAME /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/NAME"]
"""
PATIENTS = 12
SHAPE = (4, 20, 24)
SPACING = (2.5, 0.8, 0.7)
PROTOCOL = """
proctor: protocol/1
name: NAME
title: Volumes of SYNTHETIC lesions
task: {kind: segmentation, target: NAME, unit: series}
output: {mask: {runs: 4096}}
boundary: {tolerance: 1, unit: mm}
intervals: {bootstrap_replicates: 200}
strata: [{attribute: reference.resampled}]
minimum: {positives: 2, negatives: 2, patients: 2}
limits: {seconds_per_case: 20, seconds_per_run: 600}
"""
REFERENCE = """
proctor: reference/1
labels:
  lesion: {mask: true, read: {form: segmentation, segment: {label: lesion}, on_mismatch: resample}}
  organ: {mask: true, read: {form: structure_set, roi: {name: organ}}}
method: {value: drawn}
"""


def box(place, sides):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[tuple(slice(at, at + side) for at, side in zip(place, sides, strict=True))] = True
    return mask


def patient(number, folder):
    """Write the images and objects of one patient; the true masks, and what the container will answer."""
    images = made.ct_series(
        f"P{number:02d}",
        slices=SHAPE[0],
        spacing=SPACING[1:],
        gap=SPACING[0],
        seed=number,
        numbers=[4, 2, 1, 3] if number % 2 else None,
    )
    lesion = box((1, 3 + number % 5, 4), (2, 6, 7))
    organ = box((0, 10, 8), (3, 9, 12))
    answer = box((1, 4 + number % 5, 5), (3, 6, 7))
    for image, plane in zip(images, answer, strict=True):
        noise = np.frombuffer(image.PixelData, "<u2").reshape(plane.shape) % 1000
        image.PixelData = (noise + 2000 * plane).astype("<u2").tobytes()
        image["PixelData"].VR = "OW"
    drawn_on, drawn = images, lesion
    if number % 4 == 0:
        # Drawn on a grid of half the gap, where each slice stands twice: the nearest of them is the same.
        drawn_on = made.ct_series(
            f"P{number:02d}",
            slices=2 * SHAPE[0],
            spacing=SPACING[1:],
            gap=SPACING[0] / 2,
            origin=(-10, -20, 30 - SPACING[0] / 4),
            seed=1000 + number,
        )
        for image in drawn_on:
            image.FrameOfReferenceUID = images[0].FrameOfReferenceUID
            image.StudyInstanceUID = images[0].StudyInstanceUID
        drawn = np.repeat(lesion, 2, axis=0)
    both = np.stack([~drawn, drawn], axis=-1).astype(np.uint8)
    corners = [(8, 10), (20, 10), (20, 19), (8, 19)]
    contours = [("CLOSED_PLANAR", made.in_patient(image, corners)) for image in images[:3]]
    made.save_all(folder / f"{number:02d}", images)
    made.save_all(
        folder / "objects",
        [
            made.segmentation(drawn_on, both, labels=("rest", "lesion")),
            made.structure_set(images, {"body": [], "organ": contours}),
        ],
    )
    return {"lesion": lesion, "organ": organ}, answer


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A workspace with the locked hold-out, and the true masks and answers."""
    folder = tmp_path_factory.mktemp("objects")
    drawn = [patient(number, folder / "data") for number in range(PATIENTS)]
    (folder / "reference.yaml").write_text(REFERENCE)
    home = folder / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(home))
        assert main(["-q", "init"]) == 0
        policy = home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
        ingest = ["holdout", "ingest", str(folder / "data"), "--name", "ct"]
        for command in (
            [*ingest, "--reference", str(folder / "reference.yaml")],
            ["holdout", "lock", "ct", "--unit", "series"],
        ):
            assert main(["-q", *command]) == 0, command
    return home, folder, drawn


def admit(engine, what, folder):
    name = f"threshold_{what}.py"
    files = {"Dockerfile": DOCKERFILE.replace("NAME", name).encode(), name: (VENDORS / name).read_bytes()}
    archive = save_image(engine, build_image(engine, f"proctor/test-{what}", files), folder / f"{what}.tar")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", what]) == 0


def test_masks_of_segmentations_and_structure_sets(site, engine, tmp_path, monkeypatch, capsys):
    home, folder, drawn = site
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    admit(engine, "volume", tmp_path)
    for label in ("lesion", "organ"):
        protocol = folder / f"{label}.yaml"
        protocol.write_text(PROTOCOL.replace("NAME", label))
        assert main(["-q", "protocol", "register", str(protocol)]) == 0
        asked = ["--holdout", "ct", "--submission", "volume", "--protocol", str(protocol)]
        assert main(["-q", "evaluate", *asked]) == 0
        (item,) = [each for each in evaluations(open_workspace(home)) if each.protocol_name == label]
        results = from_json((item.folder / "results.json").read_bytes())
        assert (results.flow.answered, results.flow.failed) == (PATIENTS, 0)
        estimates = {each.metric: each.value for each in results.analysis().estimates}
        pairs = [(truths[label], answer) for truths, answer in drawn]
        dice = [2 * (true & given).sum() / (true.sum() + given.sum()) for true, given in pairs]
        assert estimates["mean_dice"] == pytest.approx(np.mean(dice))
        checks = json.loads((item.folder / "selfchecks.json").read_bytes())
        assert [each["observed"] for each in checks] == [1.0, 0.0]
        page = (item.folder / "report.html").read_text()
        told = f"{label}: 3 of {PATIENTS} cases have a mask that lay on another grid"
        assert (told in page) == (label == "lesion")
    capsys.readouterr()
    assert main(["--json", "holdout", "show", "ct"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["versions"][0]["instances"] == PATIENTS * SHAPE[0]


NODULES = """
proctor: protocol/1
name: nodules
title: Nodules on SYNTHETIC images
task: {kind: detection, target: nodule, unit: image}
output: {findings: {most: 5, levels: 101}}
hits: {rule: iou, least: 0.5, rates: [0.5]}
intervals: {bootstrap_replicates: 200}
minimum: {positives: 2, negatives: 2, patients: 2}
limits: {seconds_per_case: 20, seconds_per_run: 600}
"""
REPORTS = """
proctor: reference/1
labels:
  nodule: {boxes: true, read: {form: report, finding: "SCT:27925004", absent: negative}}
method: {value: read by one radiologist}
"""


def test_findings_of_reports(site, engine, tmp_path, monkeypatch):
    home, _, _ = site
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    # Of nine nodules six are found, two are missed by a little, one by far; one cyst is none, two images are free.
    for number in range(12):
        (image,) = made.ct_series(f"N{number:02d}", slices=1, seed=2000 + number)
        bright = np.zeros((20, 24), dtype=bool)
        shift = 0 if number < 6 else 5
        if number != 8:
            bright[4:11, 3 + shift : 9 + shift] = True
        noise = np.frombuffer(image.PixelData, "<u2").reshape(bright.shape) % 1000
        image.PixelData = (noise + 2000 * bright).astype("<u2").tobytes()
        image["PixelData"].VR = "OW"
        made.save_all(tmp_path / "data", [image])
        outline = [(3.0, 4.0), (9.0, 4.0), (9.0, 11.0), (3.0, 11.0), (3.0, 4.0)]
        if number < 10:
            area = region(image, sr.GraphicTypeValues.POLYLINE, outline)
            made.save_all(
                tmp_path / "data", [report([image], [planar(area, NODULE if number < 9 else CYST)])]
            )
    (tmp_path / "reference.yaml").write_text(REPORTS)
    (tmp_path / "nodules.yaml").write_text(NODULES)
    admit(engine, "box", tmp_path)
    asked = ["--holdout", "ct2", "--submission", "box", "--protocol", str(tmp_path / "nodules.yaml")]
    for command in (
        ["holdout", "ingest", str(tmp_path / "data"), "--name", "ct2",
         "--reference", str(tmp_path / "reference.yaml")],
        ["holdout", "lock", "ct2"],
        ["protocol", "register", str(tmp_path / "nodules.yaml")],
        ["evaluate", *asked],
    ):  # fmt: skip
        assert main(["-q", *command]) == 0, command
    (item,) = [each for each in evaluations(open_workspace(home)) if each.protocol_name == "nodules"]
    results = from_json((item.folder / "results.json").read_bytes())
    assert (results.flow.answered, results.flow.failed) == (12, 0)
    estimates = {(each.metric, each.subject): each.value for each in results.analysis().estimates}
    assert estimates["froc_sensitivity", "0.5"] == pytest.approx(6 / 9)
    checks = json.loads((item.folder / "selfchecks.json").read_bytes())
    assert [each["observed"] for each in checks] == [1.0, 0.0]
    page = (item.folder / "report.html").read_text()
    assert "nodule: 3 of 12 cases are negative because no object says otherwise" in page
