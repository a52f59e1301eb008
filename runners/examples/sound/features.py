"""What the sound vendor looks at: blobs, edges and colour, free of scanner gain, offset and inversion."""

import itertools

import numpy as np
from imaging import blurred, resized

SIDE = 64
SCALES = (1.4, 2.1, 3.2, 4.8, 7.2, 10.8)
CELLS = 4


def picture_maps(picture):
    """Maps of one image: brightness and blob strength at each scale, scales x SIDE x SIDE."""
    grey = resized(picture.grey, SIDE)
    low, high = np.percentile(grey, (2, 98))
    grey = np.clip((grey - low) / max(high - low, 1e-6), -0.25, 1.25)
    smooth = [blurred(grey, scale) for scale in SCALES]
    # A difference of Gaussians answers to blobs of its own size (Marr and Hildreth, 1980).
    blobs = [fine - coarse for fine, coarse in itertools.pairwise(smooth)]
    return np.stack([smooth[1], *blobs]).astype(np.float32)


def picture_facts(picture):
    """Edges by direction and cell, and colour of centre against border; the same length for every image."""
    grey = resized(picture.grey, SIDE)
    low, high = np.percentile(grey, (2, 98))
    grey = blurred(np.clip((grey - low) / max(high - low, 1e-6), -0.25, 1.25), 1.0)
    vertical, horizontal = np.gradient(grey)
    strength = np.hypot(vertical, horizontal)
    direction = (np.arctan2(vertical, horizontal) % np.pi / np.pi * 6).astype(int) % 6
    edges = [_pooled(strength * (direction == index), CELLS, np.mean).ravel() for index in range(6)]
    return np.concatenate([*edges, _colour(picture)]).astype(np.float32)


def anomaly_features(maps, usual, spread):
    """How far each map lies from what is usual at its place: extremes overall, and the largest by cell."""
    unusual = (maps - usual) / spread
    parts = []
    for layer in unusual:
        inner = np.sort(layer[4:-4, 4:-4].ravel())
        parts += [inner[-8:].mean(), inner[-64:].mean(), inner[:8].mean(), inner[:64].mean(), layer.std()]
        parts += list(_pooled(layer, CELLS, np.max).ravel())
    parts += list(_pooled(unusual[0], 8, np.mean).ravel())
    return np.asarray(parts, np.float32)


def _colour(picture):
    """Colour of the middle against the border, in ratios that the exposure does not change."""
    if picture.raw.ndim != 3:
        return np.zeros(20, np.float32)
    channels = np.stack([resized(picture.raw[..., index].astype(np.float32), SIDE) for index in range(3)])
    share = channels / np.maximum(channels.sum(0), 1)
    brightness = channels.mean(0)
    border = np.ones((SIDE, SIDE), bool)
    border[10:-10, 10:-10] = False
    skin = np.median(brightness[border])
    lesion = brightness < 0.85 * skin
    lesion = lesion if lesion.sum() > 20 else ~border
    rows, columns = np.nonzero(lesion)
    return np.array(
        [
            *(share[:, lesion].mean(1) - share[:, border].mean(1)),
            *share[:, lesion].std(1),
            *share[:, border].mean(1),
            *(np.percentile(brightness[lesion], (5, 25, 50, 75, 95)) / max(skin, 1)),
            lesion.mean(),
            lesion[border].mean(),
            rows.std() / SIDE,
            columns.std() / SIDE,
            (lesion ^ lesion[::-1]).mean(),
            (lesion ^ lesion[:, ::-1]).mean(),
        ],
        np.float32,
    )


def _pooled(layer, cells, reduce):
    size = SIDE // cells
    return reduce(layer.reshape(cells, size, cells, size), axis=(1, 3))
