"""Lesions as boxes, end to end: a table with a row for each lesion, lists of findings as answers, FROC in the report.

The boxes are those of real outlines; which photographs count as free of lesions is made up here.
"""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome import stress_results
from sandbox.outcome.results import from_json

pytestmark = pytest.mark.engine

DATA = Path(__file__).parents[3] / "shared/data/ham10000-200"
VENDORS = Path(__file__).parent / "vendors"
DOCKERFILE = b"""FROM proctor/base
COPY oracle_numbers.py table.json /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/oracle_numbers.py"]
"""
IMAGES = 40
PROTOCOL = """
proctor: protocol/1
name: lesions
title: Lesions as boxes
task: {kind: detection, target: lesion, unit: image}
output: {findings: {most: 5, levels: 101}}
hits: {rule: iou, least: 0.5, rates: [0.25, 1]}
intervals: {bootstrap_replicates: 200}
strata: [{attribute: patient_sex}]
minimum: {positives: 3, negatives: 3, patients: 3}
acceptance:
  - {name: found, metric: froc_sensitivity, subject: "0.25", bound: value, at_least: 0.5}
  - {name: cases, metric: case_auroc, bound: value, at_least: 0.5}
limits: {seconds_per_case: 20, seconds_per_run: 600}
"""
REFERENCE = """
proctor: reference/1
table: boxes.csv
key: {sop_instance_uid: uid}
labels: {lesion: {column: box, boxes: true}}
method: {value: outline}
"""


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


