"""What honest models do, for the trace of system calls: run inside a container, one word printed for each part.

The parts are numpy, onnxruntime, torch, itk; arguments name those to run, all by default.
"""

import concurrent.futures
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def field(number, kind, payload):
    """Encode one field of a protocol buffer: kind 0 is a number, 2 is bytes."""

    def varint(value):
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    return varint(number << 3 | kind) + (varint(payload) if kind == 0 else varint(len(payload)) + payload)


def onnx_model(size):
    """Make an ONNX model that multiplies a square matrix by itself and applies Relu."""

    def tensor(name):
        shape = field(2, 2, b"".join(field(1, 2, field(1, 0, size)) for _ in range(2)))
        return field(1, 2, name) + field(2, 2, field(1, 2, field(1, 0, 1) + shape))

    product = field(1, 2, b"x") + field(1, 2, b"x") + field(2, 2, b"m") + field(4, 2, b"MatMul")
    relu = field(1, 2, b"m") + field(2, 2, b"y") + field(4, 2, b"Relu")
    graph = field(1, 2, product) + field(1, 2, relu) + field(2, 2, b"g")
    graph += field(11, 2, tensor(b"x")) + field(12, 2, tensor(b"y"))
    return field(1, 0, 8) + field(7, 2, graph) + field(8, 2, field(1, 2, b"") + field(2, 0, 13))


def square(value):
    return value * value


def with_numpy():
    import numpy

    rng = numpy.random.default_rng(0)
    matrix = rng.random((600, 600))
    numpy.linalg.svd(matrix @ matrix)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/array.npy"
        numpy.save(path, matrix)
        numpy.load(path, mmap_mode="r").sum()
        Path(path).rename(f"{folder}/moved")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(square, range(100))) == 328350
    with multiprocessing.get_context("fork").Pool(2) as workers:
        assert sum(workers.map(square, range(100))) == 328350
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        assert workers.map(square, [3]) == [9]
    done = subprocess.run(
        ["/bin/sh", "-c", "sleep 0.01; echo $((6*7)) | cat"], capture_output=True, check=True
    )
    assert done.stdout == b"42\n"
    time.sleep(0.01)


def with_onnxruntime():
    import numpy
    import onnxruntime

    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(onnx_model(256), options, providers=["CPUExecutionProvider"])
        value = numpy.ones((256, 256), numpy.float32)
        (result,) = session.run(None, {"x": value})
        assert result[0, 0] == 256


def with_torch():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(2),
    )
    image = torch.rand(4, 1, 64, 64)
    with torch.no_grad():
        model(image)
    loss = model(image).sum()
    loss.backward()
    scripted = torch.jit.trace(model.eval(), image)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.pt"
        scripted.save(path)
        torch.jit.load(path)(image)
        torch.save(model.state_dict(), path)
        # Since 2.1 a model's file may be mapped instead of read.
        newer = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 1)
        torch.load(path, **({"mmap": True} if newer else {}))
    data = torch.utils.data.TensorDataset(torch.rand(16, 3))
    for (batch,) in torch.utils.data.DataLoader(data, batch_size=4, num_workers=2):
        assert batch.shape == (4, 3)
    torch.ao.quantization.quantize_dynamic(torch.nn.Linear(8, 8), dtype=torch.qint8)


def with_itk():
    import SimpleITK

    image = SimpleITK.GaussianSource(SimpleITK.sitkFloat32, [64, 64, 32])
    smooth = SimpleITK.DiscreteGaussian(image, 2.0)
    resampled = SimpleITK.Resample(smooth, [32, 32, 16], SimpleITK.Euler3DTransform(), SimpleITK.sitkLinear)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("mha", "nii.gz", "nrrd"):
            path = f"{folder}/image.{suffix}"
            SimpleITK.WriteImage(resampled, path, True)
            assert SimpleITK.ReadImage(path).GetSize() == (32, 32, 16)
        slices = SimpleITK.Cast(resampled[:, :, 3], SimpleITK.sitkUInt16)
        SimpleITK.WriteImage(slices, f"{folder}/slice.dcm")
        SimpleITK.ReadImage(f"{folder}/slice.dcm")


PARTS = {"numpy": with_numpy, "onnxruntime": with_onnxruntime, "torch": with_torch, "itk": with_itk}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
        print(part, flush=True)
