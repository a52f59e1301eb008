"""The labelled sets with their baseline scores: the traps that their READMEs name must show."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pytest

from sandbox.outcome.results import Association, Results, from_json, to_json
from sandbox.plan.protocol import Protocol
from sandbox.scoring.score import score

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def run(name: str, label: str, scores: str, strata: list[dict]) -> Results:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the data set {name} is not beside the repository (shared/data/{name})")
    metadata, baseline = (csv.read_csv(folder / f) for f in ("metadata.csv", "baseline_scores.csv"))
    rows = metadata.join(baseline.select(["file", scores]).rename_columns(["file", "answer"]), "file")
    columns = {
        "case_id": rows["file"],
        "patient_key": rows["patient_id"],
        "reference": rows[label],
        "score": rows["answer"],
        "failure": pa.nulls(rows.num_rows, pa.string()),
    }
    columns |= {stratum["attribute"]: rows[stratum["attribute"]] for stratum in strata}
    protocol = Protocol(
        proctor="protocol/1",
        name=name,
        title=name,
        task={"kind": "binary", "target": label, "unit": "image"},
        operating_points=({"name": "half", "threshold": 0.5},),
        strata=tuple(strata),
    )
    return score(pa.table(columns), protocol, "evaluation")


def association(results: Results, attribute: str) -> Association:
    return next(a for a in results.analysis().associations if a.attribute == attribute)


def auroc(results: Results, attribute: str, level: str):
    stratum = next(s for s in results.analysis().strata if (s.attribute, s.level) == (attribute, level))
    return stratum.estimates[0]


def test_ham10000_falls_within_histology():
    results = run(
        "ham10000-200",
        "malignant",
        "score",
        [{"attribute": "dx_type"}, {"attribute": "sex"}, {"attribute": "age", "bands": (0, 40, 60, 120)}],
    )
    overall = results.analysis().estimates[0]
    assert overall.value == pytest.approx(0.804, abs=0.005)
    assert overall.patients == 2092
    assert auroc(results, "dx_type", "histo").value == pytest.approx(0.662, abs=0.005)
    assert auroc(results, "dx_type", "follow_up").status == "undefined"
    trap = association(results, "dx_type")
    assert trap.flagged
    assert trap.drop_shown
    assert trap.conditional.value == pytest.approx(0.662, abs=0.005)
    assert trap.drop.low > 0.1
    assert trap.attribute_auroc.value > trap.chance
    harmless = association(results, "sex")
    assert not harmless.flagged
    assert not harmless.drop_shown
    assert association(results, "age").flagged
    assert from_json(to_json(results)) == results


def test_covid_falls_within_pa():
    results = run("covid-cxr", "covid", "score", [{"attribute": "view"}, {"attribute": "source_host"}])
    overall = results.analysis().estimates[0]
    assert overall.value == pytest.approx(0.664, abs=0.005)
    assert auroc(results, "view", "PA").value == pytest.approx(0.555, abs=0.01)
    view, source = association(results, "view"), association(results, "source_host")
    assert view.flagged
    assert view.drop_shown
    assert source.flagged
    supine = next(level for level in view.levels if level.level == "AP Supine")
    assert supine.prevalence.value == pytest.approx(38 / 43)
    # 108 patients: the interval must be wider than 217 independent images would make it.
    assert overall.high - overall.low > 0.17


def test_nih_intervals_go_by_patient():
    results = run(
        "nih-cxr64",
        "effusion",
        "score",
        [{"attribute": "view"}, {"attribute": "sex"}, {"attribute": "device_proxy"}],
    )
    analysis = results.analysis()
    assert (analysis.n, analysis.patients, analysis.sampling) == (717, 185, "clustered")
    assert all(e.method.endswith(("clustered", "patients")) for e in analysis.estimates)
