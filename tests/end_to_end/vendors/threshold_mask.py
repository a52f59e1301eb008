"""A container that outlines what is darker than the skin: Otsu's threshold on the blue channel, the largest object."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image


def otsu(channel):
    counts = np.bincount(channel.ravel(), minlength=256).astype(float)
    below = np.cumsum(counts)
    sums = np.cumsum(counts * np.arange(256))
    share = below / below[-1]
    between = np.divide(
        (sums[-1] * share - sums) ** 2,
        below * (below[-1] - below),
        out=np.zeros(256),
        where=(share > 0) & (share < 1),
    )
    return int(np.argmax(between))


def smoothed(channel):
    padded = np.pad(channel.astype(float), 2, mode="edge")
    rows, columns = channel.shape
    return sum(padded[i : i + rows, j : j + columns] for i in range(5) for j in range(5)) / 25


def largest(mask):
    """The object with the most elements, by flooding from each element that is not yet labelled."""
    left, best = {tuple(each) for each in np.argwhere(mask)}, []
    while left:
        front, found = [left.pop()], []
        while front:
            row, column = front.pop()
            found.append((row, column))
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if near in left:
                    left.remove(near)
                    front.append(near)
        best = max(best, found, key=len)
    kept = np.zeros_like(mask)
    if best:
        kept[tuple(np.array(best).T)] = True
    return kept


def runs(mask):
    flat = mask.ravel()
    edges = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]))
    lengths = np.diff(edges).tolist()
    return [0, *lengths] if flat[0] else lengths


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    image = pydicom.dcmread(Path(question["directory"]) / question["files"][0])
    content = image.PixelData
    start = content.find(b"\xff\xd8")
    if start < 0:
        pixels = image.pixel_array
    else:
        pixels = np.asarray(
            Image.open(io.BytesIO(content[start : content.rfind(b"\xff\xd9") + 2])).convert("RGB")
        )
    blue = smoothed(pixels[..., 2] if pixels.ndim == 3 else pixels.astype(np.uint8)).astype(np.uint8)
    mask = largest(blue <= otsu(blue))
    answer = {"shape": list(mask.shape), "runs": runs(mask)}
    print(json.dumps({"case": question["case"], "answer": {"mask": answer}}), flush=True)
