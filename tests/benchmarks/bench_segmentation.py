"""HD95, ASSD and NSD of one object in 512 x 512 x 300, against DeepMind's surface-distance.

Run: ``python tests/benchmarks/bench_segmentation.py [PYTHON]``. PYTHON is the interpreter of an environment that has
the peer (``pip install surface-distance numpy scipy``); without it only the product is timed. Each runs in a process
of its own on the same files; times are of the processor, memory is what the peak grew by after the masks were read.
The peer's wheel 0.1 uses names that NumPy 2 removed; they are put back for it. Its family of distances is another one
(surface elements weighed by area), so that its values differ by design; distance transforms check the product's.
"""

from __future__ import annotations

import json
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
PEER = """
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


def timed(python: str, code: str, files: tuple[str, str]) -> list[float]:
    text = (HEAD + code).format(shape=SHAPE, spacing=SPACING, tolerance=TOLERANCE)
    run = subprocess.run([python, "-c", text, *files], check=True, capture_output=True, text=True)
    found: list[float] = json.loads(run.stdout)
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
    with tempfile.TemporaryDirectory() as folder:
        files = write_masks(Path(folder))
        ours = min(timed(sys.executable, OURS, files) for _ in range(3))
        assert np.allclose(ours[2:], by_transform(files), rtol=1e-9)
        show("this project", ours)
        if len(sys.argv) > 1:
            peer = min(timed(sys.argv[1], PEER, files) for _ in range(3))
            show("surface-distance", peer)
            print(f"ratio {peer[0] / ours[0]:.1f}")
        assert ours[1] < 300


if __name__ == "__main__":
    main()
