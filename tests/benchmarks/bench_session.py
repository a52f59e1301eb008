"""A hardened session against bare ``docker run``, and cases a second of a worker that does nothing.

Run: ``python tests/benchmarks/bench_session.py [repetitions] [cases]``. Both sides start the same image and wait
for the same line; the ratio is of medians, taken in turns, so that a busy machine is busy for both.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runners.engine import connect
from runners.images import probe_image
from runners.limits import Limits
from runners.posture import Posture, worker_environment
from runners.probe import measure
from runners.session import Session, plan_session
from runners.worker import CaseInput, run_cases

TASK = {"output": {"score": {"minimum": 0, "maximum": 1}}}


def test_vendor(engine, folder: Path) -> str:
    path = Path(__file__).parents[1] / "runners" / "conftest.py"
    spec = importlib.util.spec_from_file_location("runners_conftest", path)
    fixtures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fixtures)
    return fixtures.make_vendor(engine, folder / "vendor", "")


def bare_start(image: str) -> tuple[float, float]:
    began = time.monotonic()
    with subprocess.Popen(
        ["docker", "run", "--rm", "-i", "--network", "none", image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        ready = time.monotonic() - began
        process.stdin.close()
    return ready, time.monotonic() - began


def hardened_start(engine, plan) -> tuple[float, float]:
    began = time.monotonic()
    with Session(engine, plan) as session:
        session.start(60)
        ready = time.monotonic() - began
    return ready, time.monotonic() - began


def cases(folder: Path, count: int):
    for number in range(count):
        directory = folder / f"case-{number}"
        directory.mkdir(parents=True)
        (directory / "000001.dcm").write_bytes(b"x" * 1024)
        yield CaseInput(case=f"case-{number}", directory=directory, files=("000001.dcm",))


def main(repetitions: int = 10, count: int = 5000) -> None:
    engine = connect()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = test_vendor(engine, folder)
        root = folder / "input"
        root.mkdir()
        limits = Limits()
        plan = plan_session(
            engine,
            image,
            posture=Posture(),
            limits=limits,
            input_root=root,
            environment=worker_environment(TASK, limits),
        )
        bare, hardened = [], []
        for _ in range(repetitions):
            bare.append(bare_start(image))
            hardened.append(hardened_start(engine, plan))
        ready = [statistics.median(times[0] for times in side) for side in (hardened, bare)]
        whole = [statistics.median(times[1] for times in side) for side in (hardened, bare)]
        staged = list(cases(folder / "staged", count))
        events = []
        outcomes = list(
            run_cases(
                engine,
                image,
                posture=Posture(),
                limits=limits,
                cases=staged,
                input_root=root,
                task=TASK,
                on_event=lambda event: events.append((event.kind, time.monotonic())),
            )
        )
        moments = dict(events)
        measured = measure(engine, probe_image(engine).digest, posture=Posture(), limits=limits)
    print(
        json.dumps(
            {
                "seconds_to_ready": {"hardened": ready[0], "bare": ready[1], "ratio": ready[0] / ready[1]},
                "seconds_start_to_end": {
                    "hardened": whole[0],
                    "bare": whole[1],
                    "ratio": whole[0] / whole[1],
                },
                "cases_per_second": count / (moments["stopped"] - moments["ready"]),
                "cases_per_second_asking_only": count / sum(outcome.seconds for outcome in outcomes),
                "answered": sum(outcome.failure is None for outcome in outcomes),
                "probe_seconds": measured.seconds,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
