"""Attacks on whoever collects output, launched from a real container through the ``files`` contract."""

import contextlib
import os
import secrets
from pathlib import Path

import pytest

from runners.contracts.answer_location import AnswerLocation
from runners.contracts.files import CONTRACT
from runners.contracts.interface import ContractRun
from runners.errors import ImageError
from runners.failures import FailureCode
from runners.images import build_image
from runners.limits import MIB, Limits
from runners.posture import Posture
from runners.worker import CaseInput

pytestmark = pytest.mark.engine

SCORE = {"output": {"score": {"minimum": 0, "maximum": 1}}}
LIMITS = Limits(
    memory_bytes=128 * MIB,
    tmp_bytes=8 * MIB,
    shm_bytes=4 * MIB,
    output_bytes=16 * MIB,
    output_inodes=2000,
    pids=32,
    seconds_to_ready=20,
    seconds_per_case=15.0,
    failures_in_a_row=1000,
)
PROGRAM = Path(__file__).with_name("collected_output.py")
DOCKERFILE = b'FROM proctor/base\nCOPY p.py /\nUSER 65532:65532\nENTRYPOINT ["python3", "/p.py"]\n'
REFUSED = FailureCode.OUTPUT_REFUSED
# What becomes of each attack, and why. None: the case is answered with 0.5, and what was planted changes nothing.
ATTACKS = {
    "link_to_the_hosts_secret": (REFUSED, "no link is followed"),
    "link_to_an_earlier_input": (REFUSED, "no link is followed"),
    "link_by_proc_root": (REFUSED, "no link is followed, those of the kernel included"),
    "link_to_itself": (REFUSED, "no link is followed"),
    "parent_is_a_link": (REFUSED, "no part of a path may be a link"),
    "parent_is_a_link_upwards": (REFUSED, "no part of a path may be a link"),
    "second_hard_link": (REFUSED, "a file must have one name"),
    "fifo": (REFUSED, "looked at before it is opened"),
    "unix_socket": (REFUSED, "regular files only"),
    "folder": (REFUSED, "regular files only"),
    "device": (FailureCode.CRASHED, "no device can be made"),
    "sparse_beyond_the_cap": (REFUSED, "size is known before reading"),
    "sparse_terabyte": (FailureCode.CRASHED, "limit on the size of a file"),
    "a_million_files": (FailureCode.CRASHED, "limit on inodes of the output"),
    "output_filled": (FailureCode.CRASHED, "limit on the size of the output"),
    "name_with_escape": (None, "only declared names are looked at"),
    "name_with_newline": (None, "only declared names are looked at"),
    "name_in_invalid_utf8": (None, "only declared names are looked at"),
    "names_that_differ_in_case": (None, "only declared names are looked at"),
    "deep_folders": (None, "only declared names are looked at"),
    "unreadable_answer": (None, "the host's own rights read it, and nothing else of it"),
    "set_user_id_answer": (None, "the output is mounted without set-user-id, and only content is taken"),
    "answer_of_the_past": (None, "times of files are not taken"),
    "mount_over_the_output": (FailureCode.CRASHED, "system call refused"),
}

SWAPS = [f"parents_swapped_until_the_end-{number}" for number in range(5)]


@pytest.fixture(scope="module")
def image(engine):
    try:
        return build_image(
            engine, "proctor/test-output", {"p.py": PROGRAM.read_bytes(), "Dockerfile": DOCKERFILE}
        ).digest
    except ImageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def outcomes(engine, image, tmp_path_factory):
    """Put every attack to the container; returns outcomes by name, the secret, and all of the log."""
    folder = tmp_path_factory.mktemp("collected")
    secret = "FLAG" + secrets.token_hex(16)
    for name in ("answer.json", "secret.json"):
        (folder / name).write_text("0.25")
    (folder / "flag").write_text(secret)
    root, events = folder / "input", []
    root.mkdir()

    def staged():
        for name in (*ATTACKS, *SWAPS):
            directory = folder / "staged" / name
            directory.mkdir(parents=True)
            (directory / "000001.dcm").write_text(f"{name.partition('-')[0]}\n{folder}")
            yield CaseInput(case=name, directory=directory, files=("000001.dcm",))

    request = ContractRun(
        engine=engine,
        image=image,
        posture=Posture(),
        limits=LIMITS,
        input_root=root,
        task=SCORE,
        settings={"contract": "files/1", "unit": "case"},
        answer=AnswerLocation(file="result/answer.json", place=""),
        user="65532:65532",
        on_event=events.append,
    )
    found = {}
    with contextlib.closing(CONTRACT.run(request, staged())) as running:
        for outcome in running:
            found[outcome.case] = outcome
    return found, secret, b"".join(event.log_tail for event in events)


@pytest.mark.parametrize("name", ATTACKS)
def test_output_is_held(outcomes, attack, name):
    code, held = ATTACKS[name]
    attack("collected from a container", name.replace("_", " "), f"{code or 'answered'}: {held}")
    outcome = outcomes[0][name]
    assert outcome.failure is code
    # 0.25 is what stands where the links lead; it must never become an answer.
    assert outcome.answer == (None if code else {"score": 0.5})
    assert outcome.seconds < LIMITS.seconds_per_case + 3


def test_swapped_parents_lead_nowhere(outcomes, attack):
    held = "processes end with their container, then one resolution by the kernel"
    attack("collected from a container", "parents swapped until the end", held)
    for name in SWAPS:
        outcome = outcomes[0][name]
        # Folder or link, as the race ended; where the link leads there is an answer too, and it is never taken.
        assert outcome.failure in {None, REFUSED, FailureCode.OUTPUT_MISSING}
        assert outcome.answer == (None if outcome.failure else {"score": 0.5})


def test_no_secret_came_back_and_nothing_stays_mounted(outcomes):
    found, secret, log = outcomes
    assert secret.encode() not in log
    assert not any(secret in outcome.detail for outcome in found.values())
    mounted = Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert not [line for line in mounted.splitlines() if f"/{os.getpid()}-" in line]
