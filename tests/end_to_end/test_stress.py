"""Stress tests in an evaluation, through the real commands: planned, put, killed and resumed, scored, shown, proven."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pyarrow.parquet as pq
import pydicom
import pytest

from runners.images import build_image, save_image
from sandbox.asking.smoke import smoke_case
from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.evidence.verification import verify_dossier
from sandbox.institution.workspace import open_ledger, open_workspace
from sandbox.outcome.results import from_json as results_from_json
from sandbox.outcome.stress_results import from_json
from sandbox.plan.protocol import load_protocol
from tests.end_to_end.conftest import PROTOCOL, VENDORS

DOCKERFILE = b"""FROM proctor/base
COPY recogniser.py table.json /vendor/
USER 65532:65532
ENTRYPOINT ["python3", "-u", "/vendor/recogniser.py"]
"""
STRESS = """
stress:
  patients: 24
  perturbations:
    - {name: dr_gamma, severities: [1, 5]}
    - {name: as_implicit_little_endian}
    - {name: header_of_another_patient}
    - {name: side_marker_on_positives, severities: [3]}
    - {name: constant, severities: [3]}
    - {name: zero_byte}
    - {name: ct_dose, severities: [1]}
    - {name: repeat_fresh_container}
"""
ASKS_EACH = 10


@pytest.fixture
def stressed(site, engine, tmp_path):
    """The site with a protocol that stresses, and a container that recognises its pixels."""
    site.protocol.with_name("stress.yaml").write_text(PROTOCOL + STRESS)
    scores = {pixels: 0.9 if label else 0.1 for pixels, label in site.labels.items()}
    files = {
        "Dockerfile": DOCKERFILE,
        "recogniser.py": (VENDORS / "recogniser.py").read_bytes(),
        "table.json": json.dumps({"scores": scores, "seconds": 0.02}, sort_keys=True).encode(),
    }
    image = build_image(engine, "proctor/test-recogniser", files)
    archive = save_image(engine, image, tmp_path / "recogniser.tar")
    protocol = site.protocol.with_name("stress.yaml")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", "recogniser"]) == 0
    assert main(["-q", "protocol", "register", str(protocol)]) == 0
    return ["evaluate", "--holdout", "cxr", "--submission", "recogniser", "--protocol", str(protocol)]


def only_evaluation(home):
    (found,) = evaluations(open_workspace(home))
    return found


def wait_for_asks(home, number):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        journals = list((home / "evaluations").glob("*/stress.jsonl"))
        if journals and journals[0].read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.02)
    pytest.fail("the stressed asks did not begin")


def test_each_expectation_is_judged_shown_and_proven(site, stressed, tmp_path):
    assert main(["-q", *stressed]) == 0
    item = only_evaluation(site.home)
    found = from_json((item.folder / "stress.json").read_bytes())
    assert (found.patients, found.positives + found.negatives) == (24, 24)
    verdicts = {test.name: test.verdict for test in found.tests}
    assert verdicts == {
        "clean": "equal",
        "dr_gamma": "outside",
        "as_implicit_little_endian": "equal",
        "header_of_another_patient": "equal",
        "side_marker_on_positives": "outside",
        "constant": "answered_nonsense",
        "zero_byte": "refused",
        "ct_dose": "not_applicable",
        "repeat_fresh_container": "equal",
    }
    assert found.test("dr_gamma").breaks_at == 1
    # Every perturbation is put to both classes; of this one only positive cases count.
    marked = found.test("side_marker_on_positives").cells[0]
    assert (marked.cases, marked.positives, marked.not_put) == (
        found.positives,
        found.positives,
        found.negatives,
    )

    report = item.folder / "report.html"
    assert main(["-q", "report", item.id]) == 0
    page = report.read_text()
    assert 'id="stress"' in page
    assert "What breaks first" in page
    assert "was not examined" not in page
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    checks = {
        check.name: check
        for check in verify_dossier(dossier, trusted_key=open_workspace(site.home).verifier_key)
    }
    assert all(check.held for check in checks.values())
    assert "Tango intervals" in checks["stress"].sentence

    assert main(["-q", "stress", "sheets", item.id]) == 0
    sheets = sorted(path.name for path in (item.folder / "stress-sheets").iterdir())
    assert sheets == ["constant.png", "dr_gamma.png", "side_marker_on_positives.png"]
    assert not [name for name in zipfile.ZipFile(dossier).namelist() if name.endswith(".png")]

    with open_ledger(open_workspace(site.home)) as ledger:
        opened = [
            entry.detail["purpose"] for entry in ledger.find(kind="reference-opened", evaluation=item.id)
        ]
        used = [entry.detail for entry in ledger.find(kind="holdout-accessed", evaluation=item.id)]
    assert used.pop() == {"cases": 2, "purpose": "other"}
    assert opened == ["evaluation"]
    # What the perturbation does not apply to was never put to the container.
    assert used == [
        {"cases": len(site.labels), "purpose": "evaluation"},
        {"asks": (ASKS_EACH - 1) * 24, "cases": 24, "purpose": "stress"},
    ]


def test_a_run_killed_among_the_stressed_asks_ends_with_the_same_bytes(site, stressed, tmp_path, monkeypatch):
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(site.home, undisturbed)
    run = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "-q", *stressed],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_asks(site.home, 40)
    run.send_signal(signal.SIGKILL)
    run.wait(timeout=30)
    journal = next((site.home / "evaluations").glob("*/stress.jsonl"))
    # Clean cases are asked among the stressed ones, not before them.
    clean = journal.with_name("journal.jsonl").read_bytes().count(b"\n")
    assert 0 < clean < len(site.labels)
    before = journal.read_bytes()
    before = before[: before.rfind(b"\n") + 1]
    assert main(["-q", *stressed]) == 0
    resumed = only_evaluation(site.home)
    assert journal.read_bytes().startswith(before)
    tokens = [json.loads(line)["case_id"] for line in journal.read_bytes().splitlines()]
    assert len(tokens) == len(set(tokens)) == ASKS_EACH * 24

    monkeypatch.setenv("PROCTOR_HOME", str(undisturbed))
    assert main(["-q", *stressed]) == 0
    straight = only_evaluation(undisturbed)
    assert resumed.id == straight.id
    for name in ("predictions.parquet", "results.json", "stress.parquet", "stress.json"):
        assert (resumed.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name
    assert pq.read_table(resumed.folder / "stress.parquet").num_rows == ASKS_EACH * 24
    assert not (resumed.folder / "work").exists()
    with open_ledger(open_workspace(site.home)) as ledger:
        used = ledger.find(kind="holdout-accessed", evaluation=resumed.id)
    assert sum(entry.detail.get("asks", 0) for entry in used) == (ASKS_EACH - 1) * 24
    assert sum(entry.detail["cases"] for entry in used if "asks" not in entry.detail) == len(site.labels)


FEW = """
stress:
  patients: 10
  perturbations: [{name: dr_gamma, severities: [5]}]
