"""The list of system calls: what it says, what it compiles to, and that honest models run under it."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.errors import ImageError
from runners.images import base_image
from runners.leftovers import new_name, owner_labels
from runners.limits import GIB, MIB, Limits
from runners.posture import NONROOT_USER, Posture, container_config, worker_environment
from runners.seccomp import SYSTEM_CALLS, allowed_names, read_system_calls, seccomp_profile, system_calls

WORKLOADS = Path(__file__).parent / "workloads"
EPERM, ENOSYS = 1, 38
WORD = st.integers(0, 2**64 - 1)


def verdict(name, *arguments, loopback=False):
    """What the engine's form says of a call, by the rules of libseccomp: 0, or the error number."""
    profile = json.loads(seccomp_profile(loopback=loopback))
    tests = {
        "SCMP_CMP_EQ": lambda value, rule: value == rule["value"],
        "SCMP_CMP_LE": lambda value, rule: value <= rule["value"],
        "SCMP_CMP_MASKED_EQ": lambda value, rule: value & rule["value"] == rule["valueTwo"],
    }
    for rule in profile["syscalls"]:
        if name in rule["names"] and all(
            tests[each["op"]](arguments[each["index"]], each) for each in rule["args"]
        ):
            return rule.get("errnoRet", 0)
    return EPERM


@given(WORD, WORD, WORD)
def test_only_unix_sockets_whatever_the_high_bits(family, kind, protocol):
    for call in ("socket", "socketpair"):
        assert (verdict(call, family, kind, protocol) == 0) == (family == 1)
    assert (verdict("socket", family, kind, protocol, loopback=True) == 0) == (family in (1, 2, 10))


@given(WORD)
def test_no_namespace_by_any_combination_of_flags(flags):
    namespaces = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
    assert (verdict("clone", flags) == 0) == (flags & namespaces == 0)
    assert verdict("clone3", flags) == ENOSYS


@given(WORD)
def test_mknod_makes_pipes_only(mode):
    assert (verdict("mknod", 0, mode) == 0) == (mode & 0o170000 == 0o010000)
    assert (verdict("mknodat", 0, 0, mode) == 0) == (mode & 0o170000 == 0o010000)


def test_thread_creation_of_the_c_library_is_allowed():
    assert verdict("clone", 0x3D0F00) == 0
    assert verdict("clone", 0x01200011) == 0


def test_personality_and_terminal_injection():
    assert verdict("personality", 0) == 0
    assert verdict("personality", 0x0040000) == EPERM
    assert verdict("ioctl", 0, 0x5401) == 0
    assert verdict("ioctl", 0, 0x5412) == EPERM
    assert verdict("ioctl", 0, (1 << 32) | 0x5401) == EPERM


def test_every_refused_call_is_refused_by_what_the_engine_gets():
    listed = system_calls()
    for loopback in (False, True):
        profile = json.loads(seccomp_profile(loopback=loopback))
        assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
        assert "architectures" not in profile
        assert "archMap" not in profile
        named = {name for rule in profile["syscalls"] for name in rule["names"]}
        assert not named & set(listed.refused)
    assert all(listed.refused.values())
    assert all(group.why for group in listed.allowed)
    # What the issue and the containment page name, in one place.
    closed = {
        "io_uring_setup",
        "keyctl",
        "userfaultfd",
        "bpf",
        "perf_event_open",
        "ptrace",
        "process_vm_readv",
    }
    closed |= {
        "mount",
        "unshare",
        "setns",
        "kexec_load",
        "init_module",
        "swapon",
        "clock_settime",
        "memfd_create",
    }
    assert closed <= set(listed.refused)


def test_loopback_adds_only_its_group():
    assert set(allowed_names(choices=("loopback",))) == set(allowed_names())
    assert verdict("setsockopt", 3, 6, 30) == EPERM
    assert verdict("setsockopt", 3, 6, 30, loopback=True) == 0
    assert verdict("setsockopt", 3, 1, 26) == EPERM


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[brk, mmap,", "[brk, ptrace, mmap,"),
        ("[brk, mmap,", "[brk, socket, mmap,"),
        ("[brk, mmap,", "[brk, brk, mmap,"),
        ("argument: 0, equals: 1}       # AF_UNIX", "argument: 0, is: 1}"),
        ("argument: 0, equals: 1}       # AF_UNIX", "argument: 0, equals: 1, at_most: 5}"),
    ],
)
def test_list_that_contradicts_itself(old, new):
    text = SYSTEM_CALLS.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(ValueError, match=r"system_calls\.yaml"):
        read_system_calls(text.replace(old, new))


@pytest.fixture(scope="module")
def base(engine):
    try:
        return base_image(engine).digest
    except ImageError as error:
        pytest.skip(str(error))


def run(engine, image, folder, *parts, environment):
    """Run the workload under the settings of a run; returns the parts that ended well, and the exit code."""
    limits = Limits(memory_bytes=4 * GIB, tmp_bytes=256 * MIB, pids=128)
    config = container_config(
        image,
        posture=Posture(),
        limits=limits,
        user=NONROOT_USER,
        input_root=folder,
        environment={**worker_environment({}, limits), **environment},
        labels=owner_labels("test"),
        command=["python3", "/input/frameworks.py", *parts],
    )
    name = new_name()
    container = engine.create(config, name)
    stream, output = engine.attach(container), {1: b"", 2: b""}
    try:
        engine.start(container)
        while (piece := stream.read(time.monotonic() + 280)) is not None:
            output[piece[0]] += piece[1]
        engine.wait(container, 10)
        return output[1].decode().split(), engine.state(container).exit_code, output[2].decode()[-2000:]
    finally:
        stream.close()
        engine.remove(name)


@pytest.mark.engine
def test_numpy_threads_processes_and_shell_run(engine, base, tmp_path):
    shutil.copy(WORKLOADS / "frameworks.py", tmp_path)
    tmp_path.chmod(0o755)
    parts, code, errors = run(engine, base, tmp_path, "numpy", environment={})
    assert (parts, code) == (["numpy"], 0), errors


@pytest.mark.engine
def test_onnxruntime_torch_and_itk_run(engine, base):
    """On demand, for its 1.7 GB: pip install --target DIR torch onnxruntime SimpleITK; PROCTOR_FRAMEWORKS=DIR."""
    folder = os.environ.get("PROCTOR_FRAMEWORKS")
    if not folder:
        pytest.skip(
            "PROCTOR_FRAMEWORKS names no folder with torch, onnxruntime and SimpleITK for Python 3.11"
        )
    shutil.copy(WORKLOADS / "frameworks.py", folder)
    names = ["onnxruntime", "torch", "itk"]
    parts, code, errors = run(engine, base, Path(folder), *names, environment={"PYTHONPATH": "/input"})
    assert (parts, code) == (names, 0), errors