@pytest.fixture(scope="module")
def skin(tmp_path_factory):
    """A workspace with a locked hold-out; the boxes of each image by hash of its pixels."""
    if not DATA.is_dir():
        pytest.skip("../shared/data/ham10000-200 is missing")
    folder = tmp_path_factory.mktemp("boxes")
    with (DATA / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:IMAGES]
    source = folder / "source"
    for row in rows:
        for name in (row["file"], row["mask"]):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(DATA / name, source / name)
    with (source / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    home, data, protocol = folder / "workspace", folder / "data", folder / "lesions.yaml"
    protocol.write_text(PROTOCOL)
    truth = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(home))
        assert main(["-q", "init"]) == 0
        policy = home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
        imported = ["holdout", "import", str(source), "--mapping", "ham10000-200", "-o", str(data)]
        assert main(["-q", *imported]) == 0
        masks = {row["file"]: row["mask"] for row in rows}
        table = [("uid", "box")]
        with (data / "acquisition.csv").open(newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                image = pydicom.dcmread(data / "dicom" / row["file"])
                box = box_of(np.asarray(Image.open(DATA / masks[row["source_file"]])) > 0)
                # One in two has a lesion; of these, some have a small second one in the corner.
                boxes = [] if number % 2 else [box, [190, 140, 198, 148]] if number % 8 == 0 else [box]
                table += [(image.SOPInstanceUID, " ".join(map(str, each))) for each in boxes]
                table += [] if boxes else [(image.SOPInstanceUID, "none")]
                content = image.PixelData
                frame = content[content.find(b"\xff\xd8") : content.rfind(b"\xff\xd9") + 2]
                truth[hashlib.sha256(frame).hexdigest()] = boxes
        with (data / "boxes.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table)
        (data / "boxes.yaml").write_text(REFERENCE)
        for command in (
            [
                "holdout",
                "ingest",
                str(data / "dicom"),
                "--name",
                "skin",
                "--reference",
                str(data / "boxes.yaml"),
            ],
            ["holdout", "lock", "skin"],
            ["protocol", "register", str(protocol)],
        ):
            assert main(["-q", *command]) == 0, command
    return home, protocol, truth


def test_boxes_against_boxes(skin, engine, tmp_path, monkeypatch):
    home, protocol, truth = skin
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    answers, found, false, lesions = {}, [], [], 0
    tops = {True: [], False: []}
    for number, (pixels, boxes) in enumerate(sorted(truth.items())):
        lesions += len(boxes)
        listed = []
        if boxes and number % 5:
            score = 0.5 + number % 40 / 100
            left, top, right, bottom = boxes[0]
            # A little off: far above the least overlap; and the same lesion once more, which counts for nothing.
            listed += [([left, top, right, bottom - 0.5], score), ([left, top, right, bottom], score - 0.1)]
            found.append(score)
        if number % 3 == 0:
            listed.append(([0, 0, 3, 3], round(0.2 + number / 100, 2)))
            false.append(round(0.2 + number / 100, 2))
        tops[bool(boxes)].append(max((score for _, score in listed), default=-1))
        answers[pixels] = {
            "findings": {
                "boxes": [corner for box, _ in listed for corner in box],
                "scores": [s for _, s in listed],
            }
        }
    files = {
        "Dockerfile": DOCKERFILE,
        "oracle_numbers.py": (VENDORS / "oracle_numbers.py").read_bytes(),
        "table.json": json.dumps(answers, sort_keys=True).encode(),
    }
    archive = save_image(engine, build_image(engine, "proctor/test-boxes", files), tmp_path / "boxes.tar")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", "boxes"]) == 0
    main(["-q", "evaluate", "--holdout", "skin", "--submission", "boxes", "--protocol", str(protocol)])
    (item,) = evaluations(open_workspace(home))
    assert item.state == "finished"
    results = from_json((item.folder / "results.json").read_bytes())
    assert results.flow.failed == 0
    estimates = {(each.metric, each.subject): each.value for each in results.analysis().estimates}

    # The same figures straight from their definitions; the fifth of a half was found twice, which counts once.
    thresholds = sorted({*found, *false})
    for rate in (0.25, 1.0):
        reached = [
            np.sum(np.array(found) >= t) / lesions
            for t in [2, *thresholds]
            if np.sum(np.array(false) >= t) <= rate * IMAGES
        ]
        assert estimates["froc_sensitivity", f"{rate:g}"] == pytest.approx(max(reached))
    precision, last = 0.0, 0
    for t in reversed(thresholds):
        hits = int(np.sum(np.array(found) >= t))
        precision += (hits - last) * hits / (hits + int(np.sum(np.array(false) >= t))) / lesions
        last = hits
    assert estimates["average_precision", None] == pytest.approx(precision)
    sick, well = np.array(tops[True]), np.array(tops[False])
    above = (sick[:, None] > well).mean() + (sick[:, None] == well).mean() / 2
    assert estimates["case_auroc", None] == pytest.approx(above)
    assert 0 < estimates["wafroc", None] < 1

    checks = json.loads((item.folder / "selfchecks.json").read_bytes())
    assert [each["observed"] for each in checks] == [1.0, 0.0]
    page = (item.folder / "report.html").read_text()
    assert "FROC: lesions found against false positives" in page
    assert "At each rate of false positives" in page
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    assert main(["-q", "verify", str(dossier), "--key", open_workspace(home).verifier_key]) == 0


STRESS = """
stress:
  patients: 12
  perturbations:
    - {name: contrast, severities: [3]}
    - {name: private_tags_added}
    - {name: zero_byte}
"""


def test_findings_that_other_light_takes_away(skin, engine, tmp_path, monkeypatch):
    """A container that knows the clean pixels, and finds nothing in others."""
    home, _, truth = skin
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    protocol = tmp_path / "stressed.yaml"
    protocol.write_text(PROTOCOL.replace("name: lesions", "name: stressed") + STRESS)
    answers = {
        pixels: {"findings": {"boxes": [side for box in boxes for side in box], "scores": [0.9] * len(boxes)}}
        for pixels, boxes in truth.items()
    }
    script = (VENDORS / "oracle_numbers.py").read_bytes()
    blind = script.replace(
        b'{"refused": "out_of_scope"} if', b'{"answer": {"findings": {"boxes": [], "scores": []}}} if'
    )
    assert blind != script
    files = {
        "Dockerfile": DOCKERFILE,
        "oracle_numbers.py": blind,
        "table.json": json.dumps(answers, sort_keys=True).encode(),
    }
    archive = save_image(engine, build_image(engine, "proctor/test-blind", files), tmp_path / "blind.tar")
    assert main(["-q", "protocol", "register", str(protocol)]) == 0
    assert main(["-q", "submission", "admit", str(archive), "--vendor", "blind"]) == 0
    main(["-q", "evaluate", "--holdout", "skin", "--submission", "blind", "--protocol", str(protocol)])
    (item,) = [each for each in evaluations(open_workspace(home)) if each.vendor == "blind"]
    found = stress_results.from_json((item.folder / "stress.json").read_bytes())
    assert {test.name: test.verdict for test in found.tests} == {
        "clean": "equal",
        "contrast": "outside",
        "private_tags_added": "equal",
        "zero_byte": "refused",
    }
    assert (found.patients, found.positives) == (12, 6)
    (change,) = [each for each in found.test("contrast").cells[0].estimates if each.metric == "wafroc_change"]
    # Every lesion was found, and none is: as good as chance.
    assert change.value == pytest.approx(-0.5)
    assert main(["-q", "report", item.id]) == 0
    assert "1 of 3 perturbations break it" in (item.folder / "report.html").read_text()
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    assert main(["-q", "verify", str(dossier), "--key", open_workspace(home).verifier_key]) == 0
