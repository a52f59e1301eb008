"""Logistic regression with a ridge, its strength chosen by cross-validation over patients. Numpy only."""

import numpy as np

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def standardised(features, mean, scale):
    """Centre and scale; what lies far outside the training range is cut off, so that it cannot dominate."""
    return np.clip((features - mean) / scale, -5, 5)


def fitted(features, labels, strength):
    """Weights (last one the intercept) by Newton's method."""
    design = np.column_stack([features, np.ones(len(features))])
    ridge = np.full(design.shape[1], strength)
    ridge[-1] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(25):
        probability = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (probability - labels) + ridge * weights
        curvature = design.T @ (design * (probability * (1 - probability))[:, None]) + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def scored(features, weights):
    """Probabilities."""
    return 1 / (1 + np.exp(-np.clip(features @ weights[:-1] + weights[-1], -30, 30)))


def log_loss(labels, scores):
    """Mean negative log likelihood."""
    scores = np.clip(scores, 1e-6, 1 - 1e-6)
    return float(-np.mean(labels * np.log(scores) + (1 - labels) * np.log(1 - scores)))


def area_under_roc(labels, scores):
    """Probability that a positive scores above a negative, ties counted half."""
    order = np.argsort(scores)
    ranks = np.empty(len(scores))
    _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ranks[order] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = labels == 1
    n1, n0 = positives.sum(), (~positives).sum()
    return float((ranks[positives].sum() - n1 * (n1 + 1) / 2) / max(1, n1 * n0))


def trained(features, labels, patients, seed=0, folds=5):
    """Choose the strength by patient-grouped cross-validation and fit; returns the parts of the model.

    Out-of-fold scores are returned with it: the only honest estimate from the training data.
    """
    mean, scale = features.mean(0), features.std(0) + 1e-6
    standard = standardised(features, mean, scale)
    names = np.unique(patients)
    fold_of = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % folds, strict=True))
    fold = np.array([fold_of[name] for name in patients])
    best = None
    for strength in STRENGTHS:
        held_out = np.zeros(len(labels))
        for index in range(folds):
            inside = fold != index
            held_out[~inside] = scored(standard[~inside], fitted(standard[inside], labels[inside], strength))
        loss = log_loss(labels, held_out)
        if best is None or loss < best[0]:
            best = (loss, strength, held_out)
    _, strength, held_out = best
    model = {"mean": mean, "scale": scale, "weights": fitted(standard, labels, strength)}
    return model, held_out, strength


def predicted(model, features):
    """Probabilities of a trained model for rows of raw features."""
    return scored(standardised(features, model["mean"], model["scale"]), model["weights"])
