"""A whole evaluation against the same container looping over the same staged files under bare ``docker run``.

Run: ``python tests/benchmarks/bench_evaluation.py [patients]`` (default 1500). Both sides ask the example vendor
``sound`` about the same staged DICOM files. Proctor's side is everything that ``proctor evaluate`` does up to the
results: probe, verifying every file before and after, staging, asking, journal, ledger, scoring, self-checks. The
bare side is one ``docker run`` whose input is all questions at once. Aim: at most 1.10.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import yaml

from holdout import synthetic
from holdout.staging import Stager
from runners import example_vendors, images
from runners.engine import connect
from runners.posture import worker_environment
from sandbox import submissions
from sandbox.custody import exports, holdouts
from sandbox.demonstration import PROTOCOLS
from sandbox.evaluations.evaluate import evaluate
from sandbox.institution.policy import load_policy
from sandbox.institution.workspace import create
from sandbox.plan import protocols
from sandbox.plan.protocol import load_protocol


@contextmanager
def silent(_description):
    yield lambda _done, _total: None


def prepare(folder: Path, patients: int):
    """A workspace with a locked hold-out of synthetic images and the vendor ``sound``, trained and admitted."""
    workspace, path = create(folder / "workspace"), folder / "protocol.yaml"
    document = yaml.safe_load((PROTOCOLS / "synthetic-cxr.yaml").read_text(encoding="utf-8"))
    # The bare side asks each case once; what stress tests cost is measured in bench_stress_run.py.
    del document["stress"]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    synthetic.generate(folder / "data", patients=patients, seed=3)
    holdouts.ingest(
        workspace,
        "cxr",
        folder / "data" / "dicom",
        reference=folder / "data" / "reference.yaml",
        site=folder / "data" / "site.yaml",
    )
    holdouts.partition(workspace, "cxr", development=0.1, seed=1)
    exports.export_development(workspace, "cxr", folder / "development", unit="image")
    holdouts.lock(workspace, "cxr")
    protocols.register(workspace, path)
    weights = folder / "weights.npz"
    example_vendors.train_example("sound", folder / "development", "opacity", weights)
    policy = load_policy(workspace.policy_path)
    with connect(policy.engine.url) as engine:
        made = example_vendors.example_image(engine, "sound", weights)
        archive = images.save_image(engine, made, folder / "sound.tar")
    submissions.admit(workspace, policy, archive, vendor="sound")
    return workspace, load_protocol(path), made.digest


def bare(folder: Path, workspace, protocol, image: str) -> tuple[float, int]:
    """Seconds of one bare ``docker run`` over all cases, staged beforehand."""
    locked = holdouts.open_holdout(workspace, "cxr")
    staged = folder / "staged"
    questions = []
    with Stager(
        locked, run_key=bytes(32), attributes=protocol.input.attributes, destination=staged, ahead=64
    ) as stager:
        for case in stager.stage():
            question = {"case": case.pseudonym, "directory": f"/input/{case.pseudonym}", "files": case.files}
            questions.append(json.dumps(question))
        task = {"output": {"score": {"minimum": 0, "maximum": 1}}}
        limits = load_policy(workspace.policy_path).container_limits(protocol)
        variables = worker_environment(task, limits)
        environment = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        command = ["docker", "run", "--rm", "-i", *environment, "-v", f"{staged}:/input:ro", image]
        staged.chmod(0o755)
        began = time.monotonic()
        done = subprocess.run(
            command, input="\n".join(questions) + "\n", capture_output=True, text=True, check=True
        )
        seconds = time.monotonic() - began
    answered = done.stdout.count('"answer"')
    return seconds, answered


def main(patients: int) -> None:
    with tempfile.TemporaryDirectory(prefix="proctor-bench-") as temporary:
        folder = Path(temporary)
        workspace, protocol, image = prepare(folder, patients)
        bare(folder, workspace, protocol, image)  # warms the page cache and the engine for both
        bare_seconds, answered = bare(folder, workspace, protocol, image)
        began = time.monotonic()
        item = evaluate(
            workspace, holdout="cxr", submission="sound", protocol=protocol.name, say=print, progress=silent
        )
        ours = time.monotonic() - began
        journal = (item.folder / "journal.jsonl").read_text().splitlines()
        asked = sum(json.loads(line)["seconds"] for line in journal)
    print(f"cases {answered}, load {os.getloadavg()[0]:.1f}")
    print(f"bare docker run   {bare_seconds:7.2f} s")
    print(f"proctor evaluate  {ours:7.2f} s, of which the container answered {asked:.2f} s")
    print(f"ratio             {ours / bare_seconds:7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
