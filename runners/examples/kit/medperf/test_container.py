"""Checks input and output without a container: ``python3 test_container.py``."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sample import check, write_sample

with tempfile.TemporaryDirectory() as folder:
    data, predictions = Path(folder, "data"), Path(folder, "predictions")
    predictions.mkdir()
    for case in ("c1", "c2"):
        (data / case).mkdir(parents=True)
        write_sample(data / case / "000001.dcm")
    environment = {**os.environ, "TEST_DATA": str(data), "TEST_PREDICTIONS": str(predictions)}
    subprocess.run([sys.executable, Path(__file__).with_name("main.py")], env=environment, check=True)
    assert sorted(path.name for path in predictions.iterdir()) == ["c1.json", "c2.json"]
    answer = json.loads((predictions / "c1.json").read_text())
check(answer)
print("The container keeps to the medperf contract.")
