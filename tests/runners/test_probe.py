"""The measured posture on a real engine, and that a missing control is found when it is really missing."""

import os
import shutil
import subprocess

import pytest

from runners import probe as probes
from runners.controls import CONTROLS
from runners.errors import EngineBroken, PostureRefused
from runners.images import probe_image
from runners.limits import MIB, Limits
from runners.posture import ENGINE_DEFAULT, Posture
from runners.probe import measure, require

pytestmark = pytest.mark.engine

# What the engine's default list of system calls leaves open, and Proctor's own closes.
ENGINE_GAPS = {"no-vsock", "no-io-uring", "no-inet-socket", "no-netlink-socket", "no-memory-file"}


@pytest.fixture(scope="module")
def probe(engine):
    return probe_image(engine).digest


@pytest.fixture(scope="module")
def measured(engine, probe):
    return measure(engine, probe, posture=Posture(), limits=Limits())


def test_every_required_control_holds_here(measured):
    assert measured.held, [(control.name, control.measured) for control in measured.missing]
    assert measured.seconds < 20
    assert not {control.name for control in measured.gaps} & {control.name for control in measured.missing}
    require(measured)


def test_no_gap_is_left_but_the_user_namespace(measured):
    assert {control.name for control in measured.gaps} <= {"own-user-namespace"}


def test_known_gap_is_required_when_the_policy_asks(engine, probe, measured):
    if not measured.gaps:
        pytest.skip("this engine maps users to a namespace of their own")
    strict = measure(engine, probe, posture=Posture(required=("own-user-namespace",)), limits=Limits())
    assert [control.name for control in strict.missing] == ["own-user-namespace"]
    with pytest.raises(PostureRefused, match="own-user-namespace"):
        require(strict)
    require(strict, waived=("own-user-namespace",))


def test_list_of_the_engine_is_refused_where_it_leaves_more_open(engine, probe):
    weaker = measure(engine, probe, posture=Posture(seccomp_profile=ENGINE_DEFAULT), limits=Limits())
    missing = {control.name for control in weaker.missing}
    if not missing:
        pytest.skip("this engine's own list closes all that is required")
    assert missing & ENGINE_GAPS
    with pytest.raises(PostureRefused):
        require(weaker)


def test_loopback_opens_the_internet_families_and_nothing_else(engine, probe):
    opened = measure(engine, probe, posture=Posture(), limits=Limits(), variant="loopback")
    assert opened.held, [(control.name, control.measured) for control in opened.missing]
    assert {control.name for control in opened.gaps} - {"own-user-namespace"} == {
        "no-inet-socket",
        "no-inet6-socket",
    }


def test_output_folder_is_bounded_and_everything_else_holds_beside_it(engine, probe):
    limits = Limits(output_bytes=8 * MIB, output_inodes=100)
    opened = measure(engine, probe, posture=Posture(), limits=limits, variant="output")
    assert opened.held, [(control.name, control.measured) for control in opened.missing]
    found = {control.name: control.measured for control in opened.controls}
    assert found["output-size"] == 8 * MIB
    assert found["output-inodes"] == 100
    assert "/output" in found["writable-mounts"]


def test_output_on_a_disk_is_found(engine, probe, monkeypatch, tmp_path):
    class OnDisk(probes.OutputFolder):
        def __enter__(self):
            self.path.rmdir()
            self.path = tmp_path
            tmp_path.chmod(0o777)
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(probes, "OutputFolder", OnDisk)
    open_ended = measure(engine, probe, posture=Posture(), limits=Limits(), variant="output")
    missing = {control.name for control in open_ended.missing}
    assert {"output-size", "output-inodes", "output-not-executable", "writable-mounts-safe"} <= missing


def test_what_still_shows_is_listed(measured):
    shown = [place for place in measured.visible if place.startswith(("/proc", "/sys"))]
    assert "/proc/cpuinfo" in shown
    assert len(shown) < 12, shown


