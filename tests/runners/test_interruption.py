"""Ctrl-C and kill -9 in the middle of a run: nothing stays, or what stays is found at the next start."""

import os
import signal
import subprocess
import sys
import time

import pytest

from runners.leftovers import LABEL_OWNER, new_name, owner_labels, remove_leftovers
from runners.limits import Limits
from runners.posture import NONROOT_USER, Posture, container_config

pytestmark = pytest.mark.engine

RUN = """
import sys
from pathlib import Path
from runners.engine import connect
from runners.limits import MIB, Limits
from runners.posture import Posture
from runners.worker import CaseInput, run_cases

image, folder = sys.argv[1], Path(sys.argv[2])
(folder / "input").mkdir()
(folder / "slow-1").mkdir()
cases = [CaseInput(case="slow-1", directory=folder / "slow-1", files=())]
limits = Limits(memory_bytes=64 * MIB, tmp_bytes=MIB, shm_bytes=MIB, seconds_per_case=60)
print("asking", flush=True)
for _ in run_cases(connect(), image, posture=Posture(), limits=limits, cases=cases, input_root=folder / "input",
                   task={"output": {"score": {"minimum": 0, "maximum": 1}}},
                   on_event=lambda event: print(event.kind, flush=True)):
    pass
"""


def start_run(image, folder):
    process = subprocess.Popen([sys.executable, "-c", RUN, image, folder], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.strip() == "ready":
            break
    time.sleep(0.2)
    return process


def of_process(engine, process):
    return [item for item in engine.labelled(LABEL_OWNER) if f"/{process.pid}/" in item.labels[LABEL_OWNER]]


def test_interrupt_removes_container_and_case(engine, vendor, tmp_path):
    process = start_run(vendor(), tmp_path)
    assert len(of_process(engine, process)) == 1
    process.send_signal(signal.SIGINT)
    with process:
        assert process.wait(timeout=20) != 0
    assert of_process(engine, process) == []
    assert list((tmp_path / "input").iterdir()) == []


def test_killed_run_is_cleaned_up_by_the_next(engine, vendor, tmp_path):
    process = start_run(vendor(), tmp_path)
    process.kill()
    with process:
        process.wait(timeout=20)
    assert len(of_process(engine, process)) == 1
    assert remove_leftovers(engine) >= 1
    assert of_process(engine, process) == []


def test_containers_of_the_living_and_of_others_stay(engine, vendor):
    def create(labels, name):
        config = container_config(
            vendor(), posture=Posture(), limits=Limits(), user=NONROOT_USER, labels=labels
        )
        return engine.create(config, name)

    mine = owner_labels("test")
    host, boot, _, created = mine[LABEL_OWNER].split("/")
    dead = f"{boot}/{2**22 + 1}/{created}"
    made = [
        create(mine, new_name()),
        create({LABEL_OWNER: f"another-host/{dead}"}, new_name()),
        create({LABEL_OWNER: "not of this form"}, new_name()),
        create({LABEL_OWNER: f"{host}/{dead}"}, f"somebody-elses-{os.getpid()}"),
    ]
    orphans = [
        create({LABEL_OWNER: f"{host}/{dead}"}, new_name()),
        create({LABEL_OWNER: f"{host}/an-earlier-boot/{os.getpid()}/{created}"}, new_name()),
        create({LABEL_OWNER: f"{host}/{boot}/{os.getpid()}/1.00"}, new_name()),
    ]
    try:
        remove_leftovers(engine)
        left = {item.id for item in engine.labelled(LABEL_OWNER)}
        assert set(made) <= left
        assert not set(orphans) & left
    finally:
        for container in made + orphans:
            engine.remove(container)
