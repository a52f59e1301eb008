"""Whole evaluations under waivers, on Docker and on Podman: what is waived shows in report, dossier and ledger."""

import json
import zipfile

import pytest

from runners.runtimes import golden_tables
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_ledger, open_workspace
from sandbox.outcome.results import from_json
from tests.runners.own_engines import own_podman

pytestmark = pytest.mark.engine

UNTIL = "2027-06-30"
PERSON = "Head of IT security"


def sign(control, engine):
    return main(
        [
            *("-q", "waiver", "sign", control, "--engine", engine, "--until", UNTIL),
            *("--approved-by", PERSON, "--reason", f"No {control} here."),
        ]
    )


def evaluated(site, capsys, tmp_path, waived):
    """Evaluate, and see that every record names each waived control and who answers for it."""
    command = ["evaluate", "--holdout", "cxr", "--submission", "acme", "--protocol", str(site.protocol)]
    assert main(["-q", *command]) in (0, 1)
    known = evaluations(open_workspace(site.home))
    (item,) = (each for each in known if (each.folder / "finished.json").exists())
    posture = json.loads((item.folder / "posture.json").read_text())
    assert posture["waived"].keys() == waived
    assert posture["allowed"]
    assert all(PERSON in words and UNTIL in words for words in posture["waived"].values())
    report = (item.folder / "report.html").read_text()
    with open_ledger(open_workspace(site.home)) as ledger:
        entered = {found.subject["control"]: found for found in ledger.find(kind="waiver-granted")}
    assert entered.keys() == waived
    assert {found.detail["until"] for found in entered.values()} == {UNTIL}
    for control in waived:
        assert f"Control {control} was waived" in report
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    with zipfile.ZipFile(dossier) as parts:
        text = b"".join(parts.read(name) for name in parts.namelist()).decode("utf-8", "replace")
    for found in entered.values():
        assert found.detail["waiver"] in text
        assert found.subject["control"] in text
    key = (site.home / "keys" / "ledger.vkey").read_text().strip()
    assert main(["-q", "verify", str(dossier), "--key", key]) == 0
    return item


def test_evaluation_under_a_waiver(engine, site, admitted, capsys, tmp_path):
    policy = site.home / "policy.yaml"
    policy.write_text(policy.read_text().replace("required: []", "required: [own-user-namespace]"))
    admitted("acme", site.labels)
    command = ["evaluate", "--holdout", "cxr", "--submission", "acme", "--protocol", str(site.protocol)]
    code = main(["-q", *command])
    if code in (0, 1):
        pytest.skip("this engine maps users to a namespace of their own")
    assert code == 3
    assert "own-user-namespace" in capsys.readouterr().err
    assert sign("own-user-namespace", "Docker with runc") == 0
    evaluated(site, capsys, tmp_path, {"own-user-namespace"})


def test_evaluation_on_podman_under_the_waivers_of_its_table(site, admitted, capsys, tmp_path, monkeypatch):
    (table,) = (each for each in golden_tables() if each.engine == "Podman")
    admitted("acme", site.labels)
    with own_podman() as podman, podman:
        monkeypatch.setenv("PROCTOR_ENGINE", podman.url)
        for control in sorted(table.known_missing):
            assert sign(control, table.name) == 0
        item = evaluated(site, capsys, tmp_path, set(table.known_missing))
        assert podman.labelled("io.proctor.owner") == []
    results = from_json((item.folder / "results.json").read_bytes())
    (auroc,) = (each for each in results.analysis().estimates if each.metric == "auroc")
    # The container knows the truth.
    assert auroc.value == 1.0
