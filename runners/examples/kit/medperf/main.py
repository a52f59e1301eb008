"""MedPerf's infer task: all cases below one folder, an answer for each into another. The model is loaded once."""

import json
import os
from pathlib import Path

from model import load, predict

# container_config.yaml mounts these places; the test has others.
DATA = Path(os.environ.get("TEST_DATA", "/mlcommons/volumes/data"))
PREDICTIONS = Path(os.environ.get("TEST_PREDICTIONS", "/mlcommons/volumes/predictions"))

model = load()
for case in sorted(path for path in DATA.iterdir() if path.is_dir()):
    answer = predict(model, sorted(str(path) for path in case.iterdir()))
    # Written at once: what is there when the container ends has been answered.
    (PREDICTIONS / f"{case.name}.json").write_text(json.dumps(answer))
