"""GPUs by request: settings and refusals. Nothing here ran on a GPU."""

import docker.types
import pytest

from runners.errors import PostureRefused
from runners.gpu import GPU_VARIABLES, GpuRequest, check_toolkit, gpu_request, toolkit_version
from runners.limits import Limits
from runners.posture import NONROOT_USER, Posture, container_config
from runners.version_floors import Backport


def config(**posture):
    return container_config("sha256:0", posture=Posture(**posture), limits=Limits(), user=NONROOT_USER)


def test_request_is_the_engines_own_form():
    by_id, by_number = GpuRequest(devices=("0", "GPU-1f")), GpuRequest(count=2)
    known = {"driver": "nvidia", "capabilities": [["gpu", "compute", "utility"]]}
    assert by_id.device_request() == docker.types.DeviceRequest(device_ids=["0", "GPU-1f"], **known)
    assert by_number.device_request() == docker.types.DeviceRequest(count=2, **known)
    assert config(gpu=by_id)["HostConfig"]["DeviceRequests"] == [by_id.device_request()]


def test_without_a_request_the_image_gets_none_whatever_it_sets():
    settings = config()
    assert "DeviceRequests" not in settings["HostConfig"]
    # A name without a value takes the variable out of the image's own.
    assert set(GPU_VARIABLES) <= set(settings["Env"])
    assert {"LD_PRELOAD", "LD_AUDIT"} <= set(settings["Env"])


def test_with_a_request_the_variables_are_the_institutions():
    environment = config(gpu=GpuRequest(devices=("0",)))["Env"]
    assert "NVIDIA_VISIBLE_DEVICES=0" in environment
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment
    assert "NVIDIA_DISABLE_REQUIRE" in environment
    assert "NVIDIA_VISIBLE_DEVICES" not in environment


@pytest.mark.parametrize(("devices", "count"), [((), None), (("0",), 1)])
def test_by_id_or_by_number(devices, count):
    with pytest.raises(ValueError, match="by id or by number"):
        gpu_request(devices, count)


@pytest.mark.parametrize(
    ("version", "flaw"),
    [
        ("1.16.1", "CVE-2024-0132"),
        ("1.17.3", "CVE-2025-23359"),
        ("1.17.7", "CVE-2025-23266"),
        ("nonsense", "CVE-2024-0132"),
    ],
)
def test_toolkits_with_known_flaws_are_refused(version, flaw):
    with pytest.raises(PostureRefused, match=flaw):
        check_toolkit(version)


def test_repaired_and_declared_toolkits_pass():
    assert {flaw.status for flaw in check_toolkit("1.17.8")} == {"fixed"}
    assert {flaw.status for flaw in check_toolkit("1.18.0")} == {"fixed"}
    names = ("CVE-2025-23266", "CVE-2025-23267")
    declared = [Backport(cve=name, version="1.17.4") for name in names]
    assert {flaw.cve for flaw in check_toolkit("1.17.4", declared) if flaw.status == "backported"} == set(
        names
    )


def test_unknown_toolkit_is_refused():
    with pytest.raises(PostureRefused, match="is not known"):
        check_toolkit("")


@pytest.mark.parametrize(
    ("program", "said", "version"),
    [
        ("nvidia-container-cli", "cli-version: 1.17.8\nlib-version: 1.17.8", "1.17.8"),
        ("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.16.2\ncommit: a5a5", "1.16.2"),
        ("nvidia-ctk", "who knows", ""),
    ],
)
def test_version_is_asked_of_the_host(tmp_path, monkeypatch, program, said, version):
    path = tmp_path / program
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert toolkit_version() == version
