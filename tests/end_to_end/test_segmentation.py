"""Outlines of real lesions, end to end: masks sealed as truth, run lengths as answers, a container that thresholds."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image
from scipy import ndimage

from holdout.mask_runs import decode, from_numbers
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
COPY NAME /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/NAME"]
"""
IMAGES = 40
PROTOCOL = """
proctor: protocol/1
name: outline
title: Outline of pigmented lesions
task: {kind: segmentation, target: lesion, unit: image}
output: {mask: {runs: 4096}}
boundary: {tolerance: 2, unit: px}
intervals: {bootstrap_replicates: 200}
strata: [{attribute: patient_sex}]
minimum: {positives: 3, negatives: 3, patients: 3}
acceptance: [{name: overlap, metric: mean_dice, bound: lower, at_least: 0.5}]
limits: {seconds_per_case: 20, seconds_per_run: 600}
"""


@pytest.fixture(scope="module")
def lesions(tmp_path_factory):
    """A workspace with a locked hold-out of photographs and their masks, and the source's rows by patient."""
    if not DATA.is_dir():
        pytest.skip("../shared/data/ham10000-200 is missing")
    folder = tmp_path_factory.mktemp("lesions")
    with (DATA / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:IMAGES]
    source = folder / "source"
    for part in ("images", "masks"):
        (source / part).mkdir(parents=True)
    for row in rows:
        shutil.copyfile(DATA / row["file"], source / row["file"])
        shutil.copyfile(DATA / row["mask"], source / row["mask"])
    with (source / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    home, data, protocol = folder / "workspace", folder / "data", folder / "outline.yaml"
    protocol.write_text(PROTOCOL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(home))
        assert main(["-q", "init"]) == 0
        policy = home / "policy.yaml"
        policy.write_text(policy.read_text().replace("mlflow: local", "mlflow: off"))
        for command in (
            ["holdout", "import", str(source), "--mapping", "ham10000-200", "-o", str(data)],
            ["holdout", "ingest", str(data / "dicom"), "--name", "skin",
             "--reference", str(data / "reference.yaml"), "--site", str(data / "site.yaml")],
            ["holdout", "lock", "skin"],
            ["protocol", "register", str(protocol)],
        ):  # fmt: skip
            assert main(["-q", *command]) == 0, command
    return home, data, protocol, rows


def evaluate(lesions, engine, tmp_path, monkeypatch, name, script, protocol=None):
    home, _, registered, _ = lesions
    protocol = protocol or registered
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    files = {"Dockerfile": DOCKERFILE.replace(b"NAME", f"{name}.py".encode()), f"{name}.py": script}
    archive = save_image(engine, build_image(engine, f"proctor/test-{name}", files), tmp_path / f"{name}.tar")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", name]) == 0
    main(["-q", "evaluate", "--holdout", "skin", "--submission", name, "--protocol", str(protocol)])
    (item,) = [each for each in evaluations(open_workspace(home)) if each.vendor == name]
    assert item.state == "finished"
    return item, from_json((item.folder / "results.json").read_bytes())


def test_a_threshold_against_the_sealed_outlines(lesions, engine, tmp_path, monkeypatch):
    home, data, _, rows = lesions
    script = (VENDORS / "threshold_mask.py").read_bytes()
    item, results = evaluate(lesions, engine, tmp_path, monkeypatch, "threshold", script)
    assert results.flow.failed == 0
    assert results.measure_unit == "px"

    # Dice and volumes of all cases again, from the files of the source and the stored answers alone.
    answered = pq.read_table(item.folder / "predictions.parquet").to_pylist()
    truths = {
        pydicom.dcmread(data / "dicom" / row["file"], specific_tags=["SOPInstanceUID"]).SOPInstanceUID: row
        for row in csv.DictReader((data / "acquisition.csv").open(newline=""))
    }
    true = [np.asarray(Image.open(DATA / row["mask"])) > 0 for row in rows]
    answers = [decode(from_numbers(row["levels"])) for row in answered]
    assert len(truths) == len(answers) == IMAGES
    # Which answer belongs to which file is what the join must know: matched here by the numbers kept of it.
    scored = {row["case_id"]: row for row in pq.read_table(item.folder / "scored.parquet").to_pylist()}
    dice = []
    for row, answer in zip(answered, answers, strict=True):
        kept = scored[row["case_id"]]
        assert kept["answer:volume"] == answer.sum()
        same = [mask for mask in true if mask.sum() == kept["reference"]]
        assert any(
            2 * (mask & answer).sum() / (mask.sum() + answer.sum()) == pytest.approx(kept["answer:dice"])
            for mask in same
        )
        dice.append(kept["answer:dice"])
        assert kept["truth:objects"] == ndimage.label(same[0], np.ones((3, 3)))[1]
    estimates = {each.metric: each for each in results.analysis().estimates}
    assert estimates["mean_dice"].value == pytest.approx(np.mean(dice))
    assert estimates["mean_dice"].low < np.mean(dice) < estimates["mean_dice"].high
    assert estimates["median_dice"].value == pytest.approx(np.median(dice))
    assert 0.5 < estimates["mean_dice"].value < 1
    assert estimates["volume_bias"].value == pytest.approx(
        np.mean([each.sum() for each in answers]) - np.mean([each.sum() for each in true])
    )
    checks = json.loads((item.folder / "selfchecks.json").read_bytes())
    assert [(each["observed"], each["measure"]) for each in checks] == [
        (1.0, "mean Dice"),
        (0.0, "mean Dice"),
    ]
    page = (item.folder / "report.html").read_text()
    assert "HD95" in page
    assert "voxel-border family" in page
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    assert main(["-q", "verify", str(dossier), "--key", open_workspace(home).verifier_key]) == 0
    # Neither the masks nor what a case was worth stand in what leaves the workspace with the report.
    assert "answer:dice" not in page


WRONG = b"""
import json, sys
print(json.dumps({"ready": True}), flush=True)
for number, line in enumerate(sys.stdin):
    case = json.loads(line)["case"]
    answers = [
        {"shape": [200, 150], "runs": [30000]},
        {"shape": [150, 200], "runs": [29999]},
        {"shape": [150, 200], "runs": [30000]},
        {"shape": [150, 200], "runs": [0, 30000]},
    ]
    print(json.dumps({"case": case, "answer": {"mask": answers[number % 4]}}), flush=True)
"""


def test_masks_on_another_grid_and_masks_that_miss(lesions, engine, tmp_path, monkeypatch):
    _item, results = evaluate(lesions, engine, tmp_path, monkeypatch, "wrong", WRONG)
    # Turned by ninety degrees, and too short, are failures; empty and full are answers. Which case gets which is
    # chance, and a container that is replaced begins anew.
    ((code, failed),) = [(each.code, each.cases) for each in results.flow.failures]
    assert code == "out_of_range"
    assert 15 <= failed <= 25
    worst, excluded = results.analyses
    table = worst.tables[0]
    (full, empty, lost), nothing = table.counts
    assert (full + empty + lost, lost, nothing) == (IMAGES, failed, (0, 0, 0))
    assert full > 0 < empty
    values = {each.metric: each.value for each in worst.estimates}
    without = {each.metric: each.value for each in excluded.estimates}
    # A miss counts the image's diagonal, as a failure does.
    assert values["mean_hd95"] > without["mean_hd95"] > 20
    assert values["mean_dice"] < without["mean_dice"] < 0.5
    assert values["failure_rate"] == failed / IMAGES
    assert results.verdict == "not_met"


STRESS = """
stress:
  patients: 40
  perturbations:
    - {name: contrast, severities: [3, 5]}
    - {name: private_tags_added}
    - {name: constant, severities: [3]}
    - {name: zero_byte}
    - {name: repeat_fresh_container}
"""
ASKS_EACH = 7


def test_light_breaks_the_mask_of_one_container_and_not_of_another(lesions, engine, tmp_path, monkeypatch):
    home = lesions[0]
    protocol = tmp_path / "stressed.yaml"
    protocol.write_text(PROTOCOL.replace("name: outline", "name: stressed") + STRESS)
    monkeypatch.setenv("PROCTOR_HOME", str(home))
    assert main(["-q", "protocol", "register", str(protocol)]) == 0
    script = (VENDORS / "threshold_mask.py").read_bytes()
    fixed = script.replace(b"blue <= otsu(blue)", b"blue <= 120")
    assert fixed != script
    verdicts = {}
    for name, content in (("adaptive", script), ("fixed", fixed)):
        item, results = evaluate(lesions, engine, tmp_path, monkeypatch, name, content, protocol)
        assert results.flow.failed == 0
        found = stress_results.from_json((item.folder / "stress.json").read_bytes())
        verdicts[name] = {test.name: test.verdict for test in found.tests}
        clean, strongest = found.test("clean").cells[0], found.test("contrast").cells[1]
        # All patients are asked: which ones a smaller sample held would be chance.
        assert (clean.cases, clean.different, strongest.cases) == (found.patients, 0, found.patients)

        # What is kept is numbers: the change again from them, and no run length anywhere.
        kept = pq.read_table(item.folder / "stress.parquet")
        assert kept.num_rows == ASKS_EACH * found.patients
        assert "levels" not in kept.column_names
        journal = [json.loads(line) for line in (item.folder / "stress.jsonl").read_bytes().splitlines()]
        assert {each["levels"] for each in journal} == {None}
        scored = {row["case_id"]: row for row in pq.read_table(item.folder / "scored.parquet").to_pylist()}
        change = [
            row["answer:dice"] - scored[row["case_id"]]["answer:dice"]
            for row in kept.to_pylist()
            if (row["perturbation"], row["severity"]) == ("contrast", 5)
        ]
        (estimate,) = [each for each in strongest.estimates if each.metric == "dice_change"]
        assert estimate.value == pytest.approx(np.mean(change))

        assert main(["-q", "report", item.id]) == 0
        page = (item.folder / "report.html").read_text()
        assert f"{1 if name == 'adaptive' else 2} of 5 perturbations break it" in page
        assert "Change of mean Dice by severity" in page
        dossier = tmp_path / f"{name}.zip"
        assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
        assert main(["-q", "verify", str(dossier), "--key", open_workspace(home).verifier_key]) == 0
    assert verdicts["fixed"]["contrast"] == "outside"
    assert verdicts["adaptive"]["contrast"] in ("equal", "within")
    for found in verdicts.values():
        assert {name: verdict for name, verdict in found.items() if name != "contrast"} == {
            "clean": "equal",
            "private_tags_added": "equal",
            "constant": "answered_nonsense",
            "zero_byte": "refused",
            "repeat_fresh_container": "equal",
        }
