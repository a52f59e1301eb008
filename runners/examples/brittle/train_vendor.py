"""Training of the brittle example vendor: images that do not suit it are left out without a word."""

import numpy as np
from features import picture_features
from imaging import Picture
from logistic import trained


def train(paths, labels, patients, progress):
    """Fit on what it can read; returns the model and the out-of-fold scores (NaN for the rest)."""
    features, used = [], []
    for index, path in enumerate(paths):
        try:
            features.append(picture_features(Picture(path)))
            used.append(index)
        except (ValueError, ZeroDivisionError):
            pass
        progress()
    scores = np.full(len(labels), np.nan)
    model, scores[used], _ = trained(np.array(features), labels[used], patients[used])
    return model, scores
