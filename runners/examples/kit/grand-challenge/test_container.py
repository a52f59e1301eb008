"""Checks input and output without a container: ``python3 test_container.py``."""

import json
import os
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    os.environ["TEST_ROOT"] = folder
    image = Path(folder, "input/images/medical-image")
    image.mkdir(parents=True)
    Path(folder, "output").mkdir()
    (image / "000001.dcm").write_bytes(b"")
    socket = {"slug": "medical-image", "relative_path": "images/medical-image"}
    Path(folder, "input/inputs.json").write_text(json.dumps([{"socket": socket, "interface": socket}]))

    from main import answer_case
    from model import ANSWER

    answer_case()
    answer = json.loads(Path(folder, "output/answer.json").read_text())
assert answer.keys() == ANSWER.keys(), answer
assert all(isinstance(number, int | float) for number in answer.values()), answer
print("The container keeps to the grand-challenge contract.")
