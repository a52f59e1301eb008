"""The whole road of a GPU request, with a stand-in for NVIDIA's toolkit on an engine of the tests' own.

What the stand-in proves: who gets which nodes, what the toolkit is told, and what is refused. What it cannot: that a
model runs on a GPU, and that the driver itself holds.
"""

import shutil
from pathlib import Path

import pytest

from runners.errors import EngineBroken, PostureRefused
from runners.gpu import GpuRequest
from runners.images import probe_image
from runners.limits import Limits
from runners.posture import Posture
from runners.probe import measure, require
from runners.worker import run_cases
from sandbox.institution.examination import examine
from sandbox.institution.isolation_rules import GpuChoice
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import DEFAULT_POLICY
from tests.runners.conftest import SCORE, make_vendor, stage
from tests.runners.own_engines import needed, own_docker, short_folder

pytestmark = pytest.mark.engine

PROGRAMS = Path(__file__).parent / "nvidia"
ONE = Posture(gpu=GpuRequest(devices=("0",)))
NODES = {"/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}
MALICIOUS = (
    "ENV LD_PRELOAD=/input/evil.so",
    "ENV LD_LIBRARY_PATH=/input",
    "ENV NVIDIA_VISIBLE_DEVICES=all",
    "ENV NVIDIA_DRIVER_CAPABILITIES=all",
    "ENV NVIDIA_DISABLE_REQUIRE=1",
    "ENV NVIDIA_IMEX_CHANNELS=0",
)


@pytest.fixture(scope="module")
def toolkit():
    """The folder in which the engine finds the stand-in."""
    needed("nsenter", "mount")
    with short_folder() as folder:
        for program in PROGRAMS.iterdir():
            shutil.copy(program, folder / program.name)
        (folder / "gives").write_text("")
        (folder / "version").write_text("1.17.8")
        yield folder


@pytest.fixture(scope="module")
def engine(toolkit):
    with own_docker(programs=toolkit) as started, started:
        yield started


@pytest.fixture
def gives(toolkit):
    yield lambda *names: (toolkit / "gives").write_text(" ".join(names))
    (toolkit / "gives").write_text("")


def measured(engine, posture=ONE, variant="worker"):
    probe = probe_image(engine).digest
    return measure(engine, probe, posture=posture, limits=Limits(), variant=variant)


def value(found, control):
    return next(each.measured for each in found.controls if each.name == control)


@pytest.mark.parametrize("variant", ["worker", "output"])
def test_who_asks_sees_these_nodes_and_every_control_holds(engine, variant):
    found = measured(engine, variant=variant)
    assert found.held, [(control.name, control.measured) for control in found.missing]
    assert {device for device in value(found, "devices") if "nvidia" in device} == NODES
    assert value(found, "gpus-asked-for") == 1


def test_several_gpus_by_number(engine):
    assert value(measured(engine, Posture(gpu=GpuRequest(count=2))), "gpus-asked-for") == 2


def test_who_does_not_ask_sees_none(engine):
    found = measured(engine, Posture())
    assert found.held
    assert not [device for device in value(found, "devices") if "nvidia" in device]


@pytest.mark.parametrize(
    ("given", "control"),
    [("nvidia1", "gpus-asked-for"), ("sda", "devices"), ("nvidia-caps/nvidia-cap1", "devices")],
)
def test_more_than_was_asked_for_is_refused(engine, gives, given, control):
    gives(given)
    found = measured(engine)
    assert [each.name for each in found.missing] == [control]
    with pytest.raises(PostureRefused, match=control):
        require(found)


def test_socket_of_a_service_of_the_host_is_refused(engine, gives):
    gives("socket")
    assert [each.name for each in measured(engine).missing] == ["writable-mounts"]


def test_worker_gets_the_gpu_and_not_what_its_image_asked_for(engine, toolkit, limits, tmp_path):
    image = make_vendor(engine, tmp_path / "vendor", "", MALICIOUS)
    node, opened, libraries = 0.05, 0.1, 0.2
    # LD_LIBRARY_PATH is the image's own business as long as no hook of the host's starts with it.
    assert asked(engine, image, Posture(), limits, tmp_path / "none") == libraries
    # A node that the control group opens answers that it has no driver here.
    openable = Path("/sys/fs/cgroup/devices").exists()
    score = asked(engine, image, ONE, limits, tmp_path / "one")
    assert score == pytest.approx(node + opened * openable)
    told = (toolkit / "asked").read_text().splitlines()
    assert told == ["NVIDIA_DRIVER_CAPABILITIES=compute,utility", "NVIDIA_VISIBLE_DEVICES=0"]


def asked(engine, image, posture, limits, folder):
    root, staged = folder / "input", folder / "staged"
    root.mkdir(parents=True)
    (outcome,) = run_cases(
        engine,
        image,
        posture=posture,
        limits=limits,
        cases=[stage(staged, "gpu-1")],
        input_root=root,
        task=SCORE,
    )
    return outcome.answer["score"]


def test_policy_with_a_gpu_is_examined_and_an_old_toolkit_refused(engine, toolkit, monkeypatch):
    policy = load_policy(DEFAULT_POLICY)
    isolation = policy.isolation.model_copy(update={"gpu": GpuChoice(devices=("0",))})
    policy = policy.model_copy(update={"isolation": isolation})
    monkeypatch.setenv("PATH", f"{toolkit}:/usr/sbin:/usr/bin:/sbin:/bin")
    found = examine(engine, policy)
    assert found.problem == ""
    assert "nvidia-container-toolkit" in {flaw.component for flaw in found.flaws}
    (devices,) = (row for row in found.data()["controls"] if row["name"] == "devices")
    assert all(node in devices["measured"] for node in NODES)
    (toolkit / "version").write_text("1.17.7")
    try:
        with pytest.raises(PostureRefused, match="CVE-2025-23266"):
            examine(engine, policy)
    finally:
        (toolkit / "version").write_text("1.17.8")


def test_engine_without_the_toolkit_is_told_apart_from_a_broken_image():
    with own_docker() as bare, bare, pytest.raises(EngineBroken):
        measured(bare)
