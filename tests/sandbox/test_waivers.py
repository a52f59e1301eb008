"""Waivers: signed, bound to one control, one engine and one policy, ending; and a real run that one lets pass."""

import hashlib
import json
from datetime import date, timedelta

import pytest

from runners.controls import waivable_controls
from runners.errors import PostureRefused
from runners.gpu import toolkit_version
from sandbox.commands.main import main
from sandbox.errors import PolicyError, UsageError
from sandbox.evidence.keys import generate_signing_key
from sandbox.institution import waivers
from sandbox.institution.examination import examine
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import create, open_ledger

TODAY = date(2026, 11, 22)
DOCKER = "Docker with runc"


def asked(**changes):
    said = {
        "control": "own-user-namespace",
        "engine": DOCKER,
        "reason": "The engine here maps no users.",
        "approved_by": "Head of IT security",
        "signed_on": TODAY,
        "until": "2027-01-31",
    }
    return waivers.asked_for(**(said | changes))


@pytest.fixture
def key(tmp_path):
    return generate_signing_key(tmp_path / "operator.pem", "operator")


@pytest.fixture
def policy(tmp_path):
    def load(*rows, text=""):
        path = tmp_path / "policy.yaml"
        path.write_text("proctor: policy/1\nname: test\n" + text, encoding="utf-8")
        (tmp_path / "waivers.yaml").unlink(missing_ok=True)
        for row in rows:
            waivers.add(path, row)
        return load_policy(path)

    return load


def states(policy, key, *, engine=DOCKER, today=TODAY):
    judged = waivers.judge(policy, engine=engine, today=today, actors=(key.verifier,))
    return [each.state for each in judged]


def test_signed_waiver_counts_on_its_engine_and_in_its_time(policy, key):
    found = policy(waivers.sign(asked(), "test", key))
    assert states(found, key) == ["in force"]
    assert states(found, key, today=date(2027, 1, 31)) == ["in force"]
    assert states(found, key, today=date(2027, 2, 1)) == ["ended"]
    assert states(found, key, today=TODAY - timedelta(days=1)) == ["not yet"]
    assert states(found, key, engine="Podman with runc") == ["other engine"]
    (words,) = waivers.in_force(
        waivers.judge(found, engine=DOCKER, today=TODAY, actors=(key.verifier,))
    ).values()
    assert words == "Head of IT security until 2027-01-31, signed by operator: The engine here maps no users."


@pytest.mark.parametrize(
    "changes",
    [
        {"control": "no-ptrace"},
        {"engine": "Docker with crun"},
        {"reason": "Another reason."},
        {"approved_by": "Somebody else"},
        {"signed_on": "2026-11-21"},
        {"until": "2027-02-01"},
    ],
)
def test_a_changed_waiver_refuses_every_run(policy, key, changes):
    signed = waivers.sign(asked(), "test", key).model_copy(update=changes)
    found = policy(signed)
    assert states(found, key) == ["wrong signature"]
    with pytest.raises(PostureRefused, match="was changed after it was signed"):
        waivers.refuse_false(waivers.judge(found, engine=DOCKER, today=TODAY, actors=(key.verifier,)))


def test_unsigned_and_strangers_waivers_refuse_every_run(policy, key, tmp_path):
    assert states(policy(asked()), key) == ["unsigned"]
    stranger = generate_signing_key(tmp_path / "stranger.pem", "stranger")
    assert states(policy(waivers.sign(asked(), "test", stranger)), key) == ["unknown key"]
    # A key of the right name is still another key.
    double = generate_signing_key(tmp_path / "double.pem", "operator")
    assert states(policy(waivers.sign(asked(), "test", double)), key) == ["wrong signature"]
    # One policy's waiver is not another's.
    assert states(policy(waivers.sign(asked(), "other", key)), key) == ["wrong signature"]
    judged = waivers.judge(policy(asked()), engine=DOCKER, today=TODAY, actors=(key.verifier,))
    with pytest.raises(PostureRefused, match="is not signed"):
        waivers.refuse_false(judged)


def test_keys_that_the_policy_names_are_the_only_ones(policy, key, tmp_path):
    security = generate_signing_key(tmp_path / "security.pem", "security")
    named = f"isolation: {{waiver_keys: ['{security.verifier.text}']}}\n"
    assert states(policy(waivers.sign(asked(), "test", security), text=named), key) == ["in force"]
    assert states(policy(waivers.sign(asked(), "test", key), text=named), key) == ["unknown key"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"control": "everything"}, "There is no control everything"),
        ({"control": "no-routes"}, "keeps images in and cannot be waived"),
        ({"control": "nonroot"}, "keeps images in and cannot be waived"),
        ({"engine": "Docker with magic"}, "holds for one engine"),
        ({"until": "2028-11-22"}, "within 366 days"),
        ({"until": "2026-11-01"}, "ends after it begins"),
        ({"until": "2027-02-30"}, "days of the calendar"),
        ({"engine": "*"}, "not the form of a waiver's engine"),
        ({"control": "*"}, "not the form of a waiver's control"),
        ({"reason": ""}, "not the form of a waiver's reason"),
    ],
)
def test_a_waiver_that_asks_too_much_is_not_signed(key, changes, message):
    with pytest.raises(UsageError, match=message):
        waivers.sign(asked(**changes), "test", key)


def test_a_waiver_that_asks_too_much_is_not_read(policy):
    with pytest.raises(PolicyError, match=r"waivers\.yaml:(.|\n)*cannot be waived"):
        policy(asked(control="no-interfaces"))


def test_what_keeps_images_in_is_not_waivable():
    fixed = {name for name, waivable in waivable_controls().items() if not waivable}
    assert {
        "no-interfaces",
        "no-routes",
        "own-net-namespace",
        "input-read-only",
        "nonroot",
        "devices",
    } <= fixed
    assert len(fixed) < len(waivable_controls()) / 2


