"""A Grand Challenge algorithm after the platform's template: the handler is chosen by the slugs of the inputs."""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH123, PTH207

import json
from glob import glob
from pathlib import Path

from model import leave, predict

INPUT_PATH = Path("/input")
OUTPUT_PATH = Path("/output")
RESOURCE_PATH = Path("resources")


def run():
    interface_key = get_interface_key()
    handler = {("chest-x-ray", "clinical-information"): interface_0_handler}[interface_key]
    return handler()


def interface_0_handler():
    location = INPUT_PATH / "images/chest-x-ray"
    files = glob(str(location / "*.dcm"))
    information = load_json_file(location=INPUT_PATH / "clinical-information.json")
    assert information == {"protocol": "routine"}
    assert RESOURCE_PATH.name == "resources"
    leave(predict(files[0]), OUTPUT_PATH / "malignancy-likelihood.json")
    return 0


def get_interface_key():
    inputs = load_json_file(location=INPUT_PATH / "inputs.json")
    for value in inputs:
        assert value["socket"] == value["interface"]
    socket_slugs = [sv["interface"]["slug"] for sv in inputs]
    return tuple(sorted(socket_slugs))


def load_json_file(*, location):
    with open(location) as f:
        return json.loads(f.read())


if __name__ == "__main__":
    raise SystemExit(run())