"""


def evaluated(site, engine, folder, files, stress=FEW):
    """Evaluate a container made of ``files``, which knows the hold-out's pixels, under a protocol with ``stress``."""
    path = folder / "few.yaml"
    path.write_text(PROTOCOL.replace("name: end-to-end", "name: few") + stress)
    archive = save_image(engine, build_image(engine, "proctor/test-few", files), folder / "few.tar")
    assert main(["-q", "submission", "admit", str(archive), "--vendor", "few"]) == 0
    assert main(["-q", "protocol", "register", str(path)]) == 0
    assert main(["-q", "evaluate", "--holdout", "cxr", "--submission", "few", "--protocol", str(path)]) == 0
    return only_evaluation(site.home)


@pytest.mark.parametrize("breaks", ["at once", "by the next question"])
def test_a_container_that_stress_breaks_loses_no_clean_case(site, engine, tmp_path, breaks):
    with smoke_case(load_protocol(site.protocol), tmp_path, b"k" * 32) as smoke:
        pixels = pydicom.dcmread(smoke.directory / smoke.files[0]).PixelData
    scores = {pixels: 0.9 if label else 0.1 for pixels, label in site.labels.items()}
    table = {"scores": {**scores, hashlib.sha256(pixels).hexdigest(): 0.5}, "breaks": breaks}
    item = evaluated(
        site,
        engine,
        tmp_path,
        {
            "Dockerfile": DOCKERFILE.replace(b"recogniser", b"fragile"),
            "fragile.py": (VENDORS / "fragile.py").read_bytes(),
            "table.json": json.dumps(table).encode(),
        },
    )
    results = results_from_json((item.folder / "results.json").read_bytes())
    assert (results.flow.answered, results.flow.failed) == (len(site.labels), 0)
    gamma = from_json((item.folder / "stress.json").read_bytes()).test("dr_gamma")
    # Of a container that breaks by its next question some answers are there: how many, the random order says.
    assert gamma.verdict in (("outside",) if breaks == "at once" else ("outside", "cannot_tell"))
    facts = json.loads((item.folder / "run.json").read_bytes())
    assert facts["failures"] == {}
    assert (facts["asked_again"] > 0) == (breaks != "at once")
    if breaks == "at once":
        assert facts["stress_failures"] == {"crashed": 10}
    # Two stressed questions in a row cost one container, where it breaks by the next question.
    assert facts["containers"] > (10 if breaks == "at once" else 5)


