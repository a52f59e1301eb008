"""A worn hold-out is refreshed from its reserve: drawn, entered by digest, locked as the next version."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from holdout import synthetic
from sandbox.commands.main import main
from sandbox.custody import holdouts, refreshing
from sandbox.errors import EvaluationRefusedError, ReleaseError, UsageError, WorkspaceError
from sandbox.institution import actors
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import default_home, entry, open_ledger, open_workspace
from sandbox.release import gate
from sandbox.release.wear import DRAWN, uses_of
from sandbox.reuse.errors import ReuseError
from sandbox.reuse.pool import patients_digest

POLICY = {"disclosure": {"minimum_difference": 2}, "reuse": {"retire": {"uses": 2}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    synthetic.generate(folder / "data", patients=24, seed=3)
    data = folder / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROCTOR_HOME", str(folder / "home"))
        assert main(["-q", "init"]) == 0
        ingest = ["holdout", "ingest", str(data / "dicom"), "--name", "cxr"]
        assert main(["-q", *ingest, "--reference", str(data / "reference.yaml")]) == 0
        split = ["holdout", "partition", "cxr", "--development", "0.25", "--reserve", "0.5"]
        assert main(["-q", *split]) == 0
        assert main(["-q", "holdout", "lock", "cxr"]) == 0
    return folder


@pytest.fixture
def site(made, tmp_path, monkeypatch):
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    shutil.copytree(made / "home", tmp_path / "home")
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    workspace = open_workspace(default_home())
    change_policy(workspace, **POLICY)
    return workspace


def change_policy(workspace, **parts):
    policy = yaml.safe_load(workspace.policy_path.read_text())
    for name, values in parts.items():
        policy[name] = {**policy[name], **values} if isinstance(values, dict) else values
    workspace.policy_path.write_text(yaml.safe_dump(policy))


def parts_of(workspace):
    table = pq.read_table(workspace.home / "holdouts" / "cxr" / "parts.parquet")
    return dict(zip(table["patient_id"].to_pylist(), table["part"].to_pylist(), strict=True))


def keys(workspace, version):
    return set(holdouts.open_holdout(workspace, "cxr", version).cases["patient_key"].to_pylist())


def used(workspace, evaluation, patients=None, version="1"):
    """One evaluation of which something was issued; it asked ``patients`` only, where they were drawn."""
    locked = holdouts.open_holdout(workspace, "cxr", version)
    about = {"holdout": "cxr", "version": version}
    with open_ledger(workspace) as ledger:
        if patients is not None:
            cases = [
                row["case_id"] for row in locked.cases.to_pylist() if row["patient_key"] in set(patients)
            ]
            folder = workspace.evaluation(evaluation)
            folder.mkdir(parents=True)
            (folder / DRAWN).write_text(json.dumps({"cases": cases}))
            subject = {**about, "evaluation": evaluation, "drawn": patients_digest(patients)}
            ledger.append(entry("holdout-drawn", subject=subject))
        told = {"release": f"r-{evaluation}", "content": "ab" * 32, "vendor": "acme"}
        ledger.append(entry("release-issued", subject={**about, **told, "evaluation": evaluation}))


def wear_out(workspace, number=4):
    """``number`` patients are used twice, all others once."""
    patients = sorted(keys(workspace, "1"))[:number]
    used(workspace, "e-1")
    used(workspace, "e-2", patients)
    return set(patients)


def test_a_reserve_is_neither_locked_nor_exported(site):
    parts = list(parts_of(site).values())
    assert {part: parts.count(part) for part in set(parts)} == {"development": 6, "reserve": 9, "holdout": 9}
    assert len(keys(site, "1")) == 9


def test_worn_patients_leave_and_as_many_come(site):
    worn = wear_out(site)
    before, parts = keys(site, "1"), parts_of(site)
    found = refreshing.refresh(site, "cxr")
    assert (found.locked.version, found.replaced) == ("2", "1")
    assert (found.left, found.came, found.reserve) == (4, 4, 5)
    after = keys(site, "2")
    assert before - after == worn
    assert len(after) == len(before)
    now = parts_of(site)
    came = {patient for patient in now if (parts[patient], now[patient]) == ("reserve", "holdout")}
    assert len(came) == 4
    assert sum(part == "worn" for part in now.values()) == 4
    with open_ledger(site) as ledger:
        (entered,) = ledger.find(kind="holdout-refreshed")
        assert ledger.verify_all().held
    assert dict(entered.detail) == {"stayed": 5, "left": 4, "came": 4, "reserve": 5}
    assert entered.subject["left"] == patients_digest(worn)
    assert entered.subject["came"] == patients_digest(after - before)


def test_who_stays_keeps_the_uses_that_it_had(site):
    wear_out(site)
    stayed = sorted(keys(site, "1"))[4:]
    locked = refreshing.refresh(site, "cxr").locked
    policy = load_policy(site.policy_path)
    with open_ledger(site) as ledger:
        gate.check_in_use(site, ledger, policy, locked, today=gate.date(2026, 1, 1))
    used(site, "e-3", stayed[:1], version="2")
    with open_ledger(site) as ledger, pytest.raises(gate.ReleaseRefusedError, match="was used 2 times"):
        gate.check_in_use(site, ledger, policy, locked, today=gate.date(2026, 1, 1))


def test_a_fresh_hold_out_is_left_alone(site):
    with pytest.raises(UsageError, match="it is fresh"):
        refreshing.refresh(site, "cxr")
    assert parts_of(site).get("worn") is None


def test_too_few_changed_patients_would_be_told_about(site):
    wear_out(site, number=1)
    with pytest.raises(EvaluationRefusedError, match="tell about them"):
        refreshing.refresh(site, "cxr")
    assert holdouts.versions(site, "cxr") == ["1"]


def test_a_reserve_that_is_too_small_is_refused_and_nothing_changes(site):
    for evaluation in ("e-1", "e-2"):
        used(site, evaluation)
    assert refreshing.refresh(site, "cxr").reserve == 0
    for evaluation in ("e-3", "e-4"):
        used(site, evaluation, version="2")
    with pytest.raises(ReuseError, match="too small"):
        refreshing.refresh(site, "cxr")
    assert holdouts.versions(site, "cxr") == ["1", "2"]


def test_without_a_reserve_it_says_how_to_keep_one(site):
    wear_out(site)
    (site.home / "holdouts" / "cxr" / "parts.parquet").unlink()
    with pytest.raises(UsageError, match="--reserve"):
        refreshing.refresh(site, "cxr")


@pytest.mark.parametrize("step", ["_partition", "lock"])
def test_killed_after_its_entry_the_same_command_goes_on(site, monkeypatch, step):
    wear_out(site)
    place = refreshing if step == "_partition" else refreshing.holdouts

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, step, killed)
        with pytest.raises(KeyboardInterrupt):
            refreshing.refresh(site, "cxr")
    assert refreshing.refresh(site, "cxr").locked.version == "2"
    with open_ledger(site) as ledger:
        assert len(ledger.find(kind="holdout-refreshed")) == 1


def test_another_plan_under_the_entry_is_refused(site, monkeypatch):
    wear_out(site)
    with monkeypatch.context() as patch:
        patch.setattr(refreshing, "_partition", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            refreshing.refresh(site, "cxr")
    note = site.home / "holdouts" / "cxr" / "refresh-1.json"
    plan = json.loads(note.read_text())
    plan["came"].popitem()
    note.write_text(json.dumps(plan))
    with pytest.raises(WorkspaceError, match="not the plan"):
        refreshing.refresh(site, "cxr")


def test_a_draw_with_cases_taken_out_is_refused(site):
    """Uses are derived from it: a case left out would seem unused."""
    patients = sorted(keys(site, "1"))[:4]
    used(site, "e-1", patients)
    path = site.evaluation("e-1") / DRAWN
    path.write_text(json.dumps({"cases": json.loads(path.read_text())["cases"][1:]}))
    locked = holdouts.open_holdout(site, "cxr")
    with open_ledger(site) as ledger, pytest.raises(ReleaseError, match="not the draw"):
        uses_of(site, ledger, locked)


def test_by_two_people_where_the_policy_says_so(site, capsys):
    actors.add(site, "ada", ["approver"])
    actors.add(site, "vera", ["vendor"])
    change_policy(site, two_people=["refresh"])
    wear_out(site)
    assert main(["holdout", "refresh", "cxr", "--as", "vera"]) == 3
    assert main(["holdout", "refresh", "cxr", "--as", "ada"]) == 3
    assert holdouts.versions(site, "cxr") == ["1"]
    capsys.readouterr()
    assert main(["holdout", "refresh", "cxr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["came"] == 4
    with open_ledger(site) as ledger:
        assert ledger.verify_all().held
