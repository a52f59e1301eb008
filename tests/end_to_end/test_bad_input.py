"""What users get wrong: one clear sentence, the right exit code, the workspace intact."""

import json
import shutil
import subprocess
import sys

import pytest

from sandbox.commands.main import main
from sandbox.institution.workspace import open_ledger, open_workspace


def entries(site):
    with open_ledger(open_workspace(site.home)) as ledger:
        assert ledger.verify_all().held
        return len(ledger)


def complaint(capsys):
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


@pytest.fixture
def plain_site(site):
    """The same, for tests that need no engine."""
    return site


def evaluate(site, vendor, protocol=None):
    return [
        "evaluate",
        "--holdout",
        "cxr",
        "--submission",
        vendor,
        "--protocol",
        str(protocol or site.protocol),
    ]


def test_without_an_engine_both_ways_out_are_named(plain_site, capsys, monkeypatch):
    monkeypatch.setenv("PROCTOR_ENGINE", "unix:///nowhere/docker.sock")
    assert main(["doctor"]) == 4
    text = complaint(capsys)
    assert "apt-get install docker.io" in text
    assert "PROCTOR_ENGINE" in text


def test_without_a_workspace(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "none"))
    assert main(["holdout", "show"]) == 4
    assert "proctor init" in complaint(capsys)


def test_a_second_init_changes_nothing(plain_site, capsys):
    before = (plain_site.home / "keys" / "ledger.pem").read_bytes()
    assert main(["init"]) == 4
    assert "already a workspace" in complaint(capsys)
    assert (plain_site.home / "keys" / "ledger.pem").read_bytes() == before


def test_unknown_words_are_wrong_usage(plain_site, capsys):
    assert main(["evaluat"]) == 2
    assert main(["evaluate", "--holdout", "cxr"]) == 2
    complaint(capsys)


def test_a_truncated_archive_is_refused_and_leaves_nothing(plain_site, tmp_path, capsys):
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"ustar" * 1000)
    before = entries(plain_site)
    assert main(["submission", "admit", str(archive), "--vendor", "acme"]) == 3
    assert "not admitted" in complaint(capsys)
    assert list((plain_site.home / "submissions").iterdir()) == []
    assert entries(plain_site) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("kind: binary", "kind: binry"), "line 5"),
        (("levels: 101", "levls: 101"), "line 6"),
        (("threshold: 0.5", "threshold: 7"), "line 7"),
    ],
)
def test_a_mistake_in_a_protocol_names_its_line(plain_site, tmp_path, capsys, change, said):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(plain_site.protocol.read_text().replace(*change))
    before = entries(plain_site)
    assert main(["protocol", "register", str(wrong)]) == 3
    text = complaint(capsys)
    assert said in text or f":{said.split()[1]}" in text
    assert entries(plain_site) == before


def test_a_protocol_with_an_attribute_that_is_not_there(plain_site, tmp_path, capsys):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        plain_site.protocol.read_text().replace("attribute: manufacturer", "attribute: shoe_size")
    )
    assert main(["protocol", "check", str(wrong), "--holdout", "cxr"]) == 3
    assert "shoe_size" in complaint(capsys)


def test_an_unregistered_protocol_governs_nothing(site, admitted, tmp_path, capsys):
    admitted("perfect", site.labels)
    changed = tmp_path / "changed.yaml"
    changed.write_text(site.protocol.read_text().replace("at_least: 0.7", "at_least: 0.1"))
    assert main(evaluate(site, "perfect", changed)) == 3
    assert "not registered" in complaint(capsys)
    assert list((site.home / "evaluations").iterdir()) == []


def test_names_that_are_not_there_are_wrong_usage(plain_site, capsys):
    for words in (
        evaluate(plain_site, "nobody"),
        ["submission", "show", "nobody"],
        ["evaluation", "show", "e-0"],
        ["protocol", "check", "no.yaml"],
    ):
        assert main(words) == 2, words
        assert "nobody" in (text := complaint(capsys)) or "e-0" in text or "no.yaml" in text


