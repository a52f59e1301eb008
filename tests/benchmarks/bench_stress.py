"""Perturbed cases a second on one core, against other packages doing the same operation on the same array.

Run: ``python tests/benchmarks/bench_stress.py --peers PYTHON [--peers-path FOLDER]``. PYTHON is an interpreter that has
NumPy and (some of) ``imagecorruptions``, ``dicaugment`` and ``torchio``; FOLDER goes into its PYTHONPATH. The peers are
no dependencies of this project, and what is absent is said in its line. PyTorch from PyPI is large; on Debian 12 its
own, without GPU, is enough::

    apt-get install --no-install-recommends python3-torch
    pip install --target peers "numpy<2" "scipy<1.12" "scikit-image<0.23" opencv-python-headless imagecorruptions \
        SimpleITK nibabel humanize typer deprecated einops rich attrs jaxtyping wadler-lindig
    pip install --target peers --no-deps torchio "monai<1.4" dicaugment qudida scikit-learn joblib threadpoolctl pyyaml
    python tests/benchmarks/bench_stress.py --peers /usr/bin/python3 --peers-path peers

Times are of the processor, one thread, best of the repetitions:

- ours: ``perturbed_files`` from the bytes of a DICOM file to the bytes of another: parsing, decoding, the operation,
  rescaling, new identifiers, encoding.
- alone: what our operation adds to severity 0 of the same file, so without parsing and identifiers, but with decoding
  and encoding of pixels.
- peer: the package's operation alone on the array in memory, nothing read and nothing written, at the nearest strength
  that it has. imagecorruptions makes 8-bit colour of everything; here ultrasound is that, the rest is 12-bit grey.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np  # noqa: E402  (threads are set before the libraries that read them)

from tests.benchmarks.stress_peers import best  # noqa: E402
from tests.sandbox.stress import cases  # noqa: E402

SIDE = 512
Pair = tuple[str, str, str, int, tuple[str, str, float]]
PAIRS: tuple[Pair, ...] = (
    ("CT dose", "CT", "ct_dose", 3, ("dicaugment", "NPSNoise", 100.0)),
    ("CT kernel soft", "CT", "ct_kernel_soft", 3, ("imagecorruptions", "gaussian_blur", 1)),
    ("blur", "CR", "blur", 2, ("imagecorruptions", "gaussian_blur", 3)),
    ("contrast", "CR", "contrast", 4, ("imagecorruptions", "contrast", 2)),
    ("pixelation", "CR", "resolution", 1, ("imagecorruptions", "pixelate", 2)),
    ("quantum noise", "CR", "dr_quantum_noise", 3, ("imagecorruptions", "shot_noise", 3)),
    ("speckle", "US", "us_speckle", 4, ("imagecorruptions", "speckle_noise", 1)),
    ("JPEG", "US", "lossy_jpeg", 5, ("imagecorruptions", "jpeg_compression", 4)),
    ("gamma", "CR", "dr_gamma", 3, ("torchio", "RandomGamma", 0.3)),
    ("blur", "MR", "blur", 2, ("torchio", "RandomBlur", 3.26)),
    ("noise", "MR", "mr_rician_noise", 3, ("torchio", "RandomNoise", 100.0)),
    ("bias field", "MR", "mr_bias_field", 3, ("torchio", "RandomBiasField", 0.3)),
    ("motion", "MR", "mr_motion", 3, ("torchio", "RandomMotion", 6.0)),
    ("ghosting", "MR", "mr_ghosting", 3, ("torchio", "RandomGhosting", 0.35)),
    ("spike", "MR", "mr_spike", 3, ("torchio", "RandomSpike", 0.25)),
    ("anisotropy", "MR", "mr_anisotropy", 3, ("torchio", "RandomAnisotropy", 3.0)),
)


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
    extra = {"PixelSpacing": ["0.8", "0.8"], "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    if modality == "US":
        grey = (array / array.max() * 255).astype(np.uint8)
        return cases.dicom_file("US", np.repeat(grey[..., None], 3, axis=2), 1)
    if modality != "CT":
        extra = {"PixelSpacing": ["0.8", "0.8"]}
    return cases.dicom_file(modality, array, 1, BitsStored=12, HighBit=11, **extra)


def of_peers(interpreter: str, folder: str, array: np.ndarray) -> list[float | str]:
    """Seconds of each pair's peer, or why there are none."""
    with tempfile.TemporaryDirectory() as place:
        np.save(Path(place) / "array.npy", array)
        (Path(place) / "operations.json").write_text(json.dumps([pair[4] for pair in PAIRS]))
        script = Path(__file__).with_name("stress_peers.py")
        done = subprocess.run(
            [interpreter, str(script), f"{place}/array.npy", f"{place}/operations.json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            env=os.environ | ({"PYTHONPATH": folder} if folder else {}),
        )
    if done.returncode:
        return ["its interpreter failed; has it NumPy?"] * len(PAIRS)
    found: list[float | str] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print one line a pair."""
    from sandbox.stress.perturb import perturbed_files
    from sandbox.stress.registry import find

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--peers-path", default="")
    given = parser.parse_args()
    array = picture()
    theirs = of_peers(given.peers, given.peers_path, array)
    print(f"{'operation':16} {'ours, ms':>9} {'alone':>7} {'peer, ms':>9} {'times faster':>13}  peer")
    for (title, modality, name, severity, peer), other in zip(PAIRS, theirs, strict=True):
        content = dicom(modality, array)
        ours, clean = (
            best(
                lambda content=content, name=name, chosen=chosen: perturbed_files(  # type: ignore[misc]
                    [("1.dcm", content)], find(name), chosen, case="c", seed=1, key=b"k" * 32
                )
            )
            for chosen in (severity, 0)
        )
        label = f"{peer[0]} {peer[1]}"
        if isinstance(other, float):
            speeds = f"{1000 * other:9.2f} {other / ours:13.2f}  {label}"
        else:
            speeds = f"{'-':>9} {'-':>13}  {label} ({other})"
        print(f"{title:16} {1000 * ours:9.2f} {1000 * (ours - clean):7.2f} {speeds}")
    print(f"parsing, new identifiers and writing alone: {1000 * clean:.2f} ms")


if __name__ == "__main__":
    main()
