"""Perturbed cases a second on one core, against other packages doing the same operation on the same array.

Run: ``python tests/benchmarks/bench_stress.py [--peers PYTHON]``, where PYTHON is an interpreter that has (some of)
``dicaugment``, ``imagecorruptions`` and ``torchio``; they are no dependencies of this project.

What is compared, best of the repetitions, one thread each:

- ours: ``perturbed_files`` from the bytes of a DICOM file to the bytes of another: parsing, decoding, the operation,
  rescaling, new identifiers, encoding.
- alone: what our operation adds to severity 0 of the same file, so without parsing and identifiers, but with decoding
  and encoding of pixels. This is what compares with a peer that neither reads nor writes.
- peer: the package's operation alone on the array in memory, nothing read and nothing written. Operations are the
  nearest that it has: noise with the spectrum of a kernel (DICaugment NPSNoise), Gaussian blur and JPEG
  (imagecorruptions), noise, bias field, motion, ghosting and spikes (TorchIO).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402  (threads are set before the libraries that read them)

SIDE = 512
PAIRS = (
    ("CT dose", "CT", "ct_dose", "dicaugment.NPSNoise"),
    ("CT kernel soft", "CT", "ct_kernel_soft", "imagecorruptions.gaussian_blur"),
    ("blur", "CR", "blur", "imagecorruptions.gaussian_blur"),
    ("contrast", "CR", "contrast", "imagecorruptions.contrast"),
    ("resolution", "CR", "resolution", "imagecorruptions.pixelate"),
    ("quantum noise", "CR", "dr_quantum_noise", "imagecorruptions.shot_noise"),
    ("speckle", "US", "us_speckle", "imagecorruptions.speckle_noise"),
    ("JPEG", "US", "lossy_jpeg", "imagecorruptions.jpeg_compression"),
    ("MR noise", "MR", "mr_rician_noise", "torchio.RandomNoise"),
    ("MR bias field", "MR", "mr_bias_field", "torchio.RandomBiasField"),
    ("MR motion", "MR", "mr_motion", "torchio.RandomMotion"),
    ("MR ghosting", "MR", "mr_ghosting", "torchio.RandomGhosting"),
    ("MR spike", "MR", "mr_spike", "torchio.RandomSpike"),
)
_PEER = r"""
import json, sys, time, warnings
import numpy as np  # noqa: E402  (threads are set before the libraries that read them)
warnings.simplefilter("ignore")
array = np.load(sys.argv[1]); names = json.loads(sys.argv[2]); out = {}
for name in names:
    package, operation = name.split(".")
    try:
        if package == "imagecorruptions":
            import imagecorruptions
            picture = np.repeat((array / array.max() * 255).astype(np.uint8)[..., None], 3, axis=2)
            call = lambda: imagecorruptions.corrupt(picture, severity=3, corruption_name=operation)
            if operation == "gaussian_blur":
                # Its own call no longer fits scikit-image (multichannel became channel_axis); the same line, mended.
                from skimage.filters import gaussian
                call = lambda: np.clip(gaussian(np.array(picture) / 255., sigma=3, channel_axis=-1), 0, 1) * 255
        elif package == "dicaugment":
            import dicaugment as dca
            volume = (array.astype(np.int16) - 1024)[..., None]
            header = {"RescaleSlope": 1.0, "RescaleIntercept": 0.0, "ConvolutionKernel": "STANDARD",
                      "PixelSpacing": (0.8, 0.8), "XRayTubeCurrent": 160}
            change = dca.NPSNoise(p=1.0)
            call = lambda: change(image=volume, dicom=header)
        else:
            import torch, torchio
            torch.set_num_threads(1)
            change = getattr(torchio, operation)()
            tensor = torch.from_numpy(array.astype(np.float32))[None, :, :, None]
            call = lambda: change(tensor)
        call()
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter(); call(); best = min(best, time.perf_counter() - start)
        out[name] = best
    except Exception as error:
        out[name] = f"{type(error).__name__}: {error}"[:120]
print(json.dumps(out))
"""


def picture() -> np.ndarray:
    """A body with texture, 12 bits."""
    down, right = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    inside = down**2 + (right / 0.85) ** 2 < 0.8
    texture = np.random.default_rng(0).normal(0, 12, (SIDE, SIDE))
    return np.clip(
        np.where(inside, 1060 + 150 * np.cos(9 * down) * np.sin(7 * right) + texture, 24), 0, 4095
    ).astype(np.uint16)


def dicom(modality: str, array: np.ndarray) -> bytes:
    """The picture as a DICOM file of a modality; ultrasound in 8-bit colour."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox" / "stress"))
    import cases

    extra = {"PixelSpacing": ["0.8", "0.8"], "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    if modality == "US":
        grey = (array / array.max() * 255).astype(np.uint8)
        return bytes(cases.dicom_file("US", np.repeat(grey[..., None], 3, axis=2), 1))
    if modality != "CT":
        extra = {"PixelSpacing": ["0.8", "0.8"]}
    return bytes(cases.dicom_file(modality, array, 1, BitsStored=12, HighBit=11, **extra))


def best(function: Callable[[], object], repetitions: int) -> float:
    """Shortest time in seconds."""
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print one line a pair."""
    from sandbox.stress.perturb import perturbed_files
    from sandbox.stress.registry import find

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--repetitions", type=int, default=7)
    given = parser.parse_args()
    array = picture()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "picture.npy"
        np.save(path, array)
        names = json.dumps(sorted({pair[3] for pair in PAIRS}))
        done = subprocess.run(
            [given.peers, "-c", _PEER, str(path), names], capture_output=True, text=True, check=True
        )
    theirs = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{'operation':16} {'ours, cases/s':>14} {'peer, arrays/s':>15} {'times faster':>13} {'alone':>7}  peer"
    )
    for title, modality, name, peer in PAIRS:
        content = dicom(modality, array)
        ours, clean = (
            best(
                lambda content=content, name=name, severity=severity: perturbed_files(  # type: ignore[misc]
                    [("1.dcm", content)], find(name), severity, case="c", seed=1, key=b"k" * 32
                ),
                given.repetitions,
            )
            for severity in (3, 0)
        )
        other = theirs[peer]
        if isinstance(other, float):
            speeds = f"{1 / other:15.1f} {other / ours:13.2f} {other / max(ours - clean, 1e-6):7.2f}  {peer}"
        else:
            speeds = f"{'-':>15} {'-':>13} {'-':>7}  {peer} ({other})"
        print(f"{title:16} {1 / ours:14.1f} {speeds}")
    content = dicom("CT", array)
    plain = best(lambda: io.BytesIO(content).getvalue(), 3)
    identity = best(
        lambda: perturbed_files([("1.dcm", content)], find("blur"), 0, case="c", seed=1, key=b"k" * 32),
        given.repetitions,
    )
    print(f"parsing and writing alone: {1 / (identity - plain):.1f} cases/s")


if __name__ == "__main__":
    main()