def test_a_replaced_hold_out_is_told_by_the_ledger(site, admitted, tmp_path, monkeypatch, capsys):
    admitted("perfect", site.labels)
    other = tmp_path / "other"
    monkeypatch.setenv("PROCTOR_HOME", str(other))
    subset = tmp_path / "subset"
    shutil.copytree(site.data, subset)
    shutil.rmtree(sorted((subset / "dicom").iterdir())[0])
    assert main(["-q", "init"]) == 0
    reference = ["--reference", str(subset / "reference.yaml")]
    assert main(["-q", "holdout", "ingest", str(subset / "dicom"), "--name", "cxr", *reference]) == 0
    assert main(["-q", "holdout", "lock", "cxr"]) == 0
    locked = site.home / "holdouts" / "cxr" / "locked" / "1"
    locked.rename(tmp_path / "away")
    shutil.copytree(other / "holdouts" / "cxr" / "locked" / "1", locked)
    monkeypatch.setenv("PROCTOR_HOME", str(site.home))
    assert main(evaluate(site, "perfect")) == 3
    assert "not the one that was locked" in complaint(capsys)


def test_a_full_disk_is_one_sentence_and_the_command_goes_on(site, tmp_path, archive, capsys, monkeypatch):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(small)], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        shutil.copytree(site.home, small / "workspace")
        monkeypatch.setenv("PROCTOR_HOME", str(small / "workspace"))
        image = str(archive("perfect", site.labels))
        assert main(["submission", "admit", image, "--vendor", "perfect"]) == 4
        assert "No space left" in complaint(capsys)
        assert list((small / "workspace" / "submissions").iterdir()) == []
        assert main(["-q", "ledger", "verify"]) == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_the_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "--help"], capture_output=True, text=True, check=True
    )
    assert "examination hall" in done.stdout


def test_an_engine_without_a_required_control_refuses_the_run(site, admitted, capsys):
    admitted("perfect", site.labels)
    policy = site.home / "policy.yaml"
    policy.write_text(policy.read_text().replace("required: []", "required: [own-user-namespace]"))
    assert main(["doctor"]) == 3
    assert "own-user-namespace" in capsys.readouterr().out
    assert main(evaluate(site, "perfect")) == 3
    assert "own-user-namespace" in complaint(capsys)
    with open_ledger(open_workspace(site.home)) as ledger:
        assert ledger.find(kind="evaluation-started") == []


def test_duplicates_refuse_the_lock_until_left_out_with_a_reason(plain_site, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    data = tmp_path / "data"
    shutil.copytree(plain_site.data, data)
    first = sorted((data / "dicom").rglob("*.dcm"))[0]
    shutil.copyfile(first, first.with_name("copy.dcm"))
    (data / "dicom" / "notes.txt").write_text("not DICOM")
    reference = ["--reference", str(data / "reference.yaml")]
    assert main(["-q", "init"]) == 0
    assert main(["-q", "holdout", "ingest", str(data / "dicom"), "--name", "cxr", *reference]) == 0
    assert main(["holdout", "lock", "cxr"]) == 3
    text = complaint(capsys)
    assert "byte_equal" in text
    assert "not dicom" in text
    assert main(["holdout", "lock", "cxr", "--exclude", "not_dicom="]) == 2
    reasons = ["--exclude", "not_dicom=a note", "--exclude", "byte_equal=copied twice"]
    reasons += ["--exclude", "repeated_sop_instance_uid=copied twice"]
    capsys.readouterr()
    assert main(["--json", "-q", "holdout", "lock", "cxr", *reasons]) == 0
    left_out = {item["code"]: item for item in json.loads(capsys.readouterr().out)["left_out"]}
    assert left_out["not_dicom"] == {"code": "not_dicom", "reason": "a note", "files": 1}


def test_a_criterion_on_a_level_without_cases_is_refused_before_the_run(plain_site, tmp_path, capsys):
    wrong = tmp_path / "wrong.yaml"
    criterion = "{name: none, metric: sensitivity, operating_point: default, bound: lower, at_least: 0.5, "
    criterion += "stratum: {attribute: patient_age_years, level: 0 to <1}}"
    text = plain_site.protocol.read_text()
    text = text.replace("strata: [", "strata: [{attribute: patient_age_years, bands: [0, 1, 120]}, ")
    wrong.write_text(text.replace("acceptance: [", f"acceptance: [{criterion}, "))
    assert main(["protocol", "check", str(wrong), "--holdout", "cxr"]) == 3
    assert "no case has this level of patient_age_years" in complaint(capsys)
