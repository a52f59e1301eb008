"""``compare``, ``compare-readers`` and ``holdout power`` on finished evaluations, through the real commands."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from holdout import synthetic
from holdout.lock import open_reference
from sandbox.asking import predictions
from sandbox.commands.main import main
from sandbox.custody import holdouts
from sandbox.institution.workspace import open_ledger, open_workspace, write_json
from sandbox.outcome.results import to_json
from sandbox.outcome.scored import scored_cases
from sandbox.plan import protocols
from sandbox.scoring.score import score

PROTOCOL = """
proctor: protocol/1
name: {name}
title: Opacity on synthetic radiographs
task: {{kind: binary, target: opacity, unit: image}}
output: {{score: {{minimum: 0, maximum: 1, levels: 101}}}}
operating_points: [{{name: default, threshold: 0.5}}]
intervals: {{bootstrap_replicates: 200}}
strata: [{{attribute: manufacturer}}]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A workspace with a locked hold-out and three finished evaluations whose answers were drawn here."""
    folder = tmp_path_factory.mktemp("site")
    synthetic.generate(folder / "data", patients=40, seed=7)
    (folder / "protocol.yaml").write_text(PROTOCOL.format(name="plan"))
    data = folder / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(folder / "workspace"))
        reference = ["--reference", str(data / "reference.yaml"), "--site", str(data / "site.yaml")]
        for command in (
            ["init"],
            ["holdout", "ingest", str(data / "dicom"), "--name", "cxr", *reference],
            ["holdout", "lock", "cxr"],
            ["protocol", "register", str(folder / "protocol.yaml")],
        ):
            assert main(["--quiet", *command]) == 0, command
        workspace = open_workspace(folder / "workspace")
        for index, (vendor, strength) in enumerate((("acme", 4.0), ("bolt", 3.5), ("core", 0.3))):
            finish(workspace, f"{index}{'e' * 15}", vendor, strength, index)
    return folder


def finish(workspace, identifier, vendor, strength, seed, root=None):
    """Write the files of a finished evaluation, with scores of the given strength."""
    locked = holdouts.open_holdout(workspace, "cxr")
    plan = protocols.find(workspace, "plan")
    truth = open_reference(locked, holdouts.reference_key(workspace, locked))
    label = dict(zip(truth["case_id"].to_pylist(), truth["opacity"].to_pylist(), strict=True))
    # In order of the truth: names of cases are drawn anew with every workspace, answers must not be.
    ids = sorted(locked.cases["case_id"].to_pylist(), key=lambda case: label[case] or 0)
    random = np.random.default_rng(seed)
    logit = np.array([strength * (float(label[case] or 0) - 0.5) for case in ids]) + random.normal(
        size=len(ids)
    )
    level = np.round(100 / (1 + np.exp(-logit))).astype(int)
    rows = (
        predictions.Prediction(case_id=case, levels=(int(one),), failure=None)
        for case, one in zip(ids, level, strict=True)
    )
    folder = workspace.home / "evaluations" / identifier
    folder.mkdir()
    predictions.write(rows, folder / "predictions.parquet")
    answered = predictions.read(folder / "predictions.parquet")
    table = scored_cases(locked.cases, truth, answered, plan.protocol)
    write_json(
        folder / "identity.json",
        {
            "holdout": "cxr", "version": locked.version, "root": root or locked.root, "vendor": vendor,
            "submission": "sha256:" + "a" * 64, "protocol": plan.digest, "policy": "x", "code": "y",
        },
    )  # fmt: skip
    pq.write_table(table, folder / "scored.parquet")
    (folder / "results.json").write_bytes(to_json(score(table, plan.protocol, identifier)))
    write_json(folder / "finished.json", {"verdict": None, "entry": 1, "time": "2026-01-01T00:00:00Z"})


def run(site, monkeypatch, capsys, *words):
    monkeypatch.setenv("PROCTOR_HOME", str(site / "workspace"))
    code = main(["-q", "--json", *words])
    out = capsys.readouterr()
    return code, json.loads(out.out) if out.out else None, out.err


def looks(site):
    with open_ledger(open_workspace(site / "workspace")) as ledger:
        return list(ledger.find(kind="reference-opened"))


def test_three_evaluations_are_compared_ranked_and_told(site, monkeypatch, capsys, tmp_path):
    before = len(looks(site))
    page = tmp_path / "page.html"
    code, data, _ = run(site, monkeypatch, capsys, "compare", "0e", "1e", "2e", "-o", str(page))
    assert code == 0
    assert data["names"] == ["acme", "bolt", "core"]
    aurocs = [pair for pair in data["pairs"] if pair["endpoint"] == "auroc"]
    assert len(aurocs) == 3
    # Two submissions that rank every pair of cases alike differ by exactly nothing, and have no p.
    told = [pair for pair in aurocs if pair["difference"]["p"] is not None]
    assert told
    assert all(pair["p_adjusted"] >= pair["difference"]["p"] for pair in told)
    assert data["rankings"][0]["ranks"][-1]["name"] == "core"
    assert "<script" not in page.read_text()
    assert "acme" in page.read_text()
    entries = looks(site)[before:]
    assert [item.detail["purpose"] for item in entries] == ["comparison"] * 3


def test_the_margin_decides_the_exit_code(site, monkeypatch, capsys):
    better, _, _ = run(
        site, monkeypatch, capsys, "compare", "0e", "2e", "--metric", "auroc", "--margin", "0.05"
    )
    worse, data, _ = run(
        site, monkeypatch, capsys, "compare", "2e", "0e", "--metric", "auroc", "--margin", "0.05"
    )
    unclear, _, _ = run(
        site, monkeypatch, capsys, "compare", "0e", "1e", "--metric", "auroc", "--margin", "0.000001"
    )
    assert (better, worse, unclear) == (0, 1, 5)
    assert data["pairs"][0]["verdict"] == "inferior"
    code, data, _ = run(
        site, monkeypatch, capsys, "compare", "0e", "2e", "--metric", "auroc", "--metric", "specificity",
        "--fixed-sequence",
    )  # fmt: skip
    assert code == 0
    assert [step["name"] for step in data["sequence"]] == ["auroc", "specificity@default"]


def test_what_cannot_be_compared_is_refused(site, monkeypatch, capsys):
    workspace = open_workspace(site / "workspace")
    finish(workspace, "f" * 16, "other", 1.0, 9, root="0" * 64)
    before = len(looks(site))
    code, _, err = run(site, monkeypatch, capsys, "compare", "0e", "ff")
    assert code == 3
    assert "another hold-out version" in err
    assert run(site, monkeypatch, capsys, "compare", "0e", "0e")[0] == 2
    assert run(site, monkeypatch, capsys, "compare", "0e")[0] == 2
    assert run(site, monkeypatch, capsys, "compare", "0e", "1e", "--metric", "beauty")[0] == 2
    assert run(site, monkeypatch, capsys, "compare", "0e", "1e", "--metric", "ppv@nowhere")[0] == 2
    (workspace.home / "evaluations" / ("f" * 16) / "finished.json").unlink()
    assert run(site, monkeypatch, capsys, "compare", "0e", "ff")[0] == 3
    assert len(looks(site)) == before


def test_readers_of_the_same_cases(site, monkeypatch, capsys, tmp_path):
    table = pq.read_table(site / "workspace/evaluations" / ("0" + "e" * 15) / "scored.parquet")
    # Names of cases are drawn anew by each lock; readers see the cases in the order of what the algorithm said.
    table = table.sort_by([("reference", "ascending"), ("score", "ascending")])
    random = np.random.default_rng(3)
    rows = ["case_id,reader,score,condition"]
    for condition, strength in (("alone", 1.0), ("aided", 2.0)):
        for reader in ("r1", "r2", "r3", "r4", "r5", "r6"):
            rows += [
                f"{case},{reader},{strength * truth + random.normal():.3f},{condition}"
                for case, truth in zip(
                    table["case_id"].to_pylist(), table["reference"].to_pylist(), strict=True
                )
                if truth is not None
            ]
    path = tmp_path / "readers.csv"
    path.write_text("\n".join(rows) + "\n")
    code, data, _ = run(site, monkeypatch, capsys, "compare-readers", "0e", str(path), "--margin", "0.1")
    assert code == 0
    assert data["conditions"] == ["aided", "alone"]
    assert {item["verdict"] for item in data["against"]} <= {"superior", "non_inferior"}
    assert data["against"][1]["result"]["value"] > 0
    assert data["conditions_compared"]["differences"][0]["value"] > 0
    assert looks(site)[-1].detail["purpose"] == "reader-study"
    code, _, err = run(site, monkeypatch, capsys, "compare-readers", "0e", str(path), "--method", "dbm")
    assert (code, "independent" in err) == (2, True)
    patients = dict(zip(table["patient_key"].to_pylist(), table["case_id"].to_pylist(), strict=True))
    alone = tmp_path / "alone.csv"
    alone.write_text(
        "\n".join([rows[0], *(r for r in rows[1:] if r.split(",")[0] in patients.values())]) + "\n"
    )
    data = run(site, monkeypatch, capsys, "compare-readers", "0e", str(alone))[1]
    others = {}
    for method in ("dbm", "u-statistics"):
        code, others[method], _ = run(
            site, monkeypatch, capsys, "compare-readers", "0e", str(alone), "--method", method
        )
        assert code == 0
        (other,) = others[method]["conditions_compared"]["differences"]
        (first,) = data["conditions_compared"]["differences"]
        assert other["value"] == pytest.approx(first["value"], abs=1e-6)
        # The analysis of variance counts a negative component as 0; the U-statistics are unbiased and do not.
        tolerance = {"dbm": 0.06, "u-statistics": 15}[method]
        assert other["error"] == pytest.approx(first["error"], rel=tolerance)
    assert others["dbm"]["against"][0]["result"]["method"] == "one-against-random-readers-jackknife"
    assert others["u-statistics"]["conditions_compared"]["method"] == "u-statistics"
    assert run(site, monkeypatch, capsys, "compare-readers", "0e", str(alone), "--method", "anova")[0] == 2
    path.write_text("\n".join([*rows, rows[1]]) + "\n")
    assert run(site, monkeypatch, capsys, "compare-readers", "0e", str(path))[0] == 2
    path.write_text("case_id,reader,score\nnobody,r1,0.5\n")
    code, _, err = run(site, monkeypatch, capsys, "compare-readers", "0e", str(path))
    assert code == 2
    assert "line 2" in err
    path.write_text("case_id,reader\nx,r1\n")
    assert run(site, monkeypatch, capsys, "compare-readers", "0e", str(path))[0] == 2


def test_a_result_under_uncertain_truth(site, monkeypatch, capsys, tmp_path):
    table = pq.read_table(site / "workspace/evaluations" / ("0" + "e" * 15) / "scored.parquet")
    random = np.random.default_rng(4)
    rows = ["case_id,reader,score"]
    for reader in ("r1", "r2", "r3"):
        rows += [
            f"{case},{reader},{int(truth) ^ int(random.random() < 0.1)}"
            for case, truth in zip(table["case_id"].to_pylist(), table["reference"].to_pylist(), strict=True)
            if truth is not None
        ]
    path = tmp_path / "readers.csv"
    path.write_text("\n".join(rows) + "\n")
    words = ["reader-truth", "0e", "--readings", str(path), "--error-rate", "0.02", "--error-rate", "0.1"]
    code, data, _ = run(site, monkeypatch, capsys, *words)
    assert code == 0
    assert [band["metric"] for band in data["bands"]] == ["auroc", "sensitivity", "specificity"]
    for band in data["bands"]:
        assert (
            band["rates"][1]["lowest"]
            <= band["rates"][0]["lowest"]
            <= band["seen"]
            <= band["rates"][0]["highest"]
        )
    assert [item["truth"] for item in data["by_truth"][0]["each_reader"]] == ["r1", "r2", "r3"]
    assert 0.4 < data["agreement"][0]["value"] < 0.9
    assert looks(site)[-1].detail["purpose"] == "truth-study"
    assert run(site, monkeypatch, capsys, "reader-truth", "0e")[0] == 2
    assert (
        run(site, monkeypatch, capsys, "reader-truth", "0e", "--error-rate", "0.1", "--point", "none")[0] == 2
    )


def test_panels_with_an_adjudicator_a_part_of_the_cases_or_grades(site, monkeypatch, capsys, tmp_path):
    table = pq.read_table(site / "workspace/evaluations" / ("0" + "e" * 15) / "scored.parquet")
    random = np.random.default_rng(5)
    known = [
        (case, int(truth), score)
        for case, truth, score in zip(
            *(table[name].to_pylist() for name in ("case_id", "reference", "score")), strict=True
        )
        if truth is not None
    ]
    head, path = "case_id,reader,score", tmp_path / "readers.csv"
    # Readers saw all cases with a high score, and every third of the rest.
    seen = [
        (case, truth) for i, (case, truth, score) in enumerate(known) if (score or 0) >= 0.5 or i % 3 == 0
    ]
    rows = [
        f"{case},{reader},{truth ^ int(random.random() < wrong)}"
        for reader, wrong in (("r1", 0.1), ("r2", 0.1), ("r3", 0.1), ("chief", 0.0))
        for case, truth in seen
    ]
    path.write_text("\n".join([head, *rows]) + "\n")
    words = ["reader-truth", "0e", "--readings", str(path)]
    adjudicated = [*words, "--rule", "adjudicated", "--adjudicator", "chief", "--partial-verification"]
    code, data, _ = run(site, monkeypatch, capsys, *adjudicated)
    assert code == 0
    assert [each["coefficient"] for each in data["agreement"]][1] == "fleiss-kappa"
    assert [each["readers"] for each in data["agreement"]] == [3, 3]
    assert [each["truth"] for each in data["by_truth"][0]["each_reader"]] == ["r1", "r2", "r3"]
    checked = data["verification"]
    assert checked["verified_called"] == checked["called"]
    assert checked["verified_not_called"] < checked["not_called"]
    assert 0 <= checked["sensitivity"]["low"] <= checked["sensitivity"]["value"] <= 1
    before = len(looks(site))
    assert run(site, monkeypatch, capsys, *words, "--rule", "adjudicated")[0] == 2
    assert run(site, monkeypatch, capsys, *words, "--rule", "adjudicated", "--adjudicator", "x")[0] == 2
    assert len(looks(site)) == before
    grades = [
        f"{case},{reader},{truth + random.normal():.2f}" for reader in ("a", "b") for case, truth, _ in known
    ]
    path.write_text("\n".join([head, *grades]) + "\n")
    code, data, _ = run(site, monkeypatch, capsys, *words)
    assert code == 0
    assert [each["coefficient"] for each in data["agreement"]][1] == "icc-2,1"
    assert data["by_truth"] == []
    assert "grades" in data["notes"][-1]


def test_power_from_counts_alone(site, monkeypatch, capsys):
    before = len(looks(site))
    words = ["holdout", "power", "cxr", "--target", "opacity", "--by", "manufacturer", "--margin", "0.7"]
    code, data, _ = run(
        site, monkeypatch, capsys, *words, "--readers", "8", "--pilot", "0.0008,0.00035,0.00034,0.00024,0.0002,114",
        "--curve", "50:0.70,100:0.76,200:0.80,400:0.83,800:0.85",
    )  # fmt: skip
    assert code == 0
    whole = data["support"]["overall"]["counts"]
    groups = [group["counts"] for group in data["support"]["groups"]]
    assert sum(group["positives"] for group in groups) == whole["positives"] > 0
    assert data["reader_study"]["power"] >= 0.8
    assert data["learning_curve"]["predictions"][0]["value"] == pytest.approx(0.85, abs=0.01)
    assert [item.detail["purpose"] for item in looks(site)[before:]] == ["power"]
    by_protocol, other, _ = run(site, monkeypatch, capsys, "holdout", "power", "cxr", "--protocol", "plan")
    assert by_protocol == 0
    assert len(other["support"]["groups"]) == len(groups)


def test_wrong_numbers_cost_no_look(site, monkeypatch, capsys):
    before = len(looks(site))
    for words in (
        ["--readers", "8"],
        ["--curve", "50:0.7"],
        ["--readers", "2", "--pilot", "0.0008,0.00035,0.00034,0.00024,0.01,114", "--difference", "0.01"],
    ):
        assert (
            run(site, monkeypatch, capsys, "holdout", "power", "cxr", "--target", "opacity", *words)[0] == 2
        )
    assert run(site, monkeypatch, capsys, "holdout", "power", "cxr")[0] == 2
    assert len(looks(site)) == before
