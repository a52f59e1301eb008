"""Podman by its Docker-compatible interface: the probe, a worker's session, and what it cannot give."""

from pathlib import Path

import pytest

from runners.errors import EngineBroken
from runners.failures import FailureCode
from runners.limits import Limits
from runners.masks import MASKED_PATHS
from runners.podman import podman_settings
from runners.posture import NONROOT_USER, Posture, container_config
from runners.worker import run_cases
from tests.runners.conftest import SCORE, make_vendor, stage
from tests.runners.own_engines import own_podman
from tests.runners.test_runtimes import held_against_table
from tests.runners.test_worker import EXPECTED


@pytest.fixture(scope="module")
def podman():
    with own_podman() as engine, engine:
        yield engine


def test_settings_in_podmans_form(tmp_path):
    config = container_config(
        "sha256:0", posture=Posture(), limits=Limits(), user=NONROOT_USER, input_root=tmp_path
    )
    with podman_settings(config, "unix:///run/podman.sock") as settings:
        host = settings["HostConfig"]
        (profile,) = (each for each in host["SecurityOpt"] if each.startswith("seccomp="))
        text = Path(profile.removeprefix("seccomp=")).read_text(encoding="utf-8")
        assert f"seccomp={text}" in config["HostConfig"]["SecurityOpt"]
        assert "mask=" + ":".join(MASKED_PATHS) in host["SecurityOpt"]
        assert host["ShmSize"] == Limits().shm_bytes
        assert not any("nr_inodes" in options or "uid=" in options for options in host["Tmpfs"].values())
        same = {"ReadonlyRootfs", "NetworkMode", "CapDrop", "Memory", "MemorySwap", "PidsLimit", "Mounts"}
        assert all(host[name] == config["HostConfig"][name] for name in same)


def test_podman_on_another_host_is_refused(tmp_path):
    config = container_config("sha256:0", posture=Posture(), limits=Limits(), user=NONROOT_USER)
    with (
        pytest.raises(EngineBroken, match="must run on this one"),
        podman_settings(config, "tcp://10.0.0.1:1"),
    ):
        pass


@pytest.mark.engine
def test_podman_holds_what_its_table_says(podman):
    held_against_table(podman, None)


# Podman does not tell that memory ran out, so these cases are told as crashes; a child's death goes unseen.
ON_PODMAN = EXPECTED | {"memory": FailureCode.CRASHED, "childmemory": FailureCode.TIMEOUT}


@pytest.mark.engine
def test_worker_contract_holds_on_podman(podman, limits, tmp_path):
    image = make_vendor(podman, tmp_path / "vendor", "")
    names = [name for kind in ON_PODMAN for name in (f"{kind}-1", f"plain-after-{kind}")]
    root, staged = tmp_path / "input", tmp_path / "staged"
    root.mkdir()
    outcomes = {
        outcome.case: outcome
        for outcome in run_cases(
            podman,
            image,
            posture=Posture(),
            limits=limits,
            cases=(stage(staged, name) for name in names),
            input_root=root,
            task=SCORE,
        )
    }
    assert {kind: outcomes[f"{kind}-1"].failure for kind in ON_PODMAN} == ON_PODMAN
    assert {outcomes[f"plain-after-{kind}"].answer["score"] for kind in ON_PODMAN} == {0.5}
    assert podman.labelled("io.proctor.owner") == []
