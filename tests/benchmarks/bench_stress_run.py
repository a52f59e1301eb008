"""Asking clean and stressed cases together against the container's own time.

Run: ``python tests/benchmarks/bench_stress_run.py [patients]`` (default 60). The example vendor ``sound`` is asked
about its hold-out and the suite ``radiograph``, in one random order. Wall time is that of all asking: staging and
perturbing each ask in its turn, starting and loading containers, asking, journals. The container's own time is the sum
from question to answer. The same without stress tests is measured beside it; what the stressed asks add is the
difference. Aim: at most 1.3.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from sandbox.demonstration import PROTOCOLS
from sandbox.evaluations.evaluate import evaluate
from sandbox.plan import protocols
from tests.benchmarks.bench_evaluation import prepare

HOLDOUT_PATIENTS = 240


def main(patients: int) -> None:
    spent: dict[str, float] = {}

    @contextmanager
    def timed(description):
        began = time.monotonic()
        yield lambda _done, _total: None
        spent[description] = time.monotonic() - began

    with tempfile.TemporaryDirectory(prefix="proctor-bench-") as temporary:
        folder = Path(temporary)
        workspace, plain, _ = prepare(folder, HOLDOUT_PATIENTS)
        path = folder / "stressed.yaml"
        text = (PROTOCOLS / "synthetic-cxr.yaml").read_text()
        path.write_text(text.replace("patients: 32 ", f"patients: {patients} "))
        walls, owns, asks = [], [], []
        for registered in (protocols.find(workspace, plain.digest), protocols.register(workspace, path)):
            item = evaluate(
                workspace,
                holdout="cxr",
                submission="sound",
                protocol=registered.digest,
                say=print,
                progress=timed,
                internal=True,
            )
            journals = [item.folder / name for name in ("journal.jsonl", "stress.jsonl")]
            lines = [line for each in journals if each.exists() for line in each.read_text().splitlines()]
            walls.append(spent["asking sound"])
            owns.append(sum(json.loads(line)["seconds"] for line in lines))
            asks.append(len(lines))
    for name, wall, own, number in (
        ("clean cases", walls[0], owns[0], asks[0]),
        ("clean and stressed", walls[1], owns[1], asks[1]),
        ("what stress adds", walls[1] - walls[0], owns[1] - owns[0], asks[1] - asks[0]),
    ):
        print(
            f"{name:20} {number:6} asks, wall {wall:7.2f} s, container's own {own:7.2f} s, {wall / own:5.2f} times"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
