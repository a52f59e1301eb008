"""Training of the sound example vendor."""

import numpy as np
from features import anomaly_features, picture_facts, picture_maps
from imaging import Picture
from logistic import trained


def train(paths, labels, patients, progress):
    """Fit on the development part; returns the arrays of the model and the out-of-fold scores."""
    maps, facts = [], []
    for path in paths:
        picture = Picture(path)
        maps.append(picture_maps(picture))
        facts.append(picture_facts(picture))
        progress()
    maps = np.stack(maps)
    usual, spread = maps[labels == 0].mean(0), maps[labels == 0].std(0) + 0.01
    features = np.array(
        [
            np.concatenate([anomaly_features(layer, usual, spread), fact])
            for layer, fact in zip(maps, facts, strict=True)
        ]
    )
    model, held_out, _ = trained(features, labels, patients)
    return {**model, "usual": usual, "spread": spread}, held_out
