"""The stressed part of an evaluation against the container's own time.

Run: ``python tests/benchmarks/bench_stress_run.py [patients]`` (default 60). The example vendor ``sound`` is asked
about the suite ``radiograph``. Wall time is that of the whole stressed part: staging and perturbing each ask, starting
and loading containers, asking, journal. The container's own time is the sum from question to answer. Aim: at most 1.3.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from sandbox import protocols
from sandbox.demonstration import PROTOCOLS
from sandbox.evaluate import evaluate
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
        workspace, _, _ = prepare(folder, HOLDOUT_PATIENTS)
        path = folder / "stressed.yaml"
        text = (PROTOCOLS / "synthetic-cxr.yaml").read_text()
        path.write_text(text.replace("patients: 32 ", f"patients: {patients} "))
        registered = protocols.register(workspace, path)
        item = evaluate(
            workspace,
            holdout="cxr",
            submission="sound",
            protocol=registered.digest,
            say=print,
            progress=timed,
        )
        lines = [json.loads(line) for line in (item.folder / "stress.jsonl").read_text().splitlines()]
    wall, own = spent["stressing sound"], sum(line["seconds"] for line in lines)
    print(f"asks {len(lines)}, load {os.getloadavg()[0]:.1f}")
    print(f"stressed part        {wall:7.2f} s, {1000 * wall / len(lines):.1f} ms an ask")
    print(f"container's own time {own:7.2f} s, {1000 * own / len(lines):.1f} ms an ask")
    print(f"ratio                {wall / own:7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
