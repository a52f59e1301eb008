"""Attacks by a real container on the road that vendors' containers take, each held by what the table says."""

import contextlib
import hashlib
import io
import os
import re
import secrets
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest
import yaml

from runners.failures import FailureCode
from runners.leftovers import LABEL_OWNER, NAME_PREFIX, new_name, owner_labels
from runners.limits import KIB, MIB, Limits
from runners.posture import Posture
from runners.worker import CaseInput, run_cases
from sandbox.asking import predictions
from sandbox.asking.predictions import level
from sandbox.plan.output_schema import ScoreOutput

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
TABLE = yaml.safe_load((HERE / "attacks.yaml").read_text(encoding="utf-8"))
INSIDE = [(family, name, held) for family, rows in TABLE["inside"].items() for name, held in rows.items()]
TOWARDS = [
    (family, name, row[0], ", ".join(row[1:]))
    for family, rows in TABLE["towards the host"].items()
    for name, row in rows.items()
]
SCORE = {"output": {"score": {"minimum": 0, "maximum": 1}}}
LIMITS = Limits(
    memory_bytes=64 * MIB,
    tmp_bytes=8 * MIB,
    tmp_inodes=1000,
    shm_bytes=4 * MIB,
    pids=32,
    open_files=256,
    seconds_to_ready=20,
    seconds_per_case=2,
    seconds_to_stop=0.5,
    answer_bytes=4 * KIB,
    stray_bytes=4 * MIB,
    log_tail_bytes=4 * MIB,
    failures_in_a_row=1000,
)


@pytest.fixture(scope="module")
def attacker(engine, tmp_path_factory):
    """Return the id of the attacker's image, made once for its source."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing: the attacker is compiled on this host")
    source = HERE / "attacker.c"
    tag = f"proctor/test-attacker:{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if found := engine.image(tag):
        return found.digest
    program = tmp_path_factory.mktemp("attacker") / "attacker"
    subprocess.run(["gcc", "-static", "-O1", "-s", "-o", program, source], check=True)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in ("input", "tmp", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        entry = tarfile.TarInfo("attacker")
        entry.size, entry.mode = program.stat().st_size, 0o755
        tar.addfile(entry, io.BytesIO(program.read_bytes()))
    changes = ('ENTRYPOINT ["/attacker"]', "USER 65532:65532")
    return engine.import_filesystem(io.BytesIO(whole.getvalue()), tag, changes)


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Plant flags all over the host: files, a process's environment, sockets of every kind; return where and what."""
    folder = tmp_path_factory.mktemp("host")
    token, abstract = "FLAG" + secrets.token_hex(16), "proctor-" + secrets.token_hex(8)
    for name in ("flag", "truth", "staged"):
        (folder / name).write_text(token)
    shared = Path("/dev/shm/proctor-flag")
    shared.write_text(token)
    os.environ["PROCTOR_TEST_SECRET"] = token
    listeners = []
    with contextlib.ExitStack() as stack:
        for family, address in (
            (socket.AF_INET, ("0.0.0.0", 0)),
            (socket.AF_UNIX, f"\0{abstract}"),
            (socket.AF_UNIX, str(folder / "s")),
        ):
            listener = stack.enter_context(socket.socket(family))
            listener.bind(address)
            listener.listen(16)
            listeners.append(listener)
            threading.Thread(target=serve, args=(listener, token.encode()), daemon=True).start()
        plan = {
            "flag": folder / "flag",
            "truth": folder / "truth",
            "socket": folder / "s",
            "neighbour_path": folder / "staged",
            "shm": f"/proc/1/root{shared}",
            "abstract": abstract,
            # Enough to look for it; the whole of it is nowhere in the plan.
            "secret": token[:20],
            "port": listeners[0].getsockname()[1],
            "hostname": socket.gethostname(),
            "boot": read("/proc/sys/kernel/random/boot_id"),
            "address": own_address(),
            "gateway": "172.17.0.1",
            "nameserver": next(iter(re.findall(r"^nameserver\s+(\S+)", read("/etc/resolv.conf"), re.M)), ""),
        }
        yield token, plan
    del os.environ["PROCTOR_TEST_SECRET"]
    shared.unlink()


