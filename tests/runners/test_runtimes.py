"""Golden tables of runtimes, each held against the runtime itself on an engine of the tests' own."""

import dataclasses

import pytest

from runners.comparison import VARIANTS, compare
from runners.engine_facts import EngineFacts
from runners.errors import PostureRefused
from runners.images import probe_image
from runners.limits import Limits
from runners.posture import Posture
from runners.probe import measure, require
from runners.runtimes import golden_tables, offered, table_for
from tests.runners.own_engines import crun_settings, needed, own_docker, short_folder

FACTS = EngineFacts(
    version="", api_version="", components={"Engine": "20.10.24"}, kernel="6.18.44", operating_system="",
    architecture="", cgroup_version="", storage_driver="", security_options=(),
    runtimes=("kata", "runc", "runsc-kvm"), default_runtime="runc", processors=1, memory_bytes=1,
    programs={"runc": "runc", "kata": "io.containerd.kata.v2", "runsc-kvm": "/usr/local/bin/runsc"},
)  # fmt: skip


def test_a_runtime_is_known_by_its_program_and_not_by_its_name():
    assert {each.name: each.program for each in offered(FACTS)} == {
        "kata": "io.containerd.kata.v2",
        "runc": "runc",
        "runsc-kvm": "runsc",
    }
    assert table_for(FACTS, "runsc-kvm").runtime == "runsc"
    assert table_for(FACTS, None).rows == {}


def test_runtime_without_golden_table_is_refused():
    with pytest.raises(PostureRefused, match=r"no golden table for the runtime kata(.|\n)*Docker with runc"):
        table_for(FACTS, "kata")
    podman = dataclasses.replace(FACTS, components={"Podman Engine": "4.3.1"})
    assert table_for(podman, "runc").engine == "Podman"
    with pytest.raises(PostureRefused, match="no golden table"):
        table_for(podman, "runsc-kvm")


def test_runtime_that_is_not_offered_is_refused():
    with pytest.raises(
        PostureRefused, match="does not offer the runtime crun; it offers kata, runc, runsc-kvm"
    ):
        table_for(FACTS, "crun")


def test_tables_speak_of_controls_that_exist_and_say_why():
    report = {"mounts": [], "visible": [], "resolv_conf": ""} | dict.fromkeys(
        ("cgroup.cpu_quota", "cgroup.cpu_period", "cgroup.swap", "cgroup.memory_and_swap", "cgroup.memory"),
        -1,
    )
    names = {
        control.name for control in compare(report, posture=Posture(), limits=Limits(), variant="output")
    }
    for table in golden_tables():
        assert table.tested
        assert set(table.rows) <= names, table.name
        for row in table.rows.values():
            assert row["why"]
            assert row.keys() & {"expect", "needed", "missing"}


def held_against_table(engine, runtime):
    """Measure every variant and compare what is missing with what the table knows to be missing."""
    probe = probe_image(engine).digest
    table, found = table_for(engine.facts(), runtime), set()
    for variant in VARIANTS:
        measured = measure(engine, probe, posture=Posture(runtime=runtime), limits=Limits(), variant=variant)
        assert measured.table == table.name
        found |= {control.name for control in measured.missing}
        require(measured, waived=tuple(table.known_missing))
        if measured.missing:
            with pytest.raises(PostureRefused):
                require(measured)
    assert found == table.known_missing


@pytest.mark.engine
def test_crun_holds_what_its_table_says():
    with short_folder() as folder, own_docker(crun=crun_settings(folder)) as engine, engine:
        held_against_table(engine, "crun")


@pytest.mark.engine
def test_gvisor_holds_what_its_table_says():
    needed("runsc")
    runsc = {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=none", "--oci-seccomp"]}
    careless = {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=none"]}
    with own_docker(runsc=runsc, careless=careless) as engine, engine:
        held_against_table(engine, "runsc")
        # Without --oci-seccomp gVisor ignores the list of system calls, and the probe says so.
        open_to_all = measure(
            engine, probe_image(engine).digest, posture=Posture(runtime="careless"), limits=Limits()
        )
        assert {"seccomp-filter", "no-io-uring", "no-inet-socket"} <= {c.name for c in open_to_all.missing}