def test_the_policys_digest_covers_waivers(policy, key):
    assert policy().digest != policy(waivers.sign(asked(), "test", key)).digest


@pytest.mark.engine
def test_a_missing_control_refuses_and_a_waiver_lets_it_pass_and_says_so(
    engine, tmp_path, monkeypatch, capsys
):
    workspace = create(tmp_path / "home")
    monkeypatch.setenv("PROCTOR_HOME", str(workspace.home))
    text = workspace.policy_path.read_text()
    # The engine's own list of system calls leaves open what Proctor closes.
    workspace.policy_path.write_text(text.replace("seccomp_profile: null", "seccomp_profile: engine-default"))
    actors = waivers.actor_keys(workspace)
    refused = examine(engine, load_policy(workspace.policy_path), actors)
    missing = {control.name for control in refused.missing}
    assert {"no-io-uring", "no-inet-socket"} <= missing
    with pytest.raises(PostureRefused, match="no-io-uring"):
        refused.refuse_if_missing()
    beyond = {name for name in missing if not waivable_controls()[name]}
    assert beyond == {"no-vsock"}

    assert main(["waiver", "sign", "no-vsock", "--reason", "r", "--approved-by", "a"]) == 2
    for control in sorted(missing - beyond):
        assert main(["waiver", "sign", control, "--reason", "Old engine.", "--approved-by", "IT"]) == 0
    workspace.policy_path.write_text(text.replace("seccomp_profile: null", "seccomp_profile: engine-default"))
    policy = load_policy(workspace.policy_path)
    waived = examine(engine, policy, actors)
    assert {control.name for control in waived.missing} == beyond
    with open_ledger(workspace) as ledger:
        waivers.enter(ledger, policy.digest, waived.waivers)
        waivers.enter(ledger, policy.digest, waived.waivers)
        entered = ledger.find(kind="waiver-granted", policy=policy.digest)
    assert sorted(item.subject["control"] for item in entered) == sorted(missing - beyond)
    by_control = {judged.waiver.control: judged.waiver for judged in waived.waivers}
    for item in entered:
        waiver = by_control[item.subject["control"]]
        text = json.dumps(waiver.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        assert item.detail["waiver"] == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        assert item.detail["until"] == waiver.until
    data = waived.data()
    assert data["waived"].keys() == missing - beyond
    assert all("IT until" in words and "signed by operator" in words for words in data["waived"].values())
    capsys.readouterr()
    assert main(["doctor"]) == 3
    shown = capsys.readouterr().out
    assert "WAIVED: no-io-uring, by IT until" in shown
    assert main(["waiver", "list", "--json"]) == 0
    assert {row["state"] for row in json.loads(capsys.readouterr().out)} == {"in force"}


@pytest.mark.engine
def test_a_policy_that_asks_for_more_than_the_engine_has(engine, tmp_path, monkeypatch, capsys):
    workspace = create(tmp_path / "home")
    monkeypatch.setenv("PROCTOR_HOME", str(workspace.home))
    text = workspace.policy_path.read_text()
    workspace.policy_path.write_text(text.replace("required: []", "required: [own-user-namespace]"))
    if main(["doctor"]) == 0:
        pytest.skip("this engine maps users to a namespace of their own")
    assert "own-user-namespace" in capsys.readouterr().out
    words = ["--reason", "No userns-remap before the upgrade.", "--approved-by", "IT"]
    assert main(["waiver", "sign", "own-user-namespace", *words]) == 0
    capsys.readouterr()
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "WAIVED: own-user-namespace, by IT until" in shown
    assert "A run would be allowed here." in shown
    # One letter of the reason changed: nothing runs any more, whoever signed it before.
    path = workspace.policy_path.with_name("waivers.yaml")
    path.write_text(path.read_text().replace("upgrade", "upgrads"))
    assert main(["doctor"]) == 3
    assert "was changed after it was signed" in capsys.readouterr().out


@pytest.mark.engine
def test_floors_refuse_when_the_policy_says_so(engine, tmp_path):
    workspace = create(tmp_path / "home")
    actors, path = waivers.actor_keys(workspace), workspace.policy_path
    text = path.read_text()
    warned = examine(engine, load_policy(path), actors)
    standing = [flaw for flaw in warned.flaws if flaw.open]
    if not standing:
        pytest.skip("no known flaw is open on this machine")
    warned.refuse_if_missing()
    path.write_text(text.replace("version_floors: warn", "version_floors: refuse"))
    with pytest.raises(PostureRefused, match=standing[0].cve):
        examine(engine, load_policy(path), actors).refuse_if_missing()
    declared = "".join(
        f"\n  - {{cve: {flaw.cve}, version: '{flaw.version}', source: a tracker, approved_by: IT}}"
        for flaw in standing
    )
    path.write_text(path.read_text().replace("backports: []", f"backports:{declared}\n  #"))
    repaired = examine(engine, load_policy(path), actors)
    repaired.refuse_if_missing()
    assert {flaw.status for flaw in repaired.flaws if flaw.cve in {each.cve for each in standing}} == {
        "backported"
    }


@pytest.mark.engine
def test_gpus_without_a_known_toolkit_are_refused(engine, tmp_path):
    workspace = create(tmp_path / "home")
    path = workspace.policy_path
    path.write_text(path.read_text().replace("gpu: null", "gpu: {count: 1}"))
    if toolkit_version():
        pytest.skip("this host has an NVIDIA container toolkit")
    with pytest.raises(
        PostureRefused, match="version of the NVIDIA container toolkit on this host is not known"
    ):
        examine(engine, load_policy(path))
