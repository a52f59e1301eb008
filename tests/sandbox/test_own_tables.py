"""Golden tables that an institution measures itself: checked, bound to the policy, and no way around waivers."""

import json

import pytest
import yaml

from runners.errors import PostureRefused
from runners.runtimes import golden_tables, table_for
from sandbox.commands.main import main
from sandbox.errors import PolicyError
from sandbox.institution.own_tables import read_table, table_text
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import create
from tests.runners.own_engines import crun_settings, needed, own_docker, short_folder
from tests.runners.test_runtimes import FACTS

TABLE = """proctor: golden-table/1
engine: Docker
runtime: io.containerd.kata.v2
tested: made up for this test
rows:
  cpu-limit: {missing: true, why: the guest sees its own processors}
"""
WAIVER = "control: cpu-limit\n  engine: Docker with io.containerd.kata.v2\n  "


def policy_with(folder, table=TABLE, more="", waivers=""):
    (folder / "kata.yaml").write_text(table)
    engine = f"engine: {{runtime: kata, golden_table: kata.yaml{more}}}\n"
    path = folder / "policy.yaml"
    path.write_text(f"proctor: policy/1\nname: test\n{engine}{waivers}")
    return path


def test_a_table_of_ones_own_lets_its_runtime_be_measured(tmp_path):
    policy = load_policy(policy_with(tmp_path))
    table = table_for(FACTS, "kata", policy.own_tables)
    assert (table.name, table.known_missing) == ("Docker with io.containerd.kata.v2", {"cpu-limit"})
    with pytest.raises(PostureRefused, match="--measure-table kata"):
        table_for(FACTS, "kata")
    assert read_table(tmp_path / "kata.yaml")[0] == table
    (tmp_path / "again.yaml").write_text(table_text(table))
    assert read_table(tmp_path / "again.yaml")[0] == table


def test_its_text_is_part_of_the_policy(tmp_path):
    before = load_policy(policy_with(tmp_path))
    after = load_policy(policy_with(tmp_path, TABLE.replace("cpu-limit", "no-swap")))
    assert before.digest != after.digest
    assert before.engine.golden_table_digest != after.engine.golden_table_digest
    named = f", golden_table_digest: '{before.engine.golden_table_digest}'"
    assert load_policy(policy_with(tmp_path, more=named)).digest == before.digest
    with pytest.raises(PolicyError, match="the file was changed"):
        load_policy(policy_with(tmp_path, TABLE.replace("cpu-limit", "no-swap"), named))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("missing: true", "needed: false", "needed"),
        ("{missing: true,", "{missing: true, expect: {equals: 0},", "expect"),
        ("missing: true", "missing: false", "missing"),
        ("cpu-limit", "no-such-control", "is no control"),
        ("io.containerd.kata.v2", "runc", "cannot be replaced"),
        ("golden-table/1", "golden-table/2", "proctor"),
    ],
)
def test_a_table_can_only_say_what_is_missing(tmp_path, old, new, said):
    with pytest.raises(PolicyError, match=said):
        load_policy(policy_with(tmp_path, TABLE.replace(old, new)))


def test_table_that_is_not_there(tmp_path):
    path = policy_with(tmp_path)
    (tmp_path / "kata.yaml").unlink()
    with pytest.raises(PolicyError, match="is not a golden table"):
        load_policy(path)
    path.write_text(f"proctor: policy/1\nname: t\nengine: {{golden_table_digest: 'sha256:{'0' * 64}'}}\n")
    with pytest.raises(PolicyError, match="belongs to a golden_table"):
        load_policy(path)


def test_waivers_may_name_its_pair_and_no_other(tmp_path, monkeypatch):
    workspace = create(tmp_path / "home")
    monkeypatch.setenv("PROCTOR_HOME", str(workspace.home))
    policy_with(workspace.home)
    sign = ["-q", "waiver", "sign", "cpu-limit", "--reason", "r", "--approved-by", "p", "--engine"]
    assert main([*sign, "Docker with io.containerd.other.v2"]) == 2
    assert main([*sign, "Docker with io.containerd.kata.v2"]) == 0
    assert main(["-q", "waiver", "sign", "no-swap", *sign[4:], "Docker with runc"]) == 0
    assert len(load_policy(workspace.policy_path).isolation.waivers) == 2
    workspace.policy_path.write_text("proctor: policy/1\nname: test\n")
    with pytest.raises(PolicyError, match="holds for one engine"):
        load_policy(workspace.policy_path)


def test_table_and_output_belong_together(tmp_path):
    assert main(["-q", "doctor", "--measure-table", "kata"]) == 2
    assert main(["-q", "doctor", "-o", str(tmp_path / "t.yaml")]) == 2


@pytest.mark.engine
def test_measured_table_says_what_is_missing_and_waivers_let_it_be(tmp_path, monkeypatch, capsys):
    """crun under another program's name, as a runtime that nobody has measured; its shipped table is the answer."""
    needed("crun")
    (shipped,) = (each for each in golden_tables() if each.name == "Docker with crun")
    workspace = create(tmp_path / "home")
    monkeypatch.setenv("PROCTOR_HOME", str(workspace.home))
    with short_folder() as folder:
        other = folder / "other"
        other.write_text(f'#!/bin/sh\nexec {crun_settings(folder)["path"]} "$@"\n')
        other.chmod(0o755)
        runtimes = {"new": {"path": str(other)}, "crun": crun_settings(folder)}
        with own_docker(**runtimes) as engine, engine:
            monkeypatch.setenv("PROCTOR_ENGINE", engine.url)
            text = "proctor: policy/1\nname: test\nengine: {runtime: new"
            workspace.policy_path.write_text(text + "}\n")
            assert main(["-q", "doctor"]) == 3
            assert main(["-q", "doctor", "--measure-table", "crun", "-o", str(folder / "c.yaml")]) == 3
            assert not (folder / "c.yaml").exists()
            table = workspace.home / "new.yaml"
            capsys.readouterr()
            assert main(["--json", "-q", "doctor", "--measure-table", "new", "-o", str(table)]) == 0
            said = json.loads(capsys.readouterr().out)
            assert (said["table"], set(said["missing"])) == ("Docker with other", shipped.known_missing)
            assert yaml.safe_load(table.read_text())["rows"].keys() == shipped.known_missing
            workspace.policy_path.write_text(text + ", golden_table: new.yaml}\n")
            assert main(["-q", "doctor"]) == 3
            for control in sorted(shipped.known_missing):
                sign = ["-q", "waiver", "sign", control, "--engine", "Docker with other"]
                assert main([*sign, "--reason", "crun", "--approved-by", "p"]) == 0
            assert main(["-q", "doctor"]) == 0
