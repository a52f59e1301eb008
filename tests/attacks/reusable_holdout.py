"""The experiment of Dwork et al. 2015 (Science 349:636): choose features by both sets, then ask the hold-out.

n cases and n features; with a signal the first 20 go with the label. A feature is kept when its correlations on
training and hold-out set agree in sign and both exceed 1/sqrt(n); the classifier is the sign of the sum of the k
strongest on the training set. One arm asks the hold-out itself, the other Thresholdout with the authors' settings:
threshold 4/sqrt(n), Gaussian noise of 1/sqrt(n) in both places, neither noise on the threshold that lasts nor a budget.
"""

from dataclasses import dataclass

import numpy as np

SIGNALS = 20


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Accuracy of the selected classifier on training, hold-out (as told) and fresh cases, means over repetitions."""

    training: float
    told: float
    fresh: float


def reusable_holdout(*, n=1000, sizes=(100,), repetitions=100, signal=False, seed=2):
    """Both arms on the same data: ``{(k, through Thresholdout): Accuracy}``."""
    random = np.random.default_rng(seed)
    found = {(k, arm): [] for k in sizes for arm in (False, True)}
    for _ in range(repetitions):
        labels = np.sign(random.standard_normal((3, n)))
        seen = [features_of(random, labels[i], np.arange(n), signal) for i in range(2)]
        train, hold_out = (labels[i].astype(np.float32) @ seen[i] / n for i in range(2))
        for arm in (False, True):
            answered = told_correlations(random, train, hold_out) if arm else hold_out
            good = (np.sign(train) == np.sign(answered)) & (
                np.minimum(abs(train), abs(answered)) > 1 / np.sqrt(n)
            )
            ranked = np.flatnonzero(good)[np.argsort(-abs(train[good]))[: max(sizes)]]
            # Of the fresh cases only the chosen features are ever looked at.
            sets = [each[:, ranked] for each in seen] + [features_of(random, labels[2], ranked, signal)]
            votes = [np.cumsum(each * np.sign(train[ranked]), axis=1) for each in sets]
            for k in sizes:
                at = min(k, ranked.size) - 1
                parts = [float((np.sign(v[:, at]) == y).mean()) for v, y in zip(votes, labels, strict=True)]
                if arm:
                    parts[1] = float(told_correlations(random, *np.array(parts[:2])[:, None], n=n)[0])
                found[k, arm].append(parts)
    means = {key: np.mean(rows, axis=0) for key, rows in found.items()}
    return {
        key: Accuracy(training=float(a), told=float(b), fresh=float(c)) for key, (a, b, c) in means.items()
    }


def features_of(random, labels, columns, signal):
    """The features ``columns`` of the cases with ``labels``, shape (cases, columns)."""
    features = random.standard_normal((labels.size, columns.size), dtype=np.float32)
    if signal:
        features[:, columns < SIGNALS] += (6 / np.sqrt(labels.size) * labels).astype(np.float32)[:, None]
    return features


def told_correlations(random, train, hold_out, n=None):
    """The training side's values where both agree within a noisy threshold, else the hold-out's with noise."""
    tolerance = 1 / np.sqrt(n or train.size)
    over = np.abs(train - hold_out) > 4 * tolerance + tolerance * random.standard_normal(train.size)
    return np.where(over, hold_out + tolerance * random.standard_normal(train.size), train)
