"""Time the operations of other packages on one array: ``python stress_peers.py ARRAY.npy OPERATIONS.json``.

Run by ``bench_stress.py`` under the peers' interpreter, hence without imports of this project. ``OPERATIONS.json`` is a
list of [package, operation, parameter]; printed is one number (seconds of processor time, best of the repetitions) or
one text (why there is none) for each.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

REPETITIONS = 300
LONG = 1.5
"""Seconds after which an operation is not repeated further."""


def corruption(array: np.ndarray, operation: str, severity: float) -> Callable[[], Any]:
    """An operation of imagecorruptions, which works on 8-bit colour."""
    import imagecorruptions

    picture = np.repeat((array / array.max() * 255).astype(np.uint8)[..., None], 3, axis=2)
    if operation == "gaussian_blur":
        # Its own call no longer fits scikit-image (multichannel became channel_axis); the same line, mended.
        from skimage.filters import gaussian

        sigma = (1, 2, 3, 4, 6)[int(severity) - 1]
        return lambda: np.clip(gaussian(np.array(picture) / 255.0, sigma=sigma, channel_axis=-1), 0, 1) * 255
    return lambda: imagecorruptions.corrupt(picture, severity=int(severity), corruption_name=operation)


def kernel_noise(array: np.ndarray, operation: str, magnitude: float) -> Callable[[], Any]:
    """Noise of DICaugment with the spectrum of a reconstruction kernel."""
    import dicaugment

    volume = (array.astype(np.int16) - 1024)[..., None]
    header = {
        "RescaleSlope": 1.0,
        "RescaleIntercept": 0.0,
        "ConvolutionKernel": "STANDARD",
        "PixelSpacing": (0.8, 0.8),
        "XRayTubeCurrent": 160,
    }
    change = getattr(dicaugment, operation)(p=1.0)
    return lambda: change(image=volume, dicom=header)


def artefact(array: np.ndarray, operation: str, size: float) -> Callable[[], Any]:
    """A transform of TorchIO whose random range is one value."""
    import torch
    import torchio

    torch.set_num_threads(1)
    arguments: dict[str, Any] = {
        "RandomNoise": {"mean": 0, "std": (size, size)},
        "RandomBlur": {"std": (size, size, size, size, 0, 0)},
        "RandomBiasField": {"coefficients": size},
        "RandomMotion": {"degrees": (size, size), "translation": (size, size), "num_transforms": 2},
        "RandomGhosting": {"num_ghosts": (4, 4), "axes": (0,), "intensity": (size, size)},
        "RandomSpike": {"num_spikes": (1, 1), "intensity": (size, size)},
        "RandomAnisotropy": {"axes": (0,), "downsampling": (size, size)},
        "RandomGamma": {"log_gamma": (size, size)},
    }
    change = getattr(torchio, operation)(**arguments[operation])
    tensor = torch.from_numpy(array.astype(np.float32))[None, :, :, None]
    return lambda: change(tensor)


PACKAGES = {"imagecorruptions": corruption, "dicaugment": kernel_noise, "torchio": artefact}


def best(call: Callable[[], Any]) -> float:
    """Shortest processor time of a call, in seconds."""
    call()
    shortest, spent = float("inf"), 0.0
    for _ in range(REPETITIONS):
        start = time.process_time()
        call()
        taken = time.process_time() - start
        shortest, spent = min(shortest, taken), spent + taken
        if spent > LONG:
            break
    return shortest


def main() -> None:
    warnings.simplefilter("ignore")
    array = np.load(sys.argv[1])
    found: list[float | str] = []
    wanted = json.loads(Path(sys.argv[2]).read_text())
    for package, operation, parameter in wanted:
        try:
            found.append(best(PACKAGES[package](array, operation, parameter)))
        except Exception as error:
            # A peer that is absent, or that its own dependencies have left behind, is a line of the table.
            found.append(f"{type(error).__name__}: {error}"[:90])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
