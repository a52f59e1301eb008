"""A MedPerf model with parameters and weights beside the image: the task's name, then what it needs as arguments."""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH118, PTH123, PTH208, SIM115

import argparse
import csv
import os

from model import predict

parser = argparse.ArgumentParser()
parser.add_argument("task", choices=["infer"])
for name in ("data_path", "parameters_file", "additional_files", "output_path"):
    parser.add_argument(f"--{name}", required=True)
arguments = parser.parse_args()
assert open(arguments.parameters_file).read() == "threshold: 0.5\n"
weights = os.path.join(arguments.additional_files, "weights", "model.bin")
assert open(weights, "rb").read() == b"weights"
for path in (arguments.parameters_file, weights, arguments.additional_files):
    assert not os.access(path, os.W_OK)
with open(os.path.join(arguments.output_path, "predictions.csv"), "w", newline="") as file:
    table = csv.DictWriter(file, ["case", "probability"])
    table.writeheader()
    for case in sorted(os.listdir(arguments.data_path)):
        file.flush()
        word = predict(os.path.join(arguments.data_path, case, "000001.dcm"))
        if word != "nothing":
            values = {"range": "7.5", "garbage": "?", "text": "high"}
            table.writerow({"case": case, "probability": values.get(word, word)})
