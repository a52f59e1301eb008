"""Nodules in CT series, end to end: lesions in mm from a table, points in the patient as answers, LUNA16's rule.

SYNTHETIC series of bright spheres, straight and askew, that a container finds by a threshold. What it should score is
counted here from what was planted: no place of the answers is looked at.
"""

import csv
import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome.results import from_json
from tests.end_to_end.test_detection import VENDORS
from tests.holdout import truth_objects as made

pytestmark = pytest.mark.engine

PATIENTS, SLICES, ROWS, COLUMNS = 18, 14, 48, 56
SPACING, GAP = (0.8, 0.7), 2.0
TURNS = (made.AXIAL, (0.8, 0.6, 0.0, 0.0, 0.0, -1.0), (1.0, 0.0, 0.0, 0.0, 0.8, 0.6))
DOCKERFILE = """FROM proctor/base
COPY threshold_nodules.py mha.py /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/threshold_nodules.py", "%s"]
"""
MHA = VENDORS.parents[1] / "runners/contracts/vendors/mha.py"
GRAND_CHALLENGE = [
    *("--contract", "grand-challenge", "--contract-file", str(VENDORS / "ct_inputs.yaml")),
    *("--answer", "nodules.json"),
]
PROTOCOL = """
proctor: protocol/1
name: nodules
title: Nodules on synthetic CT
task: {kind: detection, target: nodule, unit: series}
output: {findings: {form: points_in_volume, most: 8, levels: 4001}}
hits: {rule: radius, rates: [0.125, 0.25, 0.5, 1, 2, 4, 8]}
intervals: {bootstrap_replicates: 200}
strata: [{attribute: patient_sex}]
minimum: {positives: 3, negatives: 3, patients: 3}
acceptance:
  - {name: found, metric: froc_sensitivity, subject: "0.25", bound: value, at_least: 0.5}
  - {name: score, metric: cpm, bound: value, at_least: 0.5}
limits: {seconds_per_case: 30, seconds_per_run: 600}
"""
# As LUNA16's annotations.csv: a row for each nodule, none for scans without.
REFERENCE = """
proctor: reference/1
table: annotations.csv
key: {series_instance_uid: seriesuid}
labels:
  nodule: {lesions: spheres, columns: [coordX, coordY, coordZ, diameter_mm], absent: negative}
method: {value: planted}
"""


def plant(number):
    """A series and its spheres: (column, row, slice) of the middle, radius in mm, brightness, whether a nodule."""
    orientation = TURNS[number % len(TURNS)]
    images = made.ct_series(
        f"N{number:03d}", slices=SLICES, rows=ROWS, columns=COLUMNS, spacing=SPACING, gap=GAP,
        orientation=orientation, seed=number, origin=(-120.0 + number, 35.5, -700.25),
        numbers=random.Random(number).sample(range(1, SLICES + 1), SLICES),
    )  # fmt: skip
    generator = np.random.default_rng(number)
    values = generator.integers(0, 300, (SLICES, ROWS, COLUMNS))
    planted = []
    # Far enough apart that no two hang together; brightness 0 is a nodule that the container cannot see.
    spots = [(12.0, 12.0, 3.5), (40.0, 34.0, 9.0), (14.0, 36.0, 10.5)]
    wanted = {
        0: [(4.0, 3000 + number, True)],
        1: [],
        2: [(3.0, 2500 + number, True), (3.5, 0, True), (3.0, 1500 + number, False)],
        3: [(3.0, 2000 + number, False)],
        4: [(3.5, 1800 + number, True), (4.0, 2800 + number, True)],
        5: [],
    }[number % 6]
    slice_, row, column = np.indices(values.shape)
    for (x, y, z), (radius, brightness, nodule) in zip(spots, wanted, strict=False):
        away = np.sqrt(
            ((column - x) * SPACING[1]) ** 2 + ((row - y) * SPACING[0]) ** 2 + ((slice_ - z) * GAP) ** 2
        )
        if brightness:
            values[away <= radius] = brightness
        planted.append(((x, y, z), radius, brightness, nodule))
    for image, plane in zip(images, values, strict=True):
        image.PatientSex = "MF"[number % 2]
        image.PixelData = plane.astype("<u2").tobytes()
        image["PixelData"].VR = "OW"
    return images, planted


