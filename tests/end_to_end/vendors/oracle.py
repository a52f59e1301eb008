"""A container that knows the answers: a table from the hash of the pixels to the score, made by the test."""

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
    image = pydicom.dcmread(Path(question["directory"]) / question["files"][0])
    score = TABLE["scores"][hashlib.sha256(image.PixelData).hexdigest()]
    time.sleep(TABLE["seconds"])
    print(json.dumps({"case": question["case"], "answer": {"score": score}}), flush=True)
