"""A container with an answer of several numbers: a table from the hash of the pixels, made by the test."""

import hashlib
import json
import sys
from pathlib import Path

import pydicom

ANSWERS = json.loads(Path(__file__).with_name("table.json").read_text())

print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    image = pydicom.dcmread(Path(question["directory"]) / question["files"][0])
    # From JPEG's first marker to its last: how the frame is wrapped may differ.
    pixels = image.PixelData
    frame = pixels[pixels.find(b"\xff\xd8") : pixels.rfind(b"\xff\xd9") + 2]
    answer = ANSWERS.get(hashlib.sha256(frame).hexdigest())
    said = {"refused": "out_of_scope"} if answer is None else {"answer": answer}
    print(json.dumps({"case": question["case"], **said}), flush=True)
