"""Checks input and output without a container: ``python3 test_container.py``."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from model import ANSWER

with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder, "input"), Path(folder, "output")
    source.mkdir()
    target.mkdir()
    (source / "000001.dcm").write_bytes(b"")
    environment = {**os.environ, "PROCTOR_INPUT": str(source), "PROCTOR_OUTPUT": str(target)}
    subprocess.run([sys.executable, Path(__file__).with_name("main.py")], env=environment, check=True)
    answer = json.loads((target / "answer.json").read_text())
assert answer.keys() == ANSWER.keys(), answer
assert all(isinstance(number, int | float) for number in answer.values()), answer
print("The container keeps to the files contract.")
