"""A container of the files contract: one case, a folder in, a folder out."""

import os
from pathlib import Path

from model import leave, predict

(first,) = sorted(Path(os.environ["PROCTOR_INPUT"]).iterdir())
leave(predict(first), Path(os.environ["PROCTOR_OUTPUT"], "answer.json"))