def middle(images, place):
    """LPS mm of (column, row, slice), between elements too (PS3.3 C.7.6.2.1.1)."""
    column, row, number = place
    along, down = np.reshape(images[0].ImageOrientationPatient, (2, 3)).astype(float)
    start = np.array(images[0].ImagePositionPatient, dtype=float)
    step = np.array(images[1].ImagePositionPatient, dtype=float) - start
    return start + column * SPACING[1] * along + row * SPACING[0] * down + number * step


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A workspace with a locked hold-out of series, and what was planted in each."""
    folder = tmp_path_factory.mktemp("nodules")
    rows, truth = [("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")], []
    for number in range(PATIENTS):
        images, planted = plant(number)
        made.save_all(folder / "data" / f"{number:03d}", images)
        truth.append(planted)
        for place, radius, _, nodule in planted:
            if nodule:
                centre = (round(float(at), 4) for at in middle(images, place))
                rows.append((images[0].SeriesInstanceUID, *centre, 2 * radius))
    with (folder / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "reference.yaml").write_text(REFERENCE)
    (folder / "protocol.yaml").write_text(PROTOCOL)
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
            ["protocol", "register", str(folder / "protocol.yaml")],
        ):
            assert main(["-q", *command]) == 0, command
    return home, folder, truth


@pytest.mark.parametrize(
    ("contract", "options"), [("worker", []), ("grand-challenge", GRAND_CHALLENGE)], ids=["worker", "gc"]
)
def test_nodules_are_found_where_they_lie_in_the_patient(
    scans, engine, tmp_path, monkeypatch, contract, options
):
    home, folder, truth = scans
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    script = (VENDORS / "threshold_nodules.py").read_bytes()
    files = {
        "Dockerfile": (DOCKERFILE % contract).encode(),
        "threshold_nodules.py": script,
        "mha.py": MHA.read_bytes(),
    }
    image, vendor = build_image(engine, f"proctor/test-nodules-{contract}", files), f"nodules-{contract}"
    archive = save_image(engine, image, tmp_path / "nodules.tar")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", vendor, *options]) == 0
    asked = ["--holdout", "ct", "--submission", vendor, "--protocol", str(folder / "protocol.yaml")]
    assert main(["-q", "evaluate", *asked]) == 0
    (item,) = [each for each in evaluations(open_workspace(home)) if each.vendor == vendor]
    assert item.state == "finished"
    results = from_json((item.folder / "results.json").read_bytes())
    assert (results.flow.answered, results.flow.failed) == (PATIENTS, 0)
    assert (results.verdict, results.task) == ("met", "detection")

    every = [each for planted in truth for each in planted]
    found = np.array([brightness for *_, brightness, nodule in every if nodule and brightness])
    false = np.array([brightness for *_, brightness, nodule in every if not nodule])
    lesions = sum(nodule for *_, nodule in every)
    thresholds = sorted({*found, *false}, reverse=True)
    alarms = [0, *((false >= each).sum() / PATIENTS for each in thresholds)]
    shares = [0, *((found >= each).sum() / lesions for each in thresholds)]
    estimates = {(each.metric, each.subject): each.value for each in results.analysis().estimates}
    for rate in (0.125, 0.25, 0.5, 1.0):
        reached = max(share for alarm, share in zip(alarms, shares, strict=True) if alarm <= rate)
        assert estimates["froc_sensitivity", f"{rate:g}"] == pytest.approx(reached)
    # LUNA16's score: straight lines between the points of the curve, and its end beyond them.
    at = np.interp([0.125, 0.25, 0.5, 1, 2, 4, 8], alarms, shares)
    assert estimates["cpm", None] == pytest.approx(at.mean())
    assert 0.5 < estimates["cpm", None] < len(found) / lesions < 1
    tops = {True: [], False: []}
    for planted in truth:
        seen = [brightness for *_, brightness, _ in planted]
        tops[any(nodule for *_, nodule in planted)].append(max(seen, default=0))
    sick, well = np.array(tops[True]), np.array(tops[False])
    above = (sick[:, None] > well).mean() + (sick[:, None] == well).mean() / 2
    assert estimates["case_auroc", None] == pytest.approx(above)

    checks = json.loads((item.folder / "selfchecks.json").read_bytes())
    assert [each["observed"] for each in checks] == [1.0, 0.0]
    scored = pq.read_table(item.folder / "scored.parquet").to_pylist()
    assert sorted(row["reference"] for row in scored) == sorted(
        sum(nodule for *_, nodule in planted) for planted in truth
    )
    page = (item.folder / "report.html").read_text()
    assert "own radius (LUNA16)" in page
    assert "cases are negative because no row is about them" in page
    assert "pixels" not in page.split("A finding hits a lesion when")[1][:300]
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    assert main(["-q", "verify", str(dossier), "--key", open_workspace(home).verifier_key]) == 0


def test_a_table_in_other_coordinates_is_refused_at_the_lock(scans, tmp_path, monkeypatch, capsys):
    _, folder, _ = scans
    with (folder / "annotations.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    with (tmp_path / "annotations.csv").open("w", newline="") as file:
        # RAS, as tools outside of DICOM have it: x and y of the other sign.
        turned = [(uid, -float(x), -float(y), z, size) for uid, x, y, z, size in rows]
        csv.writer(file).writerows([head, *turned])
    (tmp_path / "reference.yaml").write_text(REFERENCE)
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "workspace"))
    assert main(["-q", "init"]) == 0
    reference = ["--reference", str(tmp_path / "reference.yaml")]
    assert main(["-q", "holdout", "ingest", str(folder / "data"), "--name", "ras", *reference]) == 0
    assert main(["-q", "holdout", "lock", "ras", "--unit", "series"]) != 0
    assert "lie beyond the images" in capsys.readouterr().err
