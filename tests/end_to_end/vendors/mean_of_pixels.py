"""A container that reads every file of a case and answers with the mean of all pixel values, as pydicom gives them."""

import json
import os
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
sys.path.insert(0, str(Path(__file__).with_name("libraries")))

import numpy as np  # noqa: E402
import pydicom  # noqa: E402


def mean(paths):
    total, count = 0.0, 0
    for path in paths:
        pixels = pydicom.dcmread(path).pixel_array
        total, count = total + float(pixels.sum(dtype=np.float64)), count + pixels.size
    return total / count


answers.write(json.dumps({"ready": True}) + "\n")
for line in sys.stdin:
    question = json.loads(line)
    try:
        value = mean([Path(question["directory"]) / name for name in question["files"]])
        answer = {"case": question["case"], "answer": {"score": value}}
    except Exception:
        # Whatever a broken file does to the libraries, the next case must find this program alive.
        answer = {"case": question["case"], "refused": "not_supported"}
    answers.write(json.dumps(answer) + "\n")
