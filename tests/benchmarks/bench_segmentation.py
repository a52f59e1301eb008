"""HD95, ASSD and NSD of one object in 512 x 512 x 300, against MONAI and DeepMind's surface-distance.

Run: ``python tests/benchmarks/bench_segmentation.py [--peers PYTHON] [--peers-path FOLDER]``. PYTHON is an interpreter
that has (some of) the peers, FOLDER goes into its PYTHONPATH; ``bench_stress.py`` tells how to install MONAI with
Debian's PyTorch, and ``surface-distance`` comes with ``pip install --target peers surface-distance``. What is absent is
said in its line. Each runs in a process of its own on the same files; times are of the processor, memory is what the
peak grew by after the masks were read. MONAI measures the same distances between voxel borders, and its values must
agree. surface-distance weighs surface elements by area, so that its values differ by design; its wheel 0.1 uses names
that NumPy 2 removed, which are put back for it. Distance transforms check the product's values.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage

SHAPE = (300, 512, 512)
SPACING = (1.0, 0.7, 0.7)
TOLERANCE = 1.0
HEAD = """
import json, sys, time
import numpy as np
def peak():
    # Not ru_maxrss, which a process inherits from the one that started it.
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
reference, answer = (np.fromfile(name, dtype=np.uint8).view(bool).reshape({shape}) for name in sys.argv[1:3])
"""
OURS = """
from sandbox.scoring.segmentation.overlap import score_masks
before, started = peak(), time.process_time()
found = score_masks(reference, answer, {spacing}, tolerance={tolerance})
seconds = time.process_time() - started
print(json.dumps([seconds, peak() - before, found.hd95, found.assd, found.nsd]))
"""
SURFACE_DISTANCE = """
np.Inf, np.NaN = np.inf, np.nan
import surface_distance as peer
before, started = peak(), time.process_time()
distances = peer.compute_surface_distances(reference, answer, {spacing})
hd95 = peer.compute_robust_hausdorff(distances, 95)
assd = float(np.mean(peer.compute_average_surface_distance(distances)))
nsd = float(peer.compute_surface_dice_at_tolerance(distances, {tolerance}))
seconds = time.process_time() - started
print(json.dumps([seconds, peak() - before, float(hd95), assd, nsd]))
"""
MONAI = """
import torch
from monai import metrics
torch.set_num_threads(1)
pair = [torch.from_numpy(mask)[None, None] for mask in (answer, reference)]
before, started = peak(), time.process_time()
given = dict(include_background=True, spacing={spacing})
hd95 = metrics.compute_hausdorff_distance(*pair, percentile=95, **given)
assd = metrics.compute_average_surface_distance(*pair, symmetric=True, **given)
nsd = metrics.compute_surface_dice(*pair, class_thresholds=[{tolerance}], **given)
seconds = time.process_time() - started
print(json.dumps([seconds, peak() - before, float(hd95), float(assd), float(nsd)]))
"""
PEERS = {"MONAI": MONAI, "surface-distance": SURFACE_DISTANCE}


def write_masks(folder: Path) -> tuple[str, str]:
    """Two irregular objects that nearly agree."""
    plane, row, column = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    names = []
    for name, centre, radii in (
        ("reference", (150, 256, 250), (90, 60, 52)),
        ("answer", (152, 259, 247), (88, 61, 50)),
    ):
        wave = 1 + 0.05 * np.sin(plane / 7) + 0.05 * np.cos(column / 9)
        inside = sum(
            ((axis - middle) / radius) ** 2
            for axis, middle, radius in zip((plane, row, column), centre, radii, strict=True)
        )
        path = folder / name
        (inside <= wave).astype(np.uint8).tofile(path)
        names.append(str(path))
    return names[0], names[1]


def timed(python: str, code: str, files: tuple[str, str], folder: str = "") -> list[float] | str:
    """Seconds, megabytes, HD95, ASSD and NSD; or the last words of a process that failed."""
    text = (HEAD + code).format(shape=SHAPE, spacing=SPACING, tolerance=TOLERANCE)
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": folder} if folder else {})
    run = subprocess.run(
        [python, "-W", "ignore", "-c", text, *files],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if run.returncode:
        return run.stderr.strip().splitlines()[-1]
    found: list[float] = json.loads(run.stdout.splitlines()[-1])
    return found


def by_transform(files: tuple[str, str]) -> list[float]:
    """The same from distance transforms, in the box around both masks."""
    masks = [np.fromfile(name, dtype=np.uint8).reshape(SHAPE) for name in files]
    (box,) = ndimage.find_objects((masks[0] | masks[1]).astype(np.int8))
    edges = []
    for mask in masks:
        inside = np.pad(mask[box], 1).astype(bool)
        edges.append(inside & ~ndimage.binary_erosion(inside))
    away = [
        ndimage.distance_transform_edt(~other, sampling=SPACING)[own] for own, other in (edges, edges[::-1])
    ]
    both = np.concatenate(away)
    return [max(np.percentile(each, 95) for each in away), both.mean(), np.mean(both <= TOLERANCE + 1e-9)]


def show(name: str, found: list[float]) -> None:
    seconds, memory, hd95, assd, nsd = found
    print(f"{name:16} {seconds:5.2f} s {memory:5.0f} MB  HD95 {hd95:.4f} ASSD {assd:.4f} NSD {nsd:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--peers-path", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_masks(Path(folder))
        runs = [timed(sys.executable, OURS, files) for _ in range(3)]
        ours = min(run for run in runs if not isinstance(run, str))
        assert np.allclose(ours[2:], by_transform(files), rtol=1e-9)
        show("this project", ours)
        for name, code in PEERS.items():
            peer = timed(given.peers, code, files, given.peers_path)
            if isinstance(peer, str):
                print(f"{name:16} not measured: {peer}")
                continue
            show(name, peer)
            print(f"{'':16} ratio {peer[0] / ours[0]:.1f}")
            assert name != "MONAI" or np.allclose(peer[2:], ours[2:], rtol=1e-4)
        assert ours[1] < 300


if __name__ == "__main__":
    main()
