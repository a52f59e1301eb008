"""Checks input and output without a container: ``python3 test_container.py``."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sample import check, write_sample

command = json.loads(json.loads(Path(__file__).with_name("app.json").read_text())["command"])
assert Path(command[-1]).name == "main.py", command
with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder, "input"), Path(folder, "output")
    source.mkdir()
    target.mkdir()
    write_sample(source / "000001.dcm")
    environment = {**os.environ, "HOLOSCAN_INPUT_PATH": str(source), "HOLOSCAN_OUTPUT_PATH": str(target)}
    subprocess.run([sys.executable, Path(__file__).with_name("main.py")], env=environment, check=True)
    answer = json.loads((target / "result.json").read_text())
check(answer)
print("The container keeps to the map contract.")
