"""Lesion detection on 3-D maps, from the arrays to AP and AUROC, against picai_eval.

Run: ``python tests/benchmarks/bench_detection.py [PYTHON] [CASES]``. PYTHON is the interpreter of an environment that
has the peer (``pip install picai_eval``); without it only the product is timed. Each runs in a process of its own, on
one thread, on the same files; times are of the processor. The two values must agree to 1e-9.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SHAPE = (20, 256, 256)
HEAD = """
import json, sys, time
import numpy as np
count = int(sys.argv[2])
found = np.memmap(sys.argv[1] + "/found", np.float32, "r", shape=(count, {0}, {1}, {2}))
lesions = np.memmap(sys.argv[1] + "/lesions", np.uint8, "r", shape=(count, {0}, {1}, {2}))
started = time.process_time()
"""
OURS = """
from sandbox.scoring.detection import curves
from sandbox.scoring.detection.maps import case_of_maps
from sandbox.scoring.detection.marks import make_marks
started = time.process_time()
marks = make_marks([case_of_maps(a, b) for a, b in zip(found, lesions)], np.arange(count))
counts = marks.total()
ap, auroc = float(curves.average_precision(marks, counts)[0]), float(curves.case_auroc(marks, counts)[0])
print(json.dumps([time.process_time() - started, ap, auroc]))
"""
PEER = """
from picai_eval import evaluate
started = time.process_time()
metrics = evaluate(list(found), list(lesions), num_parallel_calls=1)
ap, auroc = float(metrics.AP), float(metrics.auroc)
print(json.dumps([time.process_time() - started, ap, auroc]))
"""


def write_maps(folder: Path, cases: int) -> None:
    """Half of the cases have one or two lesions; most are found, with false alarms beside them."""
    random = np.random.default_rng(17)
    found = np.memmap(folder / "found", np.float32, "w+", shape=(cases, *SHAPE))
    lesions = np.memmap(folder / "lesions", np.uint8, "w+", shape=(cases, *SHAPE))
    plane, row, column = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]

    def ball(centre: np.ndarray, radius: float) -> np.ndarray:
        away = (3 * (plane - centre[0])) ** 2 + (row - centre[1]) ** 2 + (column - centre[2]) ** 2
        return away <= radius**2

    for case in range(cases):
        for _ in range(int(random.integers(1, 3)) if case % 2 else 0):
            centre = random.uniform((4, 30, 30), (16, 226, 226))
            lesions[case][ball(centre, 11)] = 1
            place = ball(centre + random.normal(0, 2, 3) / (3, 1, 1), 10)
            if random.random() < 0.8 and not _beside(found[case], place):
                found[case][place] = random.uniform(0.3, 1)
        for _ in range(int(random.integers(0, 4))):
            place = ball(random.uniform((2, 20, 20), (18, 236, 236)), 7)
            if not _beside(found[case], place):
                found[case][place] = random.uniform(0.05, 0.8)
    found.flush()
    lesions.flush()


def _beside(found: np.ndarray, place: np.ndarray) -> bool:
    """Whether an object would touch another: the peer gives two that touch one rating."""
    box = tuple(slice(max(0, int(axis.min()) - 2), int(axis.max()) + 3) for axis in np.nonzero(place))
    return bool(found[box].any())


def timed(python: str, code: str, folder: str, cases: int) -> list[float]:
    text = HEAD.format(*SHAPE) + code
    run = subprocess.run([python, "-c", text, folder, str(cases)], check=True, capture_output=True, text=True)
    found: list[float] = json.loads(run.stdout.splitlines()[-1])
    return found


def show(name: str, found: list[float], cases: int) -> None:
    seconds, ap, auroc = found
    print(
        f"{name:12} {seconds:6.2f} s, {1000 * seconds / cases:5.1f} ms a case, AP {ap:.10f} AUROC {auroc:.10f}"
    )


def main() -> None:
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as folder:
        write_maps(Path(folder), cases)
        ours = timed(sys.executable, OURS, folder, cases)
        show("this project", ours, cases)
        if len(sys.argv) > 1:
            peer = timed(sys.argv[1], PEER, folder, cases)
            show("picai_eval", peer, cases)
            print(f"ratio {peer[0] / ours[0]:.1f}")
            assert np.allclose(ours[1:], peer[1:], rtol=0, atol=1e-9)


if __name__ == "__main__":
    main()
