"""The sound example vendor: general image features and a regularised model."""

from pathlib import Path

import numpy as np
from features import anomaly_features, picture_facts, picture_maps
from imaging import Picture
from logistic import predicted
from serving import serve

MODEL = dict(np.load(Path(__file__).with_name("weights.npz")))


def predict(paths):
    """Probability that the target is present in any of the images of a case."""
    rows = []
    for path in paths:
        picture = Picture(path)
        blobs = anomaly_features(picture_maps(picture), MODEL["usual"], MODEL["spread"])
        rows.append(np.concatenate([blobs, picture_facts(picture)]))
    return predicted(MODEL, np.asarray(rows)).max()


serve(predict)
