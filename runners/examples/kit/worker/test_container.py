"""Checks the conversation without a container: ``python3 test_container.py``."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from sample import check, write_sample

with tempfile.TemporaryDirectory() as folder:
    write_sample(Path(folder, "000001.dcm"))
    question = {"case": "c1", "directory": folder, "files": ["000001.dcm"]}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("main.py")],
        input=f"{json.dumps(question)}\n",
        capture_output=True,
        text=True,
        check=True,
    )
ready, answer = map(json.loads, done.stdout.splitlines())
assert ready == {"ready": True}, ready
assert answer["case"] == "c1", answer
check(answer["answer"])
print("The container keeps to the worker contract.")
