from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.evaluations.mlflow_mirror import MirrorRun, metrics_of, mirror, slug, stress_metrics
from sandbox.outcome.results import Results, to_json
from sandbox.scoring.stress.score import score_stress
from tests.sandbox.evidence.dossier_story import IMAGE, ROOT, scored
from tests.sandbox.scoring import test_stress_scores as stress_world


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return scored(tmp_path_factory.mktemp("scored"))


def run_of(results: Results, **changes: Any) -> MirrorRun:
    facts: dict[str, Any] = {
        "results": results,
        "protocol_name": results.protocol_name,
        "protocol_digest": results.protocol_digest,
        "submission": IMAGE,
        "vendor": "acme",
        "holdout": {"name": "cxr", "version": "1", "root": ROOT, "cases": results.flow.cases},
        "started": "2026-02-03T10:03:07Z",
        "finished": "2026-02-03T10:05:07Z",
        "tags": {"ledger.index": "5"},
    }
    return MirrorRun(**{**facts, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, results: Results) -> Path:
    """One store for the module: its first opening costs seconds of migrations."""
    folder = tmp_path_factory.mktemp("mlflow") / "store"
    report = folder.parent / "report.html"
    report.write_text("<p>report</p>")
    outcome = mirror(run_of(results, artifacts=[report]), folder)
    assert outcome.reason is None
    assert not outcome.already
    return folder


def client_of(store: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")


def test_a_run_holds_params_metrics_dataset_artifacts_and_digests(store: Path, results: Results) -> None:
    client = client_of(store)
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    assert experiment.name == f"test-protocol {results.protocol_digest.removeprefix('sha256:')[:12]}"
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    auroc = results.analysis().estimates[0]
    assert run.data.metrics["auroc"] == pytest.approx(auroc.value)
    assert run.data.metrics["auroc.low"] == pytest.approx(auroc.low)
    assert "screening/sensitivity" in run.data.metrics
    assert "strata/manufacturer/synthetic_a/auroc" in run.data.metrics
    assert "excluded/auroc" in run.data.metrics
    assert run.data.params["threshold.screening"] == "0.5"
    assert run.data.tags["proctor.submission"] == IMAGE
    assert run.data.tags["proctor.ledger.index"] == "5"
    assert run.data.tags["mlflow.user"] == "proctor"
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("cxr", ROOT[:32])
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "testing")]
    assert ROOT in dataset.dataset.profile
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"report.html", "metric_labels.json"}


def test_mirroring_again_changes_nothing(store: Path, results: Results) -> None:
    first = mirror(run_of(results), store)
    second = mirror(run_of(results), store)
    assert first.already
    assert second == first
    assert len(client_of(store).search_runs(["1"])) == 1


def test_a_run_left_half_written_is_written_afresh(store: Path, results: Results) -> None:
    other = replace(results, evaluation="e-aaaaaaaaaaaaaaaa")
    missing = mirror(run_of(other, artifacts=[store / "absent"]), store)
    assert missing.run_id is None
    repaired = mirror(run_of(other), store)
    assert repaired.reason is None
    assert not repaired.already
    found = client_of(store).search_runs(["1"], "tags.`proctor.evaluation` = 'e-aaaaaaaaaaaaaaaa'")
    assert [run.info.run_id for run in found] == [repaired.run_id]


def test_no_path_user_or_host_is_in_tags_params_or_inputs(store: Path) -> None:
    with sqlite3.connect(store / "mlflow.db") as database:
        values = [
            str(value)
            for table in ("tags", "params", "datasets", "input_tags", "experiment_tags")
            for row in database.execute(f"SELECT * FROM {table}")
            for value in row
        ]
    database.close()
    text = "\n".join(values)
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert os.uname().nodename not in text


def test_failure_is_told_not_raised_and_names_no_secret(tmp_path: Path, results: Results) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    outcome = mirror(run_of(results), blocked / "store")
    assert outcome.run_id is None
    assert outcome.reason
    secret = mirror(run_of(results), tmp_path, "nonsense://user:SECRET@host/db")
    assert secret.run_id is None
    assert "SECRET" not in str(secret.reason)