@pytest.mark.parametrize(("whole_set", "containers"), [("apart", 2), ("among", 1)])
def test_a_container_that_gets_all_cases_together_is_stressed_as_declared(
    site, engine, tmp_path, whole_set, containers
):
    scores = {pixels: 0.9 if label else 0.1 for pixels, label in site.labels.items()}
    item = evaluated(
        site,
        engine,
        tmp_path,
        {
            "Dockerfile": (
                b"FROM proctor/base\nCOPY oracle_set.py table.json /vendor/\nCOPY proctor.json /\nUSER 65532:65532\n"
                b'ENTRYPOINT ["python3", "/vendor/oracle_set.py"]\n'
            ),
            "oracle_set.py": (VENDORS / "oracle_set.py").read_bytes(),
            "proctor.json": json.dumps(
                {"contract": "files/1", "unit": "set", "answer": "predictions.csv#case=score"}
            ).encode(),
            "table.json": json.dumps({"scores": scores}).encode(),
        },
        FEW + f"  whole_set: {whole_set}\n",
    )
    results = results_from_json((item.folder / "results.json").read_bytes())
    assert results.flow.failed == 0
    found = from_json((item.folder / "stress.json").read_bytes())
    assert found.test("clean").verdict == "equal"
    # Every answer changed; whether that is a loss, ten patients cannot tell.
    assert found.test("dr_gamma").cells[0].different == 10
    assert json.loads((item.folder / "run.json").read_bytes())["containers"] == containers


def test_shortcuts_without_any_perturbation_are_examined_shown_and_proven(site, engine, tmp_path):
    scores = {pixels: 0.9 if label else 0.1 for pixels, label in site.labels.items()}
    item = evaluated(
        site,
        engine,
        tmp_path,
        {
            "Dockerfile": DOCKERFILE,
            "recogniser.py": (VENDORS / "recogniser.py").read_bytes(),
            "table.json": json.dumps({"scores": scores, "seconds": 0}).encode(),
        },
        "\nstress: {shortcuts: [manufacturer]}\n",
    )
    found = from_json((item.folder / "stress.json").read_bytes())
    assert (found.tests, found.patients, found.shortcuts[0].shown) == ((), 0, False)
    assert main(["-q", "report", item.id]) == 0
    page = (item.folder / "report.html").read_text()
    assert "Does the score tell site or scanner?" in page
    assert "What breaks first" not in page
    dossier = tmp_path / "dossier.zip"
    assert main(["-q", "dossier", item.id, "-o", str(dossier)]) == 0
    key = open_workspace(site.home).verifier_key
    assert all(check.held for check in verify_dossier(dossier, trusted_key=key))
