"""A MedPerf model: reads a folder of cases, writes one table, as its container_config.yaml says."""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH103, PTH111, PTH118, PTH123, PTH208

import argparse
import csv
import os

from model import predict

parser = argparse.ArgumentParser()
parser.add_argument("--data_path", default="/mlcommons/volumes/data")
parser.add_argument("--output_path", default="/mlcommons/volumes/predictions")
arguments = parser.parse_args()
os.makedirs(os.path.expanduser("~/.cache/model"), exist_ok=True)
with open(os.path.join(arguments.output_path, "predictions.csv"), "w", newline="") as file:
    table = csv.DictWriter(file, ["case", "probability"])
    table.writeheader()
    for case in sorted(os.listdir(arguments.data_path)):
        file.flush()
        word = predict(os.path.join(arguments.data_path, case, "000001.dcm"))
        if word != "nothing":
            values = {"range": "7.5", "garbage": "?", "text": "high"}
            table.writerow({"case": case, "probability": values.get(word, word)})
