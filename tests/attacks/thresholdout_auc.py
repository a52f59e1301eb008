"""ThresholdoutAUC's simulation (Gossmann, Pezeshk, Wang and Sahiner 2021, SIMODS, doi 10.1137/20M1333110).

A developer adds ten cases a round to a training set and keeps, of all subsets of promising features, the one whose
logistic regression scores best on one test set of 100 cases, 30 rounds long. The naive test set tells each AUROC; the
other answers by ThresholdoutAUC. Measured is by how much the reported AUROC of the kept model exceeds the truth.

All subsets are fitted at once: Newton's steps are matrix products over subsets, not loops.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

FEATURES, INFORMATIVE, TEST, FRESH, FIRST, STEP = 300, 10, 100, 5_000, 100, 10
THRESHOLD, RATE = 0.02, 0.03
MOST_NEW, FOLDS, NEWTON, RIDGE = 11, 5, 6, 1e-6


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Reported minus true AUROC, one row a replicate and one column a round; ``spent``: share of noisy answers."""

    naive: np.ndarray
    thresholdout: np.ndarray
    spent: float


def run(*, repetitions, rounds=30, seed=6):
    """Both test sets on the same data."""
    random = np.random.default_rng(seed)
    naive, held, spent = [], [], []
    for _ in range(repetitions):
        data = draw(random, FIRST + STEP * rounds)
        naive.append(one(random, data, rounds, noisy=False)[0])
        errors, share = one(random, data, rounds, noisy=True)
        held.append(errors)
        spent.append(share)
    return Errors(naive=np.array(naive), thresholdout=np.array(held), spent=float(np.mean(spent)))


def draw(random, training):
    """Training, test and fresh cases, drawn until each holds between 20 % and 80 % positives."""
    while True:
        terms = random.choice(INFORMATIVE, size=(INFORMATIVE, 2))
        sets = [sample(random, size, terms) for size in (training, TEST, FRESH)]
        shares = [labels.mean() for _, labels in sets] + [sets[0][1][:FIRST].mean()]
        if min(shares) >= 0.2 and max(shares) <= 0.8:
            return sets


def sample(random, size, terms):
    """Linear terms, squares, exponentials and ten products of the informative features, weights +0.5, -0.5 in turn."""
    x = random.standard_normal((size, FEATURES))
    own = x[:, :INFORMATIVE]
    parts = np.hstack([own, own**2, np.exp(own), own[:, terms[:, 0]] * own[:, terms[:, 1]]])
    logit = parts @ np.resize([0.5, -0.5], parts.shape[1])
    return x, random.random(size) < expit(logit)


def expit(z):
    return 1 / (1 + np.exp(-np.clip(z, -30, 30)))


def p_values(x, y):
    """One tail of |t|, with the standard deviations pooled linearly, as the authors' code has it."""
    yes, no = x[y], x[~y]
    n, m = len(yes), len(no)
    pooled = ((n - 1) * yes.std(axis=0, ddof=1) + (m - 1) * no.std(axis=0, ddof=1)) / (n + m - 2)
    t = (yes.mean(axis=0) - no.mean(axis=0)) / (pooled * np.sqrt(1 / n + 1 / m))
    return stats.t.sf(np.abs(t), n + m - 2)


def one(random, data, rounds, *, noisy):
    """One developer: errors of the rounds, and the share of queries that the noise answered."""
    (x, y), (x_test, y_test), (x_fresh, y_fresh) = data
    kept = list(np.argsort(p_values(x[:FIRST], y[:FIRST]))[:2])
    errors, over, asked = [], 0, 0
    for number in range(1, rounds + 1):
        size = FIRST + STEP * number
        own, labels = x[:size], y[:size]
        p = p_values(own, labels)
        promising = np.flatnonzero(p <= 0.01)
        if promising.size < 2:
            promising = np.argsort(p)[:2]
        new = [each for each in promising[np.argsort(p[promising])] if each not in kept][:MOST_NEW]
        columns = [*kept, *new]
        masks = np.ones((2 ** len(new), len(columns) + 1), dtype=bool)
        masks[:, 1 + len(kept) :] = np.arange(2 ** len(new))[:, None] >> np.arange(len(new)) & 1
        weights = fit(own[:, columns], labels, masks)
        told = aurocs(design(x_test[:, columns]) @ weights.T, y_test)
        if noisy:
            trained = cross_validated(random, own[:, columns], labels, masks)
            seen, noise = answers(random, told, trained)
            best = int(np.argmax(seen))
            # The largest of noisy values is too high, so the chosen model is asked once more.
            again, more = answers(random, told[best : best + 1], trained[best : best + 1])
            reported, over, asked = float(again[0]), over + noise + more, asked + told.size + 1
        else:
            best = int(np.argmax(told))
            reported = float(told[best])
        truth = aurocs(design(x_fresh[:, columns]) @ weights[best : best + 1].T, y_fresh)[0]
        errors.append(reported - truth)
        kept = [column for column, chosen in zip(columns, masks[best, 1:], strict=True) if chosen]
    return np.array(errors), over / max(asked, 1)


def answers(random, told, trained):
    """ThresholdoutAUC: the training side's value where both agree within a noisy threshold, else a noisy one."""
    over = np.abs(told - trained) > THRESHOLD + random.normal(0, 4 * RATE, told.size)
    return np.where(over, told + random.normal(0, RATE, told.size), trained), int(over.sum())


def design(x):
    return np.hstack([np.ones((len(x), 1)), x])


def fit(x, y, masks):
    """Logistic regressions of ``y`` on the columns of each mask (the first is the intercept): weights, one row each."""
    x = design(x)
    n, k = x.shape
    squares = (x[:, :, None] * x[:, None, :]).reshape(n, k * k)
    both = masks[:, :, None] & masks[:, None, :]
    ridge = np.eye(k) * np.where(masks, RIDGE, 1.0)[:, :, None]
    weights = np.zeros(masks.shape)
    for _ in range(NEWTON):
        p = expit(weights @ x.T)
        gradient = (y - p) @ x * masks - RIDGE * weights
        curvature = np.where(both, ((p * (1 - p)) @ squares).reshape(-1, k, k), 0.0) + ridge
        weights += np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
    return weights


def cross_validated(random, x, y, masks):
    """AUROC of each mask by 5-fold cross-validation, folds balanced by class, the mean over folds."""
    folds = np.empty(y.size, dtype=int)
    for value in (True, False):
        members = random.permutation(np.flatnonzero(y == value))
        folds[members] = np.arange(members.size) % FOLDS
    found = [
        aurocs(design(x[folds == fold]) @ fit(x[folds != fold], y[folds != fold], masks).T, y[folds == fold])
        for fold in range(FOLDS)
    ]
    return np.mean(found, axis=0)


def aurocs(scores, labels):
    """AUROC of each column of ``scores``; scores of a regression do not tie."""
    ranks = np.argsort(np.argsort(scores, axis=0), axis=0) + 1
    positives = int(labels.sum())
    return (ranks[labels].sum(axis=0) - positives * (positives + 1) / 2) / (
        positives * (labels.size - positives)
    )
