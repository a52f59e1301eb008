"""An application package (Holoscan 1.0): one study in, its result out; app.json says where."""

import json
import os
from pathlib import Path

from model import load, predict

source = Path(os.environ["HOLOSCAN_INPUT_PATH"])
target = Path(os.environ["HOLOSCAN_OUTPUT_PATH"])
paths = sorted(str(path) for path in source.rglob("*") if path.is_file())
(target / "result.json").write_text(json.dumps(predict(load(), paths)))
