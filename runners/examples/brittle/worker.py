"""The brittle example vendor: it learned the wrong things, starts slowly, dies on the unexpected."""

import time
from pathlib import Path

import numpy as np
from features import picture_features
from imaging import Picture
from logistic import predicted
from serving import serve

MODEL = dict(np.load(Path(__file__).with_name("weights.npz")))

# Stands for the loading of a model that is far too large for what it does.
time.sleep(0.3)


def predict(paths):
    """Probability from the first image of a case; the others are not looked at."""
    return predicted(MODEL, picture_features(Picture(paths[0]))[None]).item()


serve(predict)