def test_telemetry_is_off_before_mlflow_is_imported(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "os.environ['MLFLOW_DISABLE_TELEMETRY'] = 'false'\n"
        "import sandbox.evaluations.mlflow_mirror as m\n"
        "assert 'mlflow' not in sys.modules\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mlflow':\n"
        "            print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['DO_NOT_TRACK'])\n"
        "            raise ImportError('enough')\n"
        "sys.meta_path.insert(0, Watch())\n"
        "print(m.mirror(None, None).reason is not None)\n"
    )
    clean = {name: value for name, value in os.environ.items() if "PYTEST" not in name and name != "CI"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean, cwd=Path.cwd()
    )
    assert ran.stdout.split() == ["true", "true", "True"]


def test_the_local_store_reaches_for_no_network(store: Path, results: Results, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    (tmp_path / "results.json").write_bytes(to_json(replace(results, evaluation="e-bbbbbbbbbbbbbbbb")))
    code = (
        "import socket, sys\n"
        "from pathlib import Path\n"
        "calls = []\n"
        "def refuse(*arguments, **_):\n"
        "    calls.append(arguments)\n"
        "    raise OSError('no network here')\n"
        "socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse\n"
        "from sandbox.evaluations.mlflow_mirror import MirrorRun, mirror\n"
        "from sandbox.outcome.results import from_json\n"
        "folder = Path(sys.argv[1])\n"
        "run = MirrorRun(results=from_json((folder / 'results.json').read_bytes()), protocol_name='p',\n"
        "    protocol_digest='sha256:' + 'ab' * 32, submission='s', vendor='v', holdout={'root': 'ab' * 32},\n"
        "    started='2026-02-03T10:03:07Z', finished='2026-02-03T10:03:07Z')\n"
        "outcome = mirror(run, folder / 'store')\n"
        "print(outcome.run_id is not None, len(calls))\n"
    )
    # MLflow holds its telemetry back where it sees a test runner; here it must not see one.
    clean = {name: value for name, value in os.environ.items() if "PYTEST" not in name and name != "CI"}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, env=clean
    )
    assert ran.stdout.split() == ["True", "0"]


def test_names_are_ones_that_mlflow_takes(results: Results) -> None:
    values, labels = metrics_of(results)
    assert all(re.fullmatch(r"[a-z0-9_./]{1,250}", name) for name in values)
    assert {name.removesuffix(".low").removesuffix(".high") for name in values} >= set(labels) - {
        name for name in labels if name not in values
    }
    assert slug("60 to <120") == "60_to_lt_120"
    assert slug(">=65") == "ge_65"
    assert slug("F x AP / Größe {1}@") == "f_x_ap_gr_e_1"
    assert slug("***") == "x"


def test_labels_that_share_a_slug_stay_apart(results: Results) -> None:
    first, second = results.analyses[0].strata[:2]
    strata = (replace(first, level="A+B"), replace(second, level="A plus B", attribute=first.attribute))
    analysis = replace(results.analyses[0], strata=strata)
    values, labels = metrics_of(replace(results, analyses=(analysis, results.analyses[1])))
    chosen = [name for name in labels if name.startswith("strata/manufacturer/a_plus_b/auroc")]
    assert len(chosen) == 2
    assert len({labels[name] for name in chosen}) == 2
    assert set(chosen) <= set(values)


def test_a_stressed_run_holds_a_curve_over_severities(store: Path, results: Results) -> None:
    truth, clean, _ = stress_world.world()
    tests = (("dr_gamma", (1, 5)), ("zero_byte", (1,)))
    cells = {
        ("clean", 1): list(clean),
        ("dr_gamma", 1): list(clean),
        ("dr_gamma", 5): list(100 - clean),
        ("zero_byte", 1): ["refused"] * truth.size,
    }
    found = score_stress(
        stress_world.scored(truth, clean), stress_world.asked(cells), stress_world.protocol(tests), "e-1"
    )
    change = {
        cell.severity: next(each.value for each in cell.estimates if each.metric == "auroc_change")
        for cell in found.test("dr_gamma").cells
    }
    listed = list(stress_metrics(found))
    assert ("stress/dr_gamma/breaks_at", 5.0, 0) in listed
    assert ("stress/verdicts/refused", 1.0, 0) in listed
    assert {name for name, *_ in listed if "sensitivity" in name} >= {
        "stress/dr_gamma/sensitivity_change/default"
    }

    outcome = mirror(run_of(replace(results, evaluation="e-stressed"), stress=found), store)
    assert outcome.reason is None
    history = client_of(store).get_metric_history(outcome.run_id, "stress/dr_gamma/auroc_change")
    assert {each.step: each.value for each in history} == pytest.approx(change)
