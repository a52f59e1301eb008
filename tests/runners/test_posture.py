"""The settings that a posture turns into, and what the measured posture makes of a report."""

import json

import pytest

from runners.errors import PostureRefused
from runners.limits import MIB, Limits
from runners.posture import (
    ENGINE_DEFAULT,
    NONROOT_USER,
    Posture,
    checked_workdir,
    container_config,
    numeric_user,
)
from runners.seccomp import seccomp_profile


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("1000", "1000:1000"),
        ("1000:1001", "1000:1001"),
        ("0", None),
        ("0:1000", None),
        ("1000:0", None),
        ("00:5", None),
        ("worker", None),
        ("1000:users", None),
        ("", None),
        ("-1", None),
        ("4294967296", None),
        ("١٢", None),
    ],
)
def test_only_numbers_name_a_user(user, expected):
    assert numeric_user(user) == expected


@pytest.mark.parametrize(
    "workdir", ["/proc/self/fd/8", "proc", "//proc", "/app/../proc/1", "/dev/shm", "/sys"]
)
def test_working_directories_of_the_kernel_are_refused(workdir):
    with pytest.raises(PostureRefused):
        checked_workdir(workdir)


def test_ordinary_working_directories():
    assert [checked_workdir(path) for path in ("", "/", "app", "/opt/app/")] == ["/", "/", "/app", "/opt/app"]


def test_settings_leave_nothing_to_defaults(tmp_path):
    profile = tmp_path / "seccomp.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ERRNO"}')
    posture = Posture(runtime="runsc", seccomp_profile=profile.read_text())
    config = container_config(
        "sha256:0", posture=posture, limits=Limits(), user=NONROOT_USER, input_root=tmp_path
    )
    host = config["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true", f"seccomp={profile.read_text()}"]
    assert host["Memory"] == host["MemorySwap"] == Limits().memory_bytes
    assert host["Runtime"] == "runsc"
    assert host["Mounts"][0]["ReadOnly"] is True
    assert all({"nosuid", "nodev", "noexec"} <= set(options.split(",")) for options in host["Tmpfs"].values())
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert "LD_PRELOAD" in config["Env"]
    json.dumps(config)


def test_own_list_of_system_calls_unless_another_is_named():
    def security(**choices):
        return container_config("sha256:0", posture=Posture(**choices), limits=Limits(), user=NONROOT_USER)[
            "HostConfig"
        ]["SecurityOpt"]

    assert security() == ["no-new-privileges:true", f"seccomp={seccomp_profile()}"]
    assert security(seccomp_profile=ENGINE_DEFAULT) == ["no-new-privileges:true"]


def test_root_cannot_be_asked_for():
    for user in ("0:0", "root", "nobody", "1000"):
        with pytest.raises(PostureRefused):
            container_config("sha256:0", posture=Posture(), limits=Limits(), user=user)
    with pytest.raises(ValueError, match="not root"):
        Posture(user="0:0")


def test_limits_are_positive():
    with pytest.raises(ValueError, match="pids"):
        Limits(pids=0)
    with pytest.raises(ValueError, match="memory"):
        Limits(memory_bytes=MIB)
    with pytest.raises(ValueError, match="seconds_per_case"):
        Limits(seconds_per_case=float("nan"))
