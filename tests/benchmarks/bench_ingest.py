"""Ingest against a plain pydicom loop, and hashing against sha256sum; ratios measured in one run.

Run: ``python tests/benchmarks/bench_ingest.py [--folder FOLDER]``. Without a folder, copies of three files of the
zoo (../shared/data/dicom-zoo) are made: a CT of 0.5 MB, an MR with nested private sequences, a small MR.

What is compared, warm cache, best of the repetitions, the two sides in turn (processor time is told beside, since
it says more than the clock on a machine with other work):

- loop: ``pydicom.dcmread(path, stop_before_pixels=True)`` in one process over the same list of files, reading
  the same attributes as the index with ``dataset.get(keyword)``. No hash, nothing is written.
- loop and hash: the same, and SHA-256 of the file, which is what ingest also gives.
- ingest: ``holdout.ingest`` with one process for each processor: SHA-256 of the file, sample of the pixel data
  value, consistency checks, normalised attributes, the Parquet index on disk; its start-up time counts.
- sha256sum: one call of GNU sha256sum for all files; against ``holdout.hashing.hash_files``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom

from holdout.attributes import ATTRIBUTES
from holdout.hashing import hash_files
from holdout.ingest import ingest

ZOO = Path(__file__).parents[3] / "shared" / "data" / "dicom-zoo"
SAMPLES = {
    "CT 0.5 MB": ("CT/026_CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm", 6000),
    "MR nested private": ("MR/165_6_2.dcm", 2000),
    "MR small": ("MR/133_p01_s02_s01_i01.dcm", 8000),
}
KEYWORDS = tuple(dict.fromkeys(attribute.keyword for attribute in ATTRIBUTES))


def loop(paths: list[Path], *, hashing: bool) -> None:
    """Read headers with pydicom, one file after the other."""
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            for keyword in KEYWORDS:
                dataset.get(keyword)
            if hashing:
                hashlib.sha256(path.read_bytes()).hexdigest()


def best(repetitions: int, *functions: Callable[[], object]) -> list[tuple[float, float]]:
    """Return the least (wall-clock seconds, processor seconds with children) of each function, run in turn."""
    times = [(float("inf"), float("inf"))] * len(functions)
    for _ in range(repetitions):
        for position, function in enumerate(functions):
            started, spent = time.perf_counter(), processor_seconds()
            function()
            wall, processor = time.perf_counter() - started, processor_seconds() - spent
            times[position] = min(times[position][0], wall), min(times[position][1], processor)
    return times


def processor_seconds() -> float:
    """Seconds that this process and its ended children spent on processors."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


def measure(folder: Path, repetitions: int) -> dict[str, float]:
    """Measure one folder; files a second, processor time a file, and ratios."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = [path.relative_to(folder).as_posix() for path in paths]
    with tempfile.TemporaryDirectory() as place:
        index = Path(place) / "index.parquet"
        plain, hashed, ours, theirs, threads = best(
            repetitions,
            lambda: loop(paths, hashing=False),
            lambda: loop(paths, hashing=True),
            lambda: ingest(folder, index),
            lambda: subprocess.run(
                ["sha256sum", "--", *names], cwd=folder, stdout=subprocess.DEVNULL, check=True
            ),
            lambda: list(hash_files(folder, names)),
        )
    return {
        "files": len(paths),
        "bytes": sum(path.stat().st_size for path in paths),
        "loop files/s": len(paths) / plain[0],
        "loop and hash files/s": len(paths) / hashed[0],
        "ingest files/s": len(paths) / ours[0],
        "loop processor us/file": plain[1] / len(paths) * 1e6,
        "ingest processor us/file": ours[1] / len(paths) * 1e6,
        "ingest : loop": plain[0] / ours[0],
        "ingest : loop and hash": hashed[0] / ours[0],
        "hashing : sha256sum": theirs[0] / threads[0],
    }


def main() -> int:
    """Measure and print one JSON object a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="measure this folder instead of copies of zoo files")
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.folder is None and not ZOO.is_dir():
        parser.error(f"{ZOO} is missing; give a folder")
    sys.stdout.write(
        json.dumps({"processors": len(os.sched_getaffinity(0)), "pydicom": pydicom.__version__}) + "\n"
    )
    if arguments.folder is not None:
        sys.stdout.write(
            json.dumps({arguments.folder.name: measure(arguments.folder, arguments.repetitions)}) + "\n"
        )
        return 0
    for name, (sample, copies) in SAMPLES.items():
        with tempfile.TemporaryDirectory() as place:
            for number in range(copies):
                shutil.copyfile(ZOO / sample, Path(place) / f"{number:06}.dcm")
            result = measure(Path(place), arguments.repetitions)
        sys.stdout.write(json.dumps({name: {key: round(value, 2) for key, value in result.items()}}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
