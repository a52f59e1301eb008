"""A container that knows the hold-out's pixels, says 0.5 to others, and declines what it cannot read."""

import hashlib
import json
import sys
import time
from pathlib import Path

import pydicom

TABLE = json.loads(Path(__file__).with_name("table.json").read_text())

print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    time.sleep(TABLE["seconds"])
    try:
        image = pydicom.dcmread(Path(question["directory"]) / question["files"][0])
        score = TABLE["scores"].get(hashlib.sha256(image.PixelData).hexdigest(), 0.5)
    except (pydicom.errors.InvalidDicomError, AttributeError):
        print(json.dumps({"case": question["case"], "refused": "not_supported"}), flush=True)
        continue
    print(json.dumps({"case": question["case"], "answer": {"score": score}}), flush=True)
