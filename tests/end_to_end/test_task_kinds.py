"""Tasks beyond one binary score, on real photographs: diagnosis (seven classes), age group in order, lesion area.

The hold-out is a part of HAM10000; each container answers from a table made here, so that what must come out is known.
"""

import csv
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from runners.images import build_image, save_image
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_workspace
from sandbox.outcome.results import from_json

pytestmark = pytest.mark.engine

DATA = Path(__file__).parents[3] / "shared/data/ham10000-200"
VENDORS = Path(__file__).parent / "vendors"
DOCKERFILE = b"""FROM proctor/base
COPY oracle_numbers.py table.json /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/oracle_numbers.py"]
"""
CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
AGES = ("0-29", "30-44", "45-59", "60-74", "75+")
PER_CLASS = 12
LARGEST = 30_000

HEAD = """
proctor: protocol/1
name: NAME
title: TITLE
intervals: {bootstrap_replicates: 200}
strata: [{attribute: patient_sex}]
minimum: {positives: 3, negatives: 3, patients: 3}
limits: {seconds_per_case: 10, seconds_per_run: 600}
"""
PROTOCOLS = {
    "diagnosis": f"""
task: {{kind: multiclass, target: dx, unit: image}}
output: {{classes: {{names: [{", ".join(CLASSES)}], levels: 101}}}}
acceptance:
  - {{name: melanoma, metric: auroc, subject: mel, bound: lower, at_least: 0.6}}
  - {{name: agreement, metric: cohen_kappa, bound: lower, at_least: 0.3}}
""",
    "age": f"""
task: {{kind: ordinal, target: age_group, unit: image}}
output: {{grades: {{names: [{", ".join(f"'{each}'" for each in AGES)}]}}}}
acceptance: [{{name: agreement, metric: quadratic_kappa, bound: lower, at_least: 0.3}}]
""",
    "area": f"""
task: {{kind: measurement, target: mask_pixels, unit: image}}
output: {{value: {{minimum: 0, maximum: {LARGEST}, levels: {LARGEST + 1}, unit: px}}}}
acceptance: [{{name: concordance, metric: concordance_correlation, bound: lower, at_least: 0.8}}]
""",
}


@dataclass(frozen=True)
class Skin:
    """A workspace with a locked hold-out, and the truth by hash of the pixels."""

    home: Path
    truth: dict
    protocols: dict