WEAKER = {
    "root-read-only": {"ReadonlyRootfs": False},
    "capabilities-bounding": {"CapDrop": []},
    "no-new-privileges": {"SecurityOpt": []},
    "seccomp-filter": {"SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"]},
    "pids-limit": {"PidsLimit": 1000},
    "memory-limit": {"Memory": 8192 * MIB, "MemorySwap": 8192 * MIB},
    "cpu-limit": {"NanoCpus": 0},
    "core-limit": {"Ulimits": []},
    "tmp-size": {"Tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777"}},
    "tmp-not-executable": {"Tmpfs": {"/tmp": "rw,nosuid,nodev,exec,size=1m,mode=1777"}},
    "writable-mounts": {"Tmpfs": {"/data": "rw,nosuid,nodev,noexec,size=1m,mode=1777"}},
    "shm-inodes": {"IpcMode": "private", "Tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,size=1m,mode=1777"}},
    "own-pid-namespace": {"PidMode": "host"},
    "own-ipc-namespace": {"IpcMode": "host"},
    "own-cgroup-namespace": {"CgroupnsMode": "host"},
    "host-files-hidden": {"MaskedPaths": []},
    "devices": {
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/sda", "CgroupPermissions": "r"}]
    },
}


@pytest.mark.parametrize("control", WEAKER)
def test_a_missing_control_is_found(engine, probe, monkeypatch, control):
    original = probes.container_config

    def weaker(*arguments, **options):
        config = original(*arguments, **options)
        config["HostConfig"] |= WEAKER[control]
        return config

    monkeypatch.setattr(probes, "container_config", weaker)
    plan = probes._Plan(engine=engine, image=probe, posture=Posture(), limits=Limits(), variant="worker")
    report, _ = probes._run(plan, ("all", "-"))
    flood, _ = probes._run(plan, ("processes", "256"))
    report |= flood | {"memory.signal": 9, "memory.reported": True}
    controls = probes.compare(report, posture=Posture(), limits=Limits())
    missing = {row.name for row in controls if row.required and not row.held}
    assert control in missing


def test_network_is_found(engine, probe, monkeypatch):
    original = probes.container_config

    def networked(*arguments, **options):
        config = original(*arguments, **options)
        config["NetworkDisabled"] = False
        config["HostConfig"] |= {"NetworkMode": "host", "Dns": []}
        return config

    monkeypatch.setattr(probes, "container_config", networked)
    plan = probes._Plan(engine=engine, image=probe, posture=Posture(), limits=Limits(), variant="worker")
    report, _ = probes._run(plan, ("all", "-"))
    flood, _ = probes._run(plan, ("processes", "256"))
    report |= flood | {"memory.signal": 9, "memory.reported": True}
    missing = {row.name for row in probes.compare(report, posture=Posture(), limits=Limits()) if not row.held}
    assert {"no-interfaces", "own-net-namespace"} <= missing


def test_a_value_that_was_not_reported_proves_nothing(measured):
    controls = probes.compare(
        {
            "mounts": [],
            "visible": [],
            "resolv_conf": "",
            "cgroup.cpu_quota": -1,
            "cgroup.cpu_period": -1,
            "cgroup.swap": -1,
            "cgroup.memory_and_swap": -1,
            "cgroup.memory": -1,
        },
        posture=Posture(),
        limits=Limits(),
    )
    held = {control.name for control in controls if control.held}
    assert not held & {
        "nonroot",
        "seccomp-filter",
        "no-mount",
        "root-read-only",
        "pids-limit",
        "memory-limit",
    }


def test_an_image_that_is_not_the_probe(engine, vendor):
    with pytest.raises(EngineBroken, match="without a report"):
        measure(engine, vendor("ends-at-once"), posture=Posture(), limits=Limits())


def test_the_probe_does_not_run_as_root(tmp_path):
    if os.geteuid() != 0 or shutil.which("gcc") is None:
        pytest.skip("needs root and gcc")
    program = tmp_path / "probe"
    source = CONTROLS.parent / "probe" / "probe.c"
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    done = subprocess.run([program, "all", "-"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (65, b"")
