"""The list of system calls: what it says, what it compiles to, and that honest models run under it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.base_image import SUITE
from runners.errors import ImageError
from runners.images import base_image
from runners.leftovers import new_name, owner_labels
from runners.limits import GIB, MIB, Limits
from runners.posture import NONROOT_USER, Posture, container_config, worker_environment
from runners.seccomp import SYSTEM_CALLS, read_system_calls, seccomp_profile, system_calls

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
    groups = system_calls().allowed
    without = {call.name for group in groups if group.when is None for call in group.calls}
    assert {call.name for group in groups if group.when == "loopback" for call in group.calls} <= without
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


def installed(folder, *packages):
    """Install packages for the base image's Python into ``folder``, from PyPI."""
    program = Path(sys.executable).with_name("uv")
    if not program.exists():
        pytest.skip("uv is missing: it installs the frameworks for the base image's Python")
    command = [program, "pip", "install", "-q", "--only-binary", ":all:", "--python-version", "3.11"]
    done = subprocess.run(
        [*command, "--target", folder, *packages], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"the frameworks cannot be installed: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="module")
def frameworks(engine, base, tmp_path_factory):
    """The base image with onnxruntime and SimpleITK, made once a machine: 0.4 GB from PyPI."""
    packages = ("onnxruntime==1.20.1", "simpleitk==2.4.1")
    key = hashlib.sha256(repr((packages, base)).encode()).hexdigest()[:12]
    tag = f"proctor/test-frameworks:{key}"
    if found := engine.image(tag):
        return found.digest
    folder = tmp_path_factory.mktemp("frameworks")
    installed(folder / "packages", *packages)
    dockerfile = f"FROM {base_image(engine).tag}\nCOPY packages /opt/packages\nENV PYTHONPATH=/opt/packages\n"
    (folder / "Dockerfile").write_text(dockerfile)
    with tempfile.TemporaryFile() as context:
        with tarfile.open(fileobj=context, mode="w") as tar:
            tar.add(folder, arcname=".")
        context.seek(0)
        digest = engine.build(context, tag)
    shutil.rmtree(folder)
    return digest


@pytest.mark.engine
def test_onnxruntime_and_itk_run(engine, frameworks, tmp_path):
    shutil.copy(WORKLOADS / "frameworks.py", tmp_path)
    tmp_path.chmod(0o755)
    names = ["onnxruntime", "itk"]
    parts, code, errors = run(engine, frameworks, tmp_path, *names, environment={})
    assert (parts, code) == (names, 0), errors


DEBIAN_PACKAGES = Path("/usr/lib/python3/dist-packages")
# Of the base image's own C library, whose parts must be of one version.
OF_THE_BASE = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|pthread|util|resolv|anl|nsl)\.so.*)")


def debian_torch(folder):
    """Link this host's own python3-torch, with the libraries that it loads, into ``folder``; False without it."""
    torch = DEBIAN_PACKAGES / "torch"
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    if not torch.is_dir() or f"VERSION_CODENAME={SUITE}" not in release:
        return False
    # Some of its links lead to packages for building with it.
    shutil.copytree(
        torch,
        folder / "torch",
        copy_function=lambda source, to: os.link(Path(source).resolve(), to),
        ignore=lambda at, names: [name for name in names if not Path(at, name).exists()],
    )
    for path in DEBIAN_PACKAGES.glob("typing_extensions*"):
        if path.is_file():
            os.link(path, folder / path.name)
    (folder / "lib").mkdir()
    (binding,) = torch.glob("_C.*.so")
    listed = subprocess.run(["ldd", binding], capture_output=True, text=True, check=True).stdout
    for name, path in re.findall(r"^\s*(\S+) => (/\S+)", listed, re.M):
        if not OF_THE_BASE.fullmatch(name):
            os.link(Path(path).resolve(), folder / "lib" / name)
    return True


@pytest.mark.engine
def test_torch_runs(engine, base, tmp_path):
    """With this host's own package (Debian: apt-get install python3-torch), or with another torch on demand.

    uv pip install --target DIR --python-version 3.11 torch numpy; PROCTOR_FRAMEWORKS=DIR.
    """
    given = os.environ.get("PROCTOR_FRAMEWORKS")
    folder = Path(given) if given else tmp_path
    if not given and not debian_torch(folder):
        pytest.skip("no torch: apt-get install python3-torch, or name a folder in PROCTOR_FRAMEWORKS")
    folder.chmod(0o755)
    shutil.copy(WORKLOADS / "frameworks.py", folder)
    environment = {"PYTHONPATH": "/input", "LD_LIBRARY_PATH": "/input/lib"}
    parts, code, errors = run(engine, base, folder, "torch", environment=environment)
    assert (parts, code) == (["torch"], 0), errors
