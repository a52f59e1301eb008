"""The worker contract: one JSON line in, one JSON line out. The model is loaded once."""

import json
import os
import sys

from model import load, predict

# Libraries print what they like; only this descriptor reaches the host.
answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
os.dup2(2, 1)

model = load()
answers.write(json.dumps({"ready": True}) + "\n")
for line in sys.stdin:
    question = json.loads(line)
    paths = [f"{question['directory']}/{name}" for name in question["files"]]
    answers.write(json.dumps({"case": question["case"], "answer": predict(model, paths)}) + "\n")
