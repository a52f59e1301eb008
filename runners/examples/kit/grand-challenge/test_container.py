"""Checks input and output without a container: ``python3 test_container.py``."""

import json
import os
import tempfile
from pathlib import Path

from sample import check, write_sample

with tempfile.TemporaryDirectory() as folder:
    os.environ["TEST_ROOT"] = folder
    image = Path(folder, "input/images/medical-image")
    image.mkdir(parents=True)
    Path(folder, "output").mkdir()
    write_sample(image / "000001.dcm")
    socket = {"slug": "medical-image", "relative_path": "images/medical-image"}
    Path(folder, "input/inputs.json").write_text(json.dumps([{"socket": socket, "interface": socket}]))

    from main import answer_case

    answer_case()
    answer = json.loads(Path(folder, "output/answer.json").read_text())
check(answer)
print("The container keeps to the grand-challenge contract.")
