"""A container with an answer of several numbers: a table from the hash of the pixels, made by the test."""

import hashlib
import json
import sys
from pathlib import Path

import pydicom
from pydicom.encaps import generate_frames

ANSWERS = json.loads(Path(__file__).with_name("table.json").read_text())

print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    image = pydicom.dcmread(Path(question["directory"]) / question["files"][0])
    (frame,) = generate_frames(image.PixelData, number_of_frames=1)
    answer = ANSWERS[hashlib.sha256(frame.rstrip(b"\0")).hexdigest()]
    print(json.dumps({"case": question["case"], "answer": answer}), flush=True)
