"""A container of the files contract: all cases at once, a file each."""

from pathlib import Path

from model import leave, predict

for case in sorted(Path("/data/in").iterdir()):
    leave(predict(case / "000001.dcm"), Path("/data/out", f"{case.name}.json"))
