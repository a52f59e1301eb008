"""A container that knows the hold-out's pixels and breaks on others: at once, or by the question that follows."""

import hashlib
import json
import sys
from pathlib import Path

import pydicom

TABLE = json.loads(Path(__file__).with_name("table.json").read_text())
broken = False

print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    if broken:
        sys.exit(3)
    try:
        pixels = pydicom.dcmread(Path(question["directory"]) / question["files"][0]).PixelData
    except (pydicom.errors.InvalidDicomError, AttributeError):
        pixels = b""
    score = TABLE["scores"].get(hashlib.sha256(pixels).hexdigest())
    if score is None and TABLE["breaks"] == "at once":
        sys.exit(3)
    broken = score is None
    print(
        json.dumps({"case": question["case"], "answer": {"score": 0.5 if score is None else score}}),
        flush=True,
    )
