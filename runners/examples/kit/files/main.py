"""The files contract: one case, a folder in, a folder out."""

import json
import os
from pathlib import Path

from model import load, predict

paths = sorted(str(path) for path in Path(os.environ.get("PROCTOR_INPUT", "/input")).iterdir())
output = Path(os.environ.get("PROCTOR_OUTPUT", "/output"))
(output / "answer.json").write_text(json.dumps(predict(load(), paths)))
