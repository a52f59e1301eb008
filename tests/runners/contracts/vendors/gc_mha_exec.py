"""A Grand Challenge algorithm that reads one .mha image, as most of them do."""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH207

import json
import tempfile
from glob import glob
from pathlib import Path

import mha
from model import leave, predict


def run():
    inputs = json.loads(Path("/input/inputs.json").read_text())
    assert tuple(sorted(sv["socket"]["slug"] for sv in inputs)) == ("chest-ct", "patient-age")
    (entry,) = [sv for sv in inputs if sv["interface"]["kind"] == "Image"]
    (path,) = glob("/input/images/chest-ct/*.mha")
    assert Path(path).stem == entry["image"]["pk"]
    assert json.loads(Path("/input/patient-age.json").read_text()) == 61
    header, pixels = mha.read(path)
    assert [float(v) for v in header["ElementSpacing"].split()] == [0.7, 0.5, 2.5]
    assert [float(v) for v in header["Offset"].split()] == [-10.0, 20.0, 30.5]
    assert [float(v) for v in header["TransformMatrix"].split()] == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert pixels.shape[0] == 2
    # The test's stand-in for an image: its first slice spells how to behave.
    with tempfile.NamedTemporaryFile("w") as word:
        word.write(bytes(pixels[0].astype("u1").ravel()).decode("ascii").strip("\0"))
        word.flush()
        leave(predict(word.name), Path("/output/malignancy-likelihood.json"))
    return 0


if __name__ == "__main__":
    raise SystemExit(run())
