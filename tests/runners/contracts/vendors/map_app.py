"""An application package: paths from the environment, its own result file."""

import json
import os
from pathlib import Path

from model import leave, predict

prefix = os.environ["GENERATION"]
names = {
    "holoscan": ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH"),
    "monai": ("MONAI_INPUTPATH", "MONAI_OUTPUTPATH"),
}
source, target = (Path(os.environ[name]) for name in names[prefix])
assert source.is_absolute()
models = {"holoscan": "HOLOSCAN_MODEL_PATH", "monai": "MONAI_MODELPATH"}[prefix]
assert os.environ[models] == f"/opt/{prefix}/models"
word = predict(next(source.rglob("*.dcm")))
try:
    number = float(word)
except ValueError:
    leave(word, target / "result.json")
else:
    (target / "result.json").write_text(json.dumps({"findings": [{"probability": number}]}))