def chosen_rows():
    """A dozen lesions of each diagnosis, one image each, with a known age."""
    with (DATA / "metadata.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["age_group"] in AGES]
    found, lesions = {name: [] for name in CLASSES}, set()
    for row in rows:
        if row["patient_id"] not in lesions and len(found[row["dx"]]) < PER_CLASS:
            lesions.add(row["patient_id"])
            found[row["dx"]].append(row)
    return [row for each in found.values() for row in each]


@pytest.fixture(scope="module")
def skin(tmp_path_factory):
    if not DATA.is_dir():
        pytest.skip("../shared/data/ham10000-200 is missing")
    folder = tmp_path_factory.mktemp("skin")
    rows = chosen_rows()
    source = folder / "source"
    (source / "images").mkdir(parents=True)
    for row in rows:
        for name in (row["file"], row["mask"]):
            (source / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(DATA / name, source / name)
    with (source / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    data, home = folder / "data", folder / "workspace"
    protocols = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(home))
        assert (
            main(["-q", "holdout", "import", str(source), "--mapping", "ham10000-200", "-o", str(data)]) == 0
        )
        truth = write_reference(data, {row["file"]: row for row in rows})
        assert main(["-q", "init"]) == 0
        reference = ["--reference", str(data / "kinds.yaml"), "--site", str(data / "site.yaml")]
        assert main(["-q", "holdout", "ingest", str(data / "dicom"), "--name", "skin", *reference]) == 0
        assert main(["-q", "holdout", "lock", "skin"]) == 0
        policy = home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
        for name, text in PROTOCOLS.items():
            path = folder / f"{name}.yaml"
            path.write_text(HEAD.replace("NAME", name).replace("TITLE", name) + text)
            assert main(["-q", "protocol", "register", str(path)]) == 0
            protocols[name] = path
    return Skin(home=home, truth=truth, protocols=protocols)


def write_reference(data, rows):
    """Write a reference standard with a class, a grade and a number; give the truth by hash of the pixels."""
    truth = {}
    with (
        (data / "acquisition.csv").open(newline="") as file,
        (data / "kinds.csv").open("w", newline="") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(["sop_instance_uid", "dx", "age_group", "mask_pixels"])
        for image in csv.DictReader(file):
            row = rows[image["source_file"]]
            writer.writerow([image["sop_instance_uid"], row["dx"], row["age_group"], row["mask_pixels"]])
            pixels = pydicom.dcmread(data / "dicom" / image["file"]).PixelData
            frame = pixels[pixels.find(b"\xff\xd8") : pixels.rfind(b"\xff\xd9") + 2]
            truth[hashlib.sha256(frame).hexdigest()] = row
    (data / "kinds.yaml").write_text(
        "proctor: reference/1\ntable: kinds.csv\nkey: {sop_instance_uid: sop_instance_uid}\n"
        "labels:\n  dx: {column: dx}\n  age_group: {column: age_group}\n  mask_pixels: {column: mask_pixels}\n"
        "method: {value: consensus}\n"
    )
    return truth


def evaluate(skin, engine, tmp_path, monkeypatch, name, answers):
    """Evaluate a container that answers from the table; give the evaluation and its results."""
    monkeypatch.setenv("PROCTOR_HOME", str(skin.home))
    files = {
        "Dockerfile": DOCKERFILE,
        "oracle_numbers.py": (VENDORS / "oracle_numbers.py").read_bytes(),
        "table.json": json.dumps(answers, sort_keys=True).encode(),
    }
    archive = save_image(engine, build_image(engine, f"proctor/test-{name}", files), tmp_path / f"{name}.tar")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", name]) == 0
    path = str(skin.protocols[name])
    main(["-q", "evaluate", "--holdout", "skin", "--submission", name, "--protocol", path])
    (item,) = [each for each in evaluations(open_workspace(skin.home)) if each.vendor == name]
    assert item.state == "finished"
    return item, from_json((item.folder / "results.json").read_bytes())


def holds(skin, item, tmp_path):
    """Whether the dossier of an evaluation holds, read without the workspace."""
    dossier = tmp_path / f"{item.id}.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    return main(["-q", "verify", str(dossier), "--key", open_workspace(skin.home).verifier_key]) == 0


def test_seven_diagnoses(skin, engine, tmp_path, monkeypatch):
    generator = np.random.default_rng(5)
    answers, right = {}, 0
    for pixels, row in skin.truth.items():
        logits = generator.normal(0, 1, 7)
        logits[CLASSES.index(row["dx"])] += 2
        share = np.round(np.exp(logits) / np.exp(logits).sum(), 2)
        answers[pixels] = dict(zip(CLASSES, share.tolist(), strict=True))
        right += CLASSES[int(np.argmax(share))] == row["dx"]
    item, results = evaluate(skin, engine, tmp_path, monkeypatch, "diagnosis", answers)
    estimates = {(each.metric, each.subject): each for each in results.analysis().estimates}
    assert estimates["accuracy", None].successes == right
    assert estimates["accuracy", None].n == 7 * PER_CLASS
    assert results.flow.failed == 0
    assert [len(results.analysis().tables[0].rows), sum(map(sum, results.analysis().tables[0].counts))] == [
        7,
        84,
    ]
    assert results.verdict in ("met", "cannot_tell")
    assert [each.subject for each in results.acceptance] == ["mel", None]
    page = (item.folder / "report.html").read_text()
    assert "Each class against all others" in page
    assert "no answer" in page
    checks = json.loads((item.folder / "selfchecks.json").read_bytes())
    assert [each["observed"] for each in checks] == [1.0, 0.5]
    assert holds(skin, item, tmp_path)


def test_an_age_group_and_a_grade_between_two_grades(skin, engine, tmp_path, monkeypatch):
    generator = np.random.default_rng(6)
    answers = {}
    for pixels, row in skin.truth.items():
        grade = AGES.index(row["age_group"]) + int(generator.integers(-1, 2))
        answers[pixels] = {"grade": min(4, max(0, grade))}
    strange = sorted(answers)[0]
    answers[strange] = {"grade": 1.5}
    item, results = evaluate(skin, engine, tmp_path, monkeypatch, "age", answers)
    assert [(each.code, each.cases) for each in results.flow.failures] == [("out_of_range", 1)]
    estimates = {each.metric: each for each in results.analysis().estimates if each.subject is None}
    assert estimates["within_one_agreement"].successes == len(answers) - 1
    assert 0.3 < estimates["quadratic_kappa"].value < 1
    assert holds(skin, item, tmp_path)


def test_a_lesion_area(skin, engine, tmp_path, monkeypatch):
    answers = {
        pixels: {"value": min(LARGEST, int(row["mask_pixels"]) + (200 if int(pixels[:4], 16) % 2 else 100))}
        for pixels, row in skin.truth.items()
    }
    item, results = evaluate(skin, engine, tmp_path, monkeypatch, "area", answers)
    estimates = {each.metric: each for each in results.analysis().estimates}
    expected = np.mean([answers[p]["value"] - int(row["mask_pixels"]) for p, row in skin.truth.items()])
    assert estimates["bias"].value == pytest.approx(expected, abs=1e-6)
    assert results.verdict == "met"
    assert results.measure_unit == "px"
    assert "Bland and Altman" in (item.folder / "report.html").read_text()
    assert holds(skin, item, tmp_path)
