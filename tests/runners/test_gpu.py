"""GPUs by request: settings and refusals. Nothing here ran on a GPU; ``test_gpu_stand_in.py`` starts containers."""

import docker.types
import pytest

from runners.comparison import compare
from runners.errors import PostureRefused
from runners.gpu import GpuRequest, check_toolkit, gpu_request, toolkit_version
from runners.limits import Limits
from runners.posture import NONROOT_USER, Posture, container_config
from runners.version_floors import Backport

IMAGE = ("PATH", "LD_LIBRARY_PATH", "LD_SOMETHING_NEW", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_SOMETHING_NEW")


def config(**posture):
    return container_config(
        "sha256:0",
        posture=Posture(**posture),
        limits=Limits(),
        user=NONROOT_USER,
        image_variables=IMAGE,
    )


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
    assert {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_SOMETHING_NEW", "LD_PRELOAD"} <= set(settings["Env"])
    # Honest images need it, and nothing of the host's reads it.
    assert "LD_LIBRARY_PATH" not in settings["Env"]
    assert {"/proc/driver", "/proc/devices"} <= set(settings["HostConfig"]["MaskedPaths"])


def test_with_a_request_the_variables_are_the_institutions():
    settings = config(gpu=GpuRequest(devices=("0",)))
    environment = settings["Env"]
    assert "NVIDIA_VISIBLE_DEVICES=0" in environment
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment
    assert {"NVIDIA_SOMETHING_NEW", "LD_LIBRARY_PATH", "LD_SOMETHING_NEW", "LD_PRELOAD"} <= set(environment)
    assert "NVIDIA_VISIBLE_DEVICES" not in environment
    assert not {"/proc/driver", "/proc/devices"} & set(settings["HostConfig"]["MaskedPaths"])


GPU, MIG = "GPU-8f6a3f1c-0000-0000-0000-000000000001", "MIG-8f6a3f1c-0000-0000-0000-000000000002"


@pytest.mark.parametrize(
    ("request_", "gpus"),
    [
        (None, (0, 0)),
        (GpuRequest(devices=("0", GPU)), (2, 2)),
        (GpuRequest(count=3), (3, 3)),
        (GpuRequest(devices=(MIG, MIG)), (1, 2)),
    ],
)
def test_nodes_and_number_of_gpus_follow_the_request(request_, gpus):
    nodes = ["/dev/null", "/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
    others = ["/dev/nvidia0p1", "/dev/nvidia", "/dev/nvidia-caps/nvidia-cap2", "/dev/nvidia-fs0", "/dev/sda"]
    for number in range(5):
        gpu_nodes = [f"/dev/nvidia{each}" for each in range(number)]
        held = {c.name: c.held for c in controls([*nodes[:1], *nodes[2:], *gpu_nodes], request_)}
        assert held["devices"] is (request_ is not None)
        assert held.get("gpus-asked-for", number == 0) is (gpus[0] <= number <= gpus[1]) or request_ is None
    for other in others:
        assert not {c.name: c.held for c in controls([*nodes, other], request_)}["devices"], other
    capability = "/dev/nvidia-caps/nvidia-cap11"
    held = {c.name: c.held for c in controls([*nodes, capability], request_)}["devices"]
    assert held is (request_ is not None and MIG in request_.devices)


def controls(devices, request_):
    return compare(REPORT | {"devices": devices}, posture=Posture(gpu=request_), limits=Limits())


REPORT = {"mounts": [], "visible": [], "resolv_conf": ""} | dict.fromkeys(
    ("cgroup.cpu_quota", "cgroup.cpu_period", "cgroup.swap", "cgroup.memory_and_swap", "cgroup.memory"), -1
)


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
