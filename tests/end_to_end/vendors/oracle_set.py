"""The oracle as a container of the files contract: all cases in one folder, one table out."""

import csv
import hashlib
import json
import os
from pathlib import Path

import pydicom

TABLE = json.loads(Path(__file__).with_name("table.json").read_text())

with Path(os.environ["PROCTOR_OUTPUT"], "predictions.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["case", "score"])
    for case in sorted(Path(os.environ["PROCTOR_INPUT"]).iterdir()):
        pixels = pydicom.dcmread(case / "000001.dcm").PixelData
        table.writerow([case.name, TABLE["scores"].get(hashlib.sha256(pixels).hexdigest(), 0.5)])