def read(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
            return asking.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def serve(listener, token):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.sendall(token)


def plan_text(plan, **more):
    return "".join(f"\n{key}={value}" for key, value in {**plan, **more}.items()) + "\n"


@pytest.fixture(scope="module")
def ask(engine, attacker, tmp_path_factory):
    """Return a function that puts cases, by name, to the attacker; it returns outcomes by name, and all log text."""

    def run(names, plan, more=lambda name: {}):
        folder = tmp_path_factory.mktemp("run")
        root, events = folder / "input", []
        root.mkdir()

        def staged():
            for name in names:
                directory = folder / "staged" / name
                directory.mkdir(parents=True)
                (directory / "plan.txt").write_text(plan_text(plan, **more(name)))
                yield CaseInput(case=name, directory=directory, files=("plan.txt",))

        outcomes = run_cases(
            engine,
            attacker,
            posture=Posture(),
            limits=LIMITS,
            cases=staged(),
            input_root=root,
            task=SCORE,
            on_event=events.append,
        )
        found = {outcome.case: outcome for outcome in outcomes}
        log = b"".join(event.log_tail for event in events)
        mine = {event.container for event in events}
        assert mine
        return found, log

    return run


@pytest.fixture(scope="module")
def inside(ask, flags):
    _, plan = flags
    return ask([name for _, name, _ in INSIDE], {**plan, "neighbour": "victim"})


@pytest.mark.parametrize(("family", "name", "held"), INSIDE, ids=[row[1] for row in INSIDE])
def test_attack_is_held_inside(inside, attack, family, name, held):
    attack(family, name.replace("_", " "), held)
    outcome = inside[0][name]
    assert outcome.failure is None
    assert outcome.answer == {"score": 0.0}


def test_no_flag_was_read(inside, flags):
    token, _ = flags
    assert token.encode() not in inside[1]


@pytest.fixture(scope="module")
def towards(ask, flags):
    return ask([name for _, name, _, _ in TOWARDS], {})


@pytest.mark.parametrize(("family", "name", "code", "held"), TOWARDS, ids=[row[1] for row in TOWARDS])
def test_attack_on_the_host_ends_in_its_code(towards, attack, family, name, code, held):
    attack(family, name.replace("_", " "), f"{code}: {held}")
    outcome = towards[0][name]
    assert (outcome.failure or "answered") == code
    assert outcome.seconds < LIMITS.seconds_per_case + 3


@pytest.mark.parametrize("name", ["answer_twice", "answer_ahead"])
def test_further_answers_count_for_nobody(ask, attack, name):
    attack("answers", name.replace("_", " "), "the second line is the wrong answer to the next question")
    outcomes, _ = ask([name, "low_bits_b-1", "low_bits_b-2"], {})
    assert outcomes[name].answer == {"score": 0.5}
    assert outcomes["low_bits_b-1"].failure is FailureCode.WRONG_CASE
    assert outcomes["low_bits_b-2"].answer == {"score": 0.5}


def test_low_bits_carry_nothing(ask, attack):
    attack("answers", "hidden low bits", "scores are kept as levels that the protocol declares")
    outcomes, _ = ask(["low_bits_a", "low_bits_b", "low_bits_b-2"], {})
    scale = ScoreOutput().numbers[0]
    assert len({level(outcome.answer["score"], scale) for outcome in outcomes.values()}) == 1


CHANNELS = {
    "exit_code": ("exit_code_3", "exit_code_77", "every exit code is the same failure"),
    "log_text": ("log_text-a", "log_text-b", "log text stays with the host"),
    "timing": ("slow_by_pixel-a", "slow_by_pixel-b", "seconds stay with the host"),
    "memory_use": ("memory_by_pixel-a", "memory_by_pixel-b", "memory use is not recorded"),
    "log_size": ("log_size_by_pixel-a", "log_size_by_pixel-b", "sizes stay with the host"),
    "refusal_reason": ("refusal_by_pixel-a", "refusal_by_pixel-b", "every refusal is the same failure"),
    "way_of_crashing": ("crash_by_pixel-a", "crash_by_pixel-b", "every crash is the same failure"),
}


@pytest.fixture(scope="module")
def channels(ask):
    names = [name for row in CHANNELS.values() for name in row[:2]]
    return ask(names, {}, more=lambda name: {"pattern": int(name.endswith(("-a", "_3")))})


def vendor_side(outcome):
    """What is kept of a case beyond the host: the columns of predictions.parquet, and the code's sentence."""
    answered = None if outcome.answer is None else level(outcome.answer["score"], ScoreOutput().numbers[0])
    return answered, outcome.failure, outcome.failure and outcome.failure.sentence


@pytest.mark.parametrize("channel", CHANNELS)
def test_channel_does_not_tell_two_images_apart(channels, attack, channel):
    first, second, held = CHANNELS[channel]
    attack("channels", channel.replace("_", " "), held)
    outcomes, log = channels
    assert vendor_side(outcomes[first]) == vendor_side(outcomes[second])
    assert b"patient Doe" in log
    assert not any("Doe" in str(vendor_side(outcome)) + outcome.detail for outcome in outcomes.values())


def test_two_runs_that_differ_in_every_channel_score_from_the_same_bytes(channels, attack, tmp_path):
    """Results, report and release are made of the predictions alone, so what these do not hold, no vendor sees."""
    held = "what is scored and released holds none of them: same bytes"
    attack("channels", "all of them at once", held)
    outcomes, log = channels
    for side in (0, 1):
        predictions.write(
            (
                predictions.Prediction(
                    case_id=f"case-{number}",
                    levels=None if outcome.answer is None else (vendor_side(outcome)[0],),
                    failure=outcome.failure,
                )
                for number, outcome in enumerate(outcomes[row[side]] for row in CHANNELS.values())
            ),
            tmp_path / f"{side}.parquet",
        )
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    # On the host's side the channels are wide open: it is the boundary that closes them.
    slow, fast, _ = CHANNELS["timing"]
    assert outcomes[slow].seconds > outcomes[fast].seconds + 0.2
    assert log.count(b"x\n") > 5000


def test_nothing_is_left_on_the_host(engine, inside, towards):
    mine = owner_labels("")[LABEL_OWNER]
    left = [item for item in engine.labelled(LABEL_OWNER) if item.labels[LABEL_OWNER] == mine]
    assert [item for item in left if item.name.startswith(NAME_PREFIX)] == []
    processes = subprocess.run(["ps", "-eo", "comm"], capture_output=True, text=True, check=False).stdout
    assert "attacker" not in processes.split()


def test_the_same_attacks_get_through_without_the_box(engine, attacker, flags, tmp_path):
    """An attack that fails anywhere proves nothing: most of them succeed in an open container.

    The rest are floods, left out here, and attacks on what this kernel or the engine's host does not have.
    """
    token, plan = flags
    (tmp_path / "plan.txt").write_text(plan_text(plan, neighbour="victim"))
    name = new_name()
    config = {
        "Image": attacker,
        "User": "0:0",
        "Cmd": ["all"],
        "Labels": owner_labels("test"),
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": [f"SECRET={token}"],
        "HostConfig": {
            "NetworkMode": "host",
            "PidMode": "host",
            "IpcMode": "host",
            "CapAdd": ["ALL"],
            "CapDrop": ["SYS_BOOT", "SYS_MODULE", "SYS_TIME", "SYS_RESOURCE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "Binds": [f"{tmp_path}:/input", f"{Path(plan['flag']).parent}:{Path(plan['flag']).parent}"],
        },
    }
    container = engine.create(config, name)
    stream, output = engine.attach(container), {1: b"", 2: b""}
    try:
        engine.start(container)
        while (piece := stream.read(time.monotonic() + 120)) is not None:
            output[piece[0]] += piece[1]
    finally:
        stream.close()
        engine.remove(name)
    results = dict(line.split() for line in output[1].decode().splitlines())
    through = {attacked for attacked, result in results.items() if result == "1"}
    assert set(results) == {each for _, each, _ in INSIDE}
    assert token.encode() in output[2]
    held = sorted(set(results) - through)
    assert len(through) >= 0.6 * len(results), held
    assert {"host_file", "vsock", "ring", "host_loopback", "abstract_socket", "program_in_memory"} <= through
